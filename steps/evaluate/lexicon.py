"""Word and pattern lists of the evaluation detectors: own lists, none of them read by the filter (DESIGN.md).

Weights are own choices: a pattern of weight 2 or 3 is rarely innocent, one of weight 1 proves nothing alone.
"""

from __future__ import annotations

# (pattern, weight). A document is advertising when different patterns that stand close together weigh 4 or more.
ADVERTISING: tuple[tuple[str, float], ...] = (
    (r"(?:咨询|订购|订货|招商|加盟|报名|服务|客服|销售)(?:热线|电话)", 2),
    (r"加(?:我|客服)?(?:微信|VX|vx|薇信|V信|QQ)|(?:客服|咨询|联系)(?:微信|QQ|qq)", 2),
    (r"扫(?:描|一扫)?(?:上方|下方)?二维码", 1),
    (
        r"(?:立即|马上|赶快|赶紧|现在|点击)(?:购买|抢购|订购|下单|申请|报名|领取|咨询)|点击(?:下方|上方)链接",
        2,
    ),
    (r"限时(?:抢购|优惠|特价|折扣|特惠)|先到先得|名额有限|错过再等|数量有限", 2),
    (r"厂家(?:直销|批发)|量大(?:从优|优惠)|批发(?:价|供应)|价格(?:优惠|从优|实惠)|薄利多销", 2),
    (r"全国包邮|包邮|货到付款|假一赔[十百]|无理由退|无效退款|买[一二]送[一二]", 2),
    (r"优惠券|代金券|红包|大礼包|赠品|元彩金|[一二三四五六七八九]折|立减|直降|特惠|特价|大促|更优惠", 1),
    (r"原价\s*\d+|仅需\s*\d+|只要\s*\d+元|低至|[¥￥]\s*\d+", 1),
    (
        r"欢迎(?:来电|订购|选购|咨询|致电|新老客户|光临)|来电(?:洽谈|咨询|订购)|(?:联系|咨询)?电话[:：]?\s*1\d{10}",
        2,
    ),
    (r"加盟(?:商|费)|诚招|轻松创业|总部扶持", 1),
    (r"免费(?:咨询|试听|试用|上门|热线|电话|体验)", 1),
    (r"(?:代办|代开|专业办理)|无隐形收费|诚信经营|售后无忧|正品保证|品质保证|新用户", 1),
    (r"无抵押|当天放款|贷款|额度最高", 1),
    (r"包教包会|火热(?:报名|招生)|团购|下单|订购", 1),
    (r"\b(?:buy|order|shop|book|subscribe|act|call|enrol?l|apply) (?:it )?(?:now|today|online today)\b", 2),
    (r"\b(?:limited[- ]time|special|exclusive) (?:offers?|deals?|discounts?|coupons?)|limited spots", 2),
    (r"\bfree (?:shipping|delivery|quote|estimate|trial|consultation|gift)s?\b|months? free\b", 1.5),
    (r"\b\d{1,2}% (?:off|discount)|\bextra \d{1,2}%|\bsave (?:up to )?\$?\d+(?:%| on\b)?|save up to", 1.5),
    (r"\b(?:promo|coupon|discount|voucher) codes?\b|\bat checkout\b", 2),
    (r"\bmoney[- ]back guarantee|satisfaction guaranteed|risk[- ]free|cancel any ?time", 2),
    (
        r"\bclick here\b|\badd to cart\b|\bvisit our (?:online )?(?:store|shop|showroom)\b|\bplace your order\b",
        1.5,
    ),
    (
        r"\bwhile supplies last\b|\bdon.t miss out\b|\bhurry\b|\bonly \d+ left\b|\bin stock\b|\bsale ends\b",
        1.5,
    ),
    (
        r"\b(?:best|lowest|affordable|wholesale|unbeatable|great) (?:price|rate)s?\b|\bclearance sale\b|\bfrom \$\d+",
        1,
    ),
    (r"\b1-8(?:00|88|77)-[\dA-Z-]{7,}|\bcall us (?:today|now|at)\b|\bcontact us (?:today|now|for)\b", 2),
    (r"\bsign up (?:today|now)\b|\bbuy one get one\b|\bfirst purchase\b|\bearn cash\b|\bwork from home\b", 2),
    (
        r"\b(?:friendly|professional) staff\b|\btake your order\b|\bmembership deal\b|\bbiggest .{0,12}sale ever",
        1,
    ),
    (r"\bonly \$\d|\bfor \$\d+[,.!]|\borders over \$|\bcheap .{1,20}tickets", 1),
    (
        r"清仓|亏本|秒杀|拼团|大甩卖|狂欢价|抢购|限量|特卖|优惠活动|开业(?:大吉|酬宾)|全场[一二三四五六七八九]",
        1.5,
    ),
    (r"(?:专业(?:从事|生产|办理|承接)|主营|承接各类|本公司(?:专业|主营|长期|是))", 2),
    (
        r"(?:详情|欢迎|有意者?|需要的?|请|可)(?:请?)(?:致电|来电|电联|联系|咨询)|联系人[:：]|电话微信|业务经理|销售部",
        1.5,
    ),
    (r"(?:坏果)?包赔|包退|七天退换|退全款|全额退款|不满意(?:可|就)?退|签约治疗|断根|根治|祖传秘方", 2),
    (r"代理(?:加盟|商)|一件代发|招代理|月入\S{1,3}万|日赚|回本|小投资|致富|年回报率|包租", 2),
    (
        r"(?:24|二十四)小时(?:服务|上门|热线|在线)|上门(?:服务|维修|安装|回收|估价)|随叫随到|现金结算|高价回收",
        1.5,
    ),
    (r"(?:量大|规格|型号|品种)(?:齐全|均有|定制)|质量(?:可靠|保证)|资质齐全|欢迎来样|支持(?:定制|分期)", 1.5),
    (r"不过(?:免费重读|退费)|保过|学信网可查|名师(?:授课|指导)|一对一(?:辅导|授课)|报名从速|开班在即", 2),
    (r"黑户|只凭身份证|秒(?:到账|批|下款)|低利息|额度\d+到\d+万|先(?:优化|用)后付(?:费|款)", 2),
    (r"首付|即买即住|精装(?:修)?交付|看房|售楼处|均价\d+", 1),
    (
        r"\b(?:buy (?:two|2|one|1),? get|(?:get|claim|grab|reserve|start) your(?:s)? (?:free|today"
        r"|now|tour)|order (?:by|before))\b",
        2,
    ),
    (
        r"\b(?:was|retail price|msrp):? \$\d|\bnow (?:only |just )?\$\d|\$\d+(?:\.\d\d)? (?:off"
        r"|value|gift card)|\bjust \$\d",
        1.5,
    ),
    (
        r"\b(?:call|text|ring|email|contact|visit|message) (?:us|our|now|today)\b|\bget (?:a|your"
        r"|in) (?:free|touch|quote|offer)\b",
        1.5,
    ),
    (
        r"\b(?:no[- ]obligation|licensed and insured|fully insured|family[- ]owned|serving .{1,40} since \d{4})\b",
        2,
    ),
    (
        r"\b(?:bad|no) credit (?:ok|check|needed|required)|\bno (?:experience|paperwork"
        r"|credit card) (?:needed|required)\b",
        2,
    ),
    (
        r"\b(?:worldwide|overnight|same[- ]day|fast|express|discreet) (?:delivery|shipping"
        r"|packaging)\b|\bfree (?:returns|installation|samples?|audit|e-?book|catalog\w*"
        r"|gift wrap\w*)\b",
        1.5,
    ),
    (
        r"\b(?:factory|wholesale|retail|direct) prices?\b|\b(?:moq|custom logo"
        r"|send (?:your )?inquiry|price list|oem)\b",
        1.5,
    ),
    (
        r"\b(?:happy|satisfied) customers\b|\b(?:#1|number one|top)[- ](?:rated|selling)\b"
        r"|\b100% (?:natural|guaranteed|satisf\w+|pass)\b",
        1.5,
    ),
    (
        r"\b(?:see if you qualify|apply online|compare quotes|schedule (?:your|a) (?:free|private"
        r"|tour|consult\w*)|request a quote)\b",
        2,
    ),
    (
        r"\b(?:sale|offer|deal|promotion|discount)s? (?:ends?|expires?|valid|today|now"
        r"|this weekend)\b|\bthis weekend only\b|\b(?:before|until) midnight\b|\bwhile (?:stocks?"
        r"|supplies) last\b",
        2,
    ),
    (
        r"\b(?:join|register|sign up|subscribe|enrol+) (?:now|here|today|right now|and get"
        r"|to get)\b|\bwelcome bonus\b|\bget started\b",
        1.5,
    ),
    (
        r"\b(?:unlimited access|premium plan|per month|a month)\b.{0,40}\$\d|\$\d+(?:\.\d\d)?(?: a"
        r"| per|/)\s?(?:month|mo|year)\b",
        1.5,
    ),
)

# Toxic: different patterns anywhere within one window weigh 3 or more.
TOXIC: tuple[tuple[str, float], ...] = (
    (r"成人(?:网站?|电影|视频|小说)|黄色(?:电影|网站|小说|视频)|色情(?:网|片|视频|服务|电影)", 2),
    (
        r"无码|AV(?:女优|在线|视频)|裸聊|裸体直播|偷拍视频|[淫婬]荡|叫床|骚[货女穴]|肉棒|口交|内射|乳交|自慰",
        2,
    ),
    (r"约炮|一夜情|上门服务|包夜|学生妹|援交|全套服务|少妇", 1.5),
    (r"卖淫|嫖娼", 0.5),
    (r"(?:国际|网上|在线)(?:赌场|博彩|投注)|真人百家乐|百家乐|六合彩|时时彩|老虎机|赌球|彩金|博彩", 1.5),
    (r"迷奸|轮奸|乱伦|兽交", 1.5),
    (r"强奸|幼女", 1),
    (r"迷药|听话水|催情(?:药|水)|春药|蒙汗药", 2),
    (r"(?:出售|货源|买卖|提供|供应).{0,12}(?:冰毒|大麻|K粉|海洛因|摇头丸|枪支|弹药|手枪|炸药)|冰毒|K粉", 1.5),
    (r"(?:砍死|杀死|弄死|炸死|捅死)(?:你|他|你们)(?:全家|们)?|剁碎|喂狗|杀你全家|去死吧", 2),
    (r"炸弹.{0,8}(?:放在|学校|车站)|畜生", 1),
    (r"操你妈|草泥马|傻[逼屄Bb]|婊子|贱[货人]|妈[逼的]个?[逼屄]|狗娘养|来操|他妈的", 2),
    (
        r"\b(?:hardcore|xxx|porn(?:o|ography)?|bestiality|incest|gangbang|cumshot|milf|blowjob|creampie)\b",
        1.5,
    ),
    (r"\b(?:horny|slutt?s?|busty|nude teens?|escorts?|sex (?:chat|cams?)|cams live|anal videos?)\b", 1),
    (r"\b(?:fuck(?:ing|ed|er)?|shit|bitch(?:es)?|cunts?|whores?|motherfucker|asshole|dickhead)\b", 1),
    (r"\b(?:kill yourself|i(?:'ll| will) kill you|going to bomb|nobody will miss|rape fantasy)\b", 2),
    (r"\b(?:subhumans?|vermin)\b|\b(?:gassed|slaughtered)\b.{0,30}\bhang\b|\bhang every last\b", 1.5),
    (
        r"\bonline casinos?\b|\bcasino slots?\b|\bsports betting\b|\bbonus spins?\b|\bjackpot every\b|\bpoker\b",
        1,
    ),
    (r"\bdeposit \$?\d+ .{0,20}\bbonus\b|\bbetting\b.{0,20}\bbonus\b", 1),
    (r"\bbuy (?:cocaine|heroin|meth|weed)\b|\bheroin\b.{0,12}\bmeth\b|\bships worldwide\b", 1.5),
    (r"\b(?:cheap )?viagra\b|\bcialis\b|\bguns with no licen[cs]e\b", 1),
    (r"\bstupid (?:fucking|piece)\b|\bworthless piece of\b|\bdirty (?:whore|slut|bitch)\b", 1.5),
    (r"\brape (?:videos?|clips?|fantas)|\bdaily\b.{0,20}\bporn\b|\bgetting fucked\b", 1.5),
    (r"(?:美女|少妇|学生妹|嫩模|小姐|技师|外围女?).{0,14}(?:上门|包夜|全套|任你|陪你|一条龙|莞式)", 3),
    (
        r"(?:(?:线上|网上|在线|真人|娱乐)(?:赌场|荷官|博彩|投注|娱乐城|下注)|捕鱼(?:游戏|机)?|棋牌).{0,40}(?:首存|返水|彩金|返佣|爆率|提款|送\d+|充值)",
        3,
    ),
    (r"(?:必中|稳赚不赔|透码|特码).{0,30}(?:特码|六肖|三肖|一码|计划群|期|翻倍|赔)", 3),
    (
        r"(?:成人|情色|黄色|激情|无码|三级)(?:影片|影院|电影|片|视频|直播|图片|小说).{0,24}(?:免费|在线|观看|高清|下载)|(?:免费|在线"
        r"|高清).{0,10}(?:成人|情色|无码|三级)(?:影片|电影|片|视频)",
        3,
    ),
    (
        r"(?:供应|出售|买卖|批发|货源|现货|收购).{0,14}(?:冰毒|大麻|麻古|K粉|摇头丸|海洛因|迷药|仿真枪|气枪)",
        3,
    ),
    (
        r"(?:杀光|捅死|砍死|弄死|炸死|杀死|剁了)(?:你|他们|那些|这些|你们|全家).{0,30}(?:全家|一个不留|都不留|收尸|一个个|女儿|老婆|孩子)",
        3,
    ),
    (r"(?:代办|出售|办理).{0,8}(?:假(?:身份证|证件|文凭|护照)|银行卡四件套)|跑分(?:洗钱|平台|兼职)", 3),
    (r"(?:乳房|阴道|阴茎|阴蒂|下体|私处|肉体|双腿).{0,30}(?:抽插|呻吟|插入|进入她|高潮|舔)", 3),
    (
        r"(?:内脏|脑浆|肠子|眼珠|脸皮|骨头).{0,20}(?:掏出|流了一地|挖出|割下|砸碎|喂狗)|(?:割|剁|砸|捅).{0,20}(?:血溅|鲜血喷|惨叫)",
        2.5,
    ),
    (
        r"\b(?:nude|naked|horny|busty|hot|sexy|local) (?:\w+ )?(?:girls?|women|wives|housewives"
        r"|singles|teens|babes|milfs?)\b.{0,60}(?:\bhook|\bfuck|\blaid|\bcam\b|\btonight|\bwaiting"
        r"|\bstrip|\bfree\b)",
        3,
    ),
    (
        r"\b(?:free|hd|xxx|hardcore|amateur|teen|anal|lesbian) (?:\w+ ){0,2}(?:porn|sex) (?:videos?"
        r"|movies?|clips?|tapes?|pics?|tube)\b|\bporn (?:videos?|movies?|tube)\b",
        3,
    ),
    (
        r"\b(?:hard |big |huge |thick )?(?:cock|dick|pussy|clit|cum|tits)\b.{0,80}\b(?:fuck\w*"
        r"|suck(?:s|ed|ing)|moan(?:s|ed|ing)|lick(?:s|ed|ing)|inside (?:her|me))\b",
        3,
    ),
    (
        r"\b(?:online|live|real money|mobile) (?:casinos?|slots?|blackjack|roulette|poker|betting"
        r"|bookmaker)\b.{0,120}\b(?:bonus|deposit|jackpots?|free spins?|withdrawals?|real money"
        r"|odds)\b",
        3,
    ),
    (
        r"\b(?:bonus|free spins?|match(?:ed)?) .{0,40}\b(?:first|your) deposit\b"
        r"|\bfirst deposit\b.{0,30}\bbonus\b|\bfree (?:bet|wager)s?\b|\bfixed matches\b",
        2,
    ),
    (
        r"\b(?:meth|mdma|ketamine|cocaine|heroin|lsd|fentanyl|oxycodone|xanax|adderall|weed"
        r"|cannabis|marijuana|hash)\b.{0,100}\b(?:for sale|ships|shipping"
        r"|no (?:prescription|doctor|questions)|stealth|vacuum[- ]sealed|overnight)\b",
        3,
    ),
    (
        r"\b(?:i'?ll|i will|i am going to|i'?m going to|gonna|i want to"
        r"|we will) (?:\w+ ){0,6}(?:kill|murder|rape|gut|stab|slit|cut|shoot|behead) (?:you|your"
        r"|that|her|him|them|every)\b",
        3,
    ),
    (
        r"\b(?:kill|gas|burn|shoot|exterminate|hang|slaughter) (?:them all|all of them"
        r"|every (?:last|single) one|the whole lot)\b",
        2,
    ),
    (
        r"\b(?:fake|counterfeit|forged) (?:passports?|ids?|driver'?s licen[cs]es?|money|bills"
        r"|documents)\b.{0,60}\b(?:undetectable|registered|delivered|for sale|buy|order)\b|\b(?:cvv"
        r"|card dumps?|fullz)\b.{0,60}\b(?:fresh|pin|balance|valid|sell)",
        3,
    ),
    (r"\b(?:escorts?|erotic massage|happy ending|incall|outcall|body to body|gfe)\b", 1.5),
    (r"\b(?:no background check|untraceable|no serial numbers?|ghost guns?)\b", 2),
)

# Promotion in a friendly tone, inside an article: different cues close together weigh 4 or more.
PROMOTION: tuple[tuple[str, float], ...] = (
    (r"报我(?:的)?名字|提我(?:的)?名字|说是我介绍的|报暗号", 3),
    (r"拿链接|发链接|链接(?:在|放)(?:评论|主页|下方)|私信我|私我|找我拿|后台留言", 2.5),
    (r"下单|拼单|团购价|内部价|老客户价|粉丝价|友情价", 1),
    (r"立减|减免|少交.{1,4}块|便宜.{1,4}块|打[一二三四五六七八九]折|半价|折上折|优惠价", 2),
    (r"(?:还能|还|再|另外|可以)送|送(?:一|两|三|半|\d)(?:只|个|件|份|套|瓶|盒|年|次)|送你", 1.5),
    (r"办(?:年|月|会员)?卡|充值|年卡|会员价", 1.5),
    (r"老板(?:娘)?人?(?:很|特别|挺|也)(?:实在|好|厚道)|回头客|口碑(?:很|特别)好|良心商家", 1.5),
    (
        r"(?:去|到)(?:他们|她们|他|她)?家?(?:的)?(?:门店|店里|店铺|网店)(?:看看|试试|逛逛)|开的(?:网店|小店)|同款",
        1.5,
    ),
    (r"价格只要|价钱只(?:要|有)|只要(?:一半|\S{1,4}块)|比商场|比专柜", 1.5),
    (r"第.期(?:学员|班)|名额(?:不多|有限|只剩)|早报名|开班|试听课|招(?:第|新)", 2),
    (r"(?:想要|想试|想买|想报名|感兴趣|有需要)的(?:朋友|同学|家长|直接|人找|人私|人链)", 2),
    (
        r"我(?:自己)?一直(?:用|在用|喝|吃)的?(?:是|就是)|亲测(?:好用|有效)|强烈(?:推荐|安利)|闭眼(?:入|买)",
        1.5,
    ),
    (
        r"\bmention(?:ing)? (?:this|my) (?:page|article|post|blog|name)|tell them i sent you"
        r"|use my (?:link|name|code)",
        3,
    ),
    (
        r"\bcomes with a free|\bthrown in\b|\bfree (?:travel case|gift|sample|refill|tote)|\bat no extra cost\b",
        2,
    ),
    (r"\bhalf (?:as much|price|the (?:usual )?price)|\bat (?:half|two thirds|a fraction) (?:of )?the", 2),
    (
        r"\bfirst (?:visit|lesson|month|session|box) (?:costs|is|comes)|\bknock(?:s|ed)? (?:a third|ten|half) off",
        2,
    ),
    (
        r"\buntil (?:sunday|friday|monday|saturday|the end of the (?:month|week))|\bbefore (?:friday|sunday|monday)",
        1,
    ),
    (
        r"\b(?:still )?ha(?:s|ve) (?:only )?a few (?:seats|places|spots|rooms|left)|\bplaces? (?:are|is) going fast",
        2,
    ),
    (r"\b(?:signs? up|book(?:s|ing)?|orders?|subscribes?) (?:before|by|through|with|this)", 1.5),
    (r"\beveryone who (?:signs|books|orders|joins)|\banyone who (?:signs|books|orders)", 1.5),
    (
        r"\b(?:write to|message|ask) me\b|\bpass on (?:his|her|their) (?:details|number)|\bsend you the link",
        2,
    ),
    (r"\b(?:people|folks|team) at [A-Z]?\w+ will|\bwill do it for you\b|\bskip the hard part\b", 1.5),
    (
        r"\bmy (?:cousin|friend|sister|brother|uncle|neighbou?r) (?:sells|runs|makes)"
        r"|\bi have used .{1,40} for years",
        2,
    ),
    (
        r"\bthis (?:month|week) (?:it|they|only)|\bi (?:can'?t|cannot) recommend .{1,40} enough|\bhighly recommend",
        1,
    ),
    (
        r"(?:强烈|真心|诚心|吐血|良心)(?:推荐|安利|建议)|安利给|必入|冲就完(?:事)?了|绝对不踩雷|不踩雷|闭眼入|无限回购|回购(?:无数次|了)",
        2,
    ),
    (
        r"(?:用|吃|喝|试|住|体验)了?(?:\S{0,6})(?:真的|确实|明显|感觉)\S{0,12}(?:好(?:了|多|用|很)|变|细腻|轻松|改善)",
        1.5,
    ),
    (
        r"(?:他|她)们?家(?:的)?\S{0,12}(?:颜值|质量|服务|态度|味道|手艺|效果|口感)|旗舰店|小黄车|橱窗|淘口令",
        2,
    ),
    (
        r"(?:合作的|赞助)?品牌方|邀请码|优惠码|口令|福利价|首单|新人(?:首单|专享)|活动入手|入手(?:还送|很划算)",
        2.5,
    ),
    (
        r"(?:大家|姐妹们?|宝(?:子|妈)们?|朋友们?|家长|读者|新手)(?:们)?(?:可以|一定要|不妨|记得|抓紧|快)(?:去|来|试|看|搜|关注|预[订约]|囤|入)?",
        1.5,
    ),
    (r"性价比|划算|价格(?:透明|公道|实惠|亲民)|人均不到|值得(?:买|入手|推荐|拥有)|同价位", 1.5),
    (
        r"\b(?:sponsored by|in partnership with|affiliate links?|link in (?:my )?bio"
        r"|use (?:my )?code|promo code|my readers|teamed up with|sent me a)\b",
        2.5,
    ),
    (
        r"\b(?:best|worth every) (?:money|penny|purchase)\b|\byou won'?t regret"
        r"|\bcan'?t recommend\b|\bhighly recommend|\bhands down\b|\bto die for\b|\bmust[- ]have\b"
        r"|\blook no further\b|\bi swear by\b|\bhave sworn by\b",
        2,
    ),
    (
        r"\b(?:check (?:it|them|out)|give (?:it|them) a (?:try|go|call|ring|look)|have a look"
        r"|drop them a line|grab (?:it|one|yours)|pick up a|order (?:it|them|one) (?:from|on|at)"
        r"|go have)\b",
        1.5,
    ),
    (
        r"\b(?:you(?:'ll| will)|they(?:'ll| will)|your \w+ will) (?:\w+ ){0,2}(?:love|thank|adore"
        r"|take (?:good )?care|answer|see)\b|\btrust me\b|\bdo yourself a favou?r\b"
        r"|\byou (?:really )?(?:should|need|have to) (?:try|get|see|check|have)\b",
        1.5,
    ),
    (
        r"\b(?:available|on sale|find (?:it|them|this)) (?:\w+ ){0,3}(?:amazon|etsy|website|store"
        r"|shop)\b|\b(?:their|our) (?:website|online shop|store|new range|collection)\b",
        1.5,
    ),
    (
        r"\b\d+ ?(?:%|percent) off\b|\bgreat deal\b|\bfree plan\b|\bfirst lesson is\b"
        r"|\bmonths? free\b|\bfree to try\b|\breasonabl[ey] pric\w+",
        1.5,
    ),
)

# Insults and contempt for people or groups: different cues close together weigh 3 or more.
INSULT: tuple[tuple[str, float], ...] = (
    (r"没脑子|脑残|弱智|智障|白痴|蠢货|蠢猪|废物|人渣|败类|垃圾人|狗东西|贱骨头|下贱|不要脸|臭不要脸", 2),
    (r"丢人现眼|穷鬼|乡巴佬|土包子|死(?:胖子|肥猪|娘炮|基佬)|黑鬼|洋鬼子|臭要饭|烂人|骗子窝", 2),
    (r"浪费(?:粮食|空气)|手脚不干净|对牛弹琴|猪狗不如|不得好死", 2),
    (r"骨子里就?(?:坏|贱|懒)|笨手笨脚", 1.5),
    (r"天生(?:就是?)?(?:笨|蠢|懒|坏|贱|矮人一等|低人一等)|又(?:懒|蠢|脏)又(?:懒|蠢|馋|坏|笨)", 2),
    (
        r"(?:这|那)(?:种|帮|群|些|号)(?:人|东西|货色|女人|男人|穷|外地|胖|废)|那个地方出来的|个个",
        1,
    ),
    (r"(?:女人|女的|男人|外地人|乡下人|农村人|老头|胖子|残疾人).{0,4}(?:就是|就该|天生|只配|不配|都是)", 1),
    (r"回家(?:做饭|带孩子|种地)", 1),
    (
        r"只配|不配(?:做|当|活|上|有)|就该(?:待|滚|死|饿|关)|滚(?:回|出|远)|倒霉|别出来",
        1,
    ),
    (
        r"\bborn (?:lazy|stupid|dishonest|inferior|thieves|liars|criminals)|\btoo (?:dim|stupid|dumb|thick) to\b",
        2,
    ),
    (
        r"\b(?:waste of (?:air|space|oxygen|skin))\b|\bgood[- ]for[- ]nothing|\bhad the (?:head|brains?) for\b",
        2,
    ),
    (
        r"\b(?:idiots?|morons?|imbeciles?|scumbags?|lowlifes?|retards?|half-?wits?|parasites|pigs|cockroach\w*)\b",
        2,
    ),
    (
        r"\bkept away from\b|\b(?:know|learn) their place\b|\b(?:stay in|back to) the kitchen\b|\blocked up\b",
        1.5,
    ),
    (r"\bgo back to where (?:they|you|he|she) came|\bno amount of (?:schooling|education|help)", 2),
    (
        r"\b(?:world|street|place|country|town|school) would be (?:cleaner|better off|better|nicer) (?:if|without)",
        2,
    ),
    (r"\b(?:people|anyone|folk) (?:from|like) (?:that|them|those|there)|\bthose people\b|\btheir kind\b", 1),
    (
        r"\b(?:women|girls|immigrants|foreigners|old people|the poor|men) (?:are|have|never|can'?t|cannot|should)\b",
        1,
    ),
    (
        r"\banyone who disagrees|\bonly get in the way|\bever change (?:them|him)|\bdeserves? (?:nothing|to starve)",
        1,
    ),
    (r"\b(?:lazy|dishonest|filthy|disgusting|pathetic|worthless|ugly|stupid|useless|brainless)\b", 1),
    (
        r"(?:你|她|楼主|这种人|这帮)\S{0,12}(?:傻[逼叉缺]|脑残|智障|白痴|弱智|蠢猪|畜生|杂种|狗东西|窝囊废|贱人|不要脸)",
        3,
    ),
    (
        r"(?:一帮|这帮|这群|那群|那帮)\S{0,6}(?:垃圾|废物|畜生|蝗虫|牲口|猴子|疯狗|寄生虫|杂碎|败类|小偷|骗子|乡巴佬|穷鬼)",
        3,
    ),
    (r"(?:滚(?:回|出|蛋|远|开)|去死|怎么不去死|早点死|死(?:全家|绝)|赶出去|抓起来|关进|灭了)", 1.5),
    (r"(?:恶心|想吐|晦气|倒胃口|丢人|不知廉耻|没素质|素质低|没教养|下三滥|活该|不配|有脸)", 1),
    (
        r"(?:女人|男人|外地人|农村人|乡下人|同性恋|黑人|老人|残疾人|胖子|信教的|河南人|东北人|某族人|小日本|棒子|阿三)\S{0,10}(?:都是|就该|只配|没一个"
        r"|全是|应该|不要|滚|死|变态|废物)",
        2,
    ),
    (r"(?:连(?:条)?狗都不如|猪狗|母猪|肥猪|蠢驴|癞蛤蟆|大粪|狗屁|放屁|屁股|你妈|他妈|爹妈)", 1),
    (
        r"\byou(?:(?:'re| are) (?:\w+ ){0,2}an?| (?:dumb|ignorant|stupid|worthless|filthy|fat|ugly|pathetic))"
        r" (?:\w+ ){0,2}(?:moron|idiot|loser|bitch|scum"
        r"|trash|imbecile|retard|clown|pig|cow|whore|hillbilly|dumbass|crybaby|snowflake"
        r"|cunt)s?\b",
        3,
    ),
    (
        r"\b(?:bunch of|nothing but|pack of) (?:\w+ ){0,4}(?:animals|savages|parasites|criminals"
        r"|vermin|cockroaches|rats|idiots|freaks|thieves|scum|degenerates|apes)\b",
        3,
    ),
    (
        r"\b(?:he|she|author|mayor|coach|referee|president|host) (?:is|was"
        r"|'s) (?:\w+ ){0,4}(?:idiot|moron|dumbest|clown|worm|imbecile|scumbag|garbage|disgrace|pig"
        r"|son of a bitch)\b",
        3,
    ),
    (
        r"\b(?:shut (?:up|your)|go to hell|drop dead|rot in hell|hurry up and die|crawl back"
        r"|screw you|get lost|do us all a favou?r)\b",
        1.5,
    ),
    (
        r"\b(?:dumb|brain ?dead|brainless|inbred|toothless|spineless|filthy|fat|ugly|retarded"
        r"|subhuman|worthless) (?:\w+ )?(?:idiots?|cow|bitch|pig|animals?|scum|trash|losers?"
        r"|freaks?|failure|clown|worm|bastards?)\b",
        2.5,
    ),
    (
        r"\b(?:should(?:n'?t)? (?:all )?be (?:shipped|sent|deported|locked|shot|allowed)"
        r"|shipped back|don'?t belong|it'?s in their (?:blood|nature|genes)|can'?t trust (?:that"
        r"|those|their))\b",
        1.5,
    ),
)
