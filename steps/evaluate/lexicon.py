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
