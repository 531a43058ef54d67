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
        r"\bmention(?:ing)? (?:this|my) (?:page|article|post|blog|name)|tell them i sent you|use my (?:link|name|code)",
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
        r"\bmy (?:cousin|friend|sister|brother|uncle|neighbou?r) (?:sells|runs|makes)|\bi have used .{1,40} for years",
        2,
    ),
    (
        r"\bthis (?:month|week) (?:it|they|only)|\bi (?:can'?t|cannot) recommend .{1,40} enough|\bhighly recommend",
        1,
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
)

# Markup, style, script and form residue: different kinds close together, 3 or more.
RESIDUE: tuple[tuple[str, float], ...] = (
    (r"</(?:div|span|td|tr|table|li|ul|a|p|font|script|iframe|form)>", 1),
    (
        r"<(?:div|span|td|p|a|font|img|input|iframe)\s[^<>\n]{0,200}(?:class|style|href|name|value|src|type)=",
        1,
    ),
    (r"&(?:nbsp|raquo|laquo|quot|gt|lt|copy);?", 1),
    (r"style=[\"'][^\"'<>]{1,80}[\"']|display:\s*(?:none|block)\s*[;}]|float:\s*(?:left|right)\s*;", 1),
    (r"margin:\s*0 auto|padding:\s*\d+px|font-size:\s*\d+px|width:\s*\d+px|text-indent", 1),
    (r"_hmt\b|dataLayer|gtag\(|googletag|adsbygoogle|\bhm\.js|UA-\d{5,}", 2),
    (r"document\.(?:write|getElementById|getElementsByTagName|createElement|cookie)\b", 1),
    (r"window\.(?:location|onload|dataLayer|adsbygoogle)\b|\$\(document\)\.ready|\.innerHTML\s*=", 1),
    (r"<script\b|</script>|<!--\[if|javascript:\s*(?:void|;)|<br ?/?>", 1),
    (
        r"(?:邮箱|E-?mail|姓名|Name)\*?\s*[:：]\s*(?:不能为空|cannot be empty)|不能为空[！!]|cannot be empty!",
        1,
    ),
)

MENU_WORDS = (
    r"首页|关于我们|产品(?:中心|展示)|新闻(?:中心|资讯|动态)|联系我们|在线留言|网站地图|登录|注册|收藏(?:本站)?|设为首页|友情链接|"
    r"[下上]一[页篇]|返回(?:顶部|首页)|会员中心|帮助(?:中心)?|购物车|人才招聘|客户案例|更多|论坛|手机版|搜索|站内搜索|版权声明|免责声明|"
    r"最新文章|热门标签|个人中心|退出|投诉建议|服务条款|隐私政策|"
    r"home|about(?: us)?|contact(?: us)?|products|services|news|blog|log ?in|register|sign (?:in|up)|my account|"
    r"(?:shopping )?cart|site ?map|privacy(?: policy)?|terms(?: of (?:use|service))?|faqs?|help|"
    r"careers|search|next|previous|"
    r"back to top|subscribe|rss|forum|gallery|archives?|categories|recent posts|popular tags|"
    r"share on \w+|tweet|downloads?"
)

# Frequent function words. A Latin-script text is foreign when another language's outnumber the English ones.
FUNCTION_WORDS = {
    "en": "the of and to in is that it was for on are as with his they at be this have from or had by but not what "
    "all were we when your can said there an which their if will how about out many then them these so some her "
    "would like him into has",
    "fr": "le les des une est et dans que qui pour sur avec pas au aux par plus nous vous ils elle était avait mais "
    "cette ses sont ont être sa il ce du",
    "de": "der die und das ist nicht ein eine zu den mit sich auf für von dem des im auch als wie sie er es sind war "
    "wir aus bei nach einer wird oder hat noch",
    "es": "el los las una es y en que del por con para su se al lo como más pero sus le ya este entre cuando muy sin "
    "sobre también hasta había era",
    "pt": "os uma é e em que do da por com para não se na no dos mais como mas ao das foi ele sua ou quando muito nos "
    "já também pelo pela era ainda",
    "it": "il gli una è e di che per con non si del della nel sono da alla anche come più ma dei le questo era suo ha "
    "delle al dal",
    "nl": "het een en van ik te dat die in je niet zijn is was op aan met als voor had er maar om hem dan zou of wat "
    "mijn men dit zo",
}

TOPICS = {
    "technology": r"软件|电脑|程序|互联网|手机|数据|算法|\b(?:software|computer|linux|code|internet|data|app)\b",
    "science": r"科学|研究|实验|物理|化学|生物|\b(?:science|research|physics|chemistry|species|experiment)\b",
    "health": r"医院|医生|疾病|治疗|健康|药物|\b(?:health|doctor|disease|patient|medical|treatment)\b",
    "finance": r"股票|银行|基金|投资|经济|金融|\b(?:bank|market|invest\w*|economy|price|stock)\b",
    "law": r"法律|条例|法院|规定|处罚|合同|\b(?:law|court|legal|act|regulation)\b",
    "education": r"学生|学校|老师|教育|考试|大学|\b(?:school|student|teacher|university|education)\b",
    "sports": r"比赛|球队|冠军|足球|篮球|运动员|\b(?:game|team|season|player|football|league)\b",
    "arts": r"电影|音乐|小说|演员|导演|艺术|\b(?:film|music|album|novel|art|song)\b",
    "travel": r"旅游|酒店|景点|火车|机场|\b(?:travel|hotel|tourist|airport|trip)\b",
    "food": r"美食|餐厅|蔬菜|味道|烹饪|\b(?:food|recipe|restaurant|cook\w*|kitchen)\b",
    "history_politics": r"政府|历史|战争|总统|王朝|\b(?:government|history|war|president|king|party)\b",
}
