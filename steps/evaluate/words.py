"""Single words of the evaluation detectors and measures: menus, languages, topics. None is read by the filter."""

from __future__ import annotations

MENU_WORDS = (
    r"首页|关于我们|产品(?:中心|展示)|新闻(?:中心|资讯|动态)|联系我们|在线留言|网站地图|登录|注册|收藏(?:本站)?|设为首页|友情链接|"
    r"[下上]一[页篇]|返回(?:顶部|首页)|会员中心|帮助(?:中心)?|购物车|人才招聘|客户案例|更多|论坛|手机版|搜索|站内搜索|版权声明|免责声明|"
    r"最新文章|热门标签|个人中心|退出|投诉建议|服务条款|隐私政策|"
    r"home|about(?: us)?|contact(?: us)?|products|services|news|blog|log ?in|register|sign (?:in|up)|my account|"
    r"(?:shopping )?cart|site ?map|privacy(?: policy)?|terms(?: of (?:use|service))?|faqs?|help|"
    r"careers|search|next|previous|"
    r"back to top|subscribe|rss|forum|gallery|archives?|categories|recent posts|popular tags|"
    r"公司(?:简介|概况|新闻)|(?:企业|学校|医院)(?:简介|文化|概况)|联系方式|工程案例|成功案例|服务项目|招聘(?:信息)?|招生就业|师资队伍|信息公开|通知公告|"
    r"政务公开|办事服务|互动交流|专题(?:专栏)?|国内|国际|社会|财经|体育|娱乐|科技|军事|汽车|房产|健康|教育|时尚|旅游|游戏|视频|图片|博客|评论|"
    r"排行(?:榜)?|热门|最新|推荐(?:阅读)?|目录|书架|分类|全部(?:商品)?分类|我的(?:订单|收藏|帖子|关注)|客服(?:中心)?|下载(?:中心|专区)?|客户端|"
    r"常见问题|意见反馈|广告服务|诚聘英才|末页|尾页|刷新|签到|收藏本站|会员|订阅|繁体|English|无障碍|相册|日志|记录|版块(?:导航)?|标签|资讯|"
    r"services?|portfolio|testimonials|our team|pricing|features|support|community|docs"
    r"|documentation|partners?|shop|store|gift cards?|"
    r"sports?|weather|travel|culture|politics|business|tech(?:nology)?|science|health|opinion"
    r"|arts?|style|video|photos|podcasts?|newsletters?|"
    r"create account|log ?out|main page|random article|donate|calendar|directory|alumni|apply"
    r"|members?|rules|staff|feedback|disclaimer|"
    r"my (?:orders?|trips)|checkout|wishlist|track order|returns|customer service|first|last"
    r"|follow us|facebook|twitter|instagram|pinterest|youtube|"
    r"all|more|menu|view all|tags|overview|reviews|gallery|jobs|press|advertise|accessibility"
    r"|cookies?|terms|legal|recent comments|popular posts|latest posts|"
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
    "pt": "os uma é e em que do da por com para não se na no dos mais como mas ao das foi ele "
    "sua ou quando muito nos "
    "já também pelo pela era ainda",
    "it": "il gli una è e di che per con non si del della nel sono da alla anche come più ma "
    "dei le questo era suo ha "
    "delle al dal",
    "sv": "och att det som en på är av för med till den har inte om ett han men var jag de vi så från när kan eller "
    "hade efter upp",
    "da": "og det at en den til er som på de med han af for ikke der var mig sig men et har om "
    "vi min havde ham hun nu "
    "over da fra",
    "pl": "nie się na jest że do to co jak ale za tak od po przez który która oraz był była "
    "już tylko może jego są dla "
    "być czy ich",
    "cs": "se na je že to jako ale za tak od po který která nebo byl byla už jen může jeho "
    "jsou pro být když podle také "
    "aby jsem ve při",
    "ro": "și nu că în de la cu din pe care sunt este un pentru mai ce dar sau să ale lui fost au după când despre "
    "acest foarte fi ca",
    "hu": "a az és hogy nem is egy ez meg csak volt de már mint még ha azt van el fel le ki "
    "mert akkor vagy után minden "
    "nagyon ezt",
    "fi": "ja on ei se että oli hän mutta kun niin joka ovat myös kuin jos mitä vain tai sen "
    "ne olla ole sitten ollut "
    "voi mukaan nyt",
    "tr": "ve bir bu da de için ile çok olarak daha gibi kadar sonra ne ama olan en var her o ki değil ise mi ben "
    "olduğu tarafından",
    "id": "yang dan di ini itu dengan untuk dari tidak dalam akan pada juga saya ke karena "
    "oleh adalah mereka ada kami "
    "bisa sudah atau lebih",
    "vi": "và của là có không cho được các một những trong với đã người khi này đến về từ như "
    "để cũng ra vào nhưng tôi "
    "rất thì làm",
    "nl": "het een en van ik te dat die in je niet zijn is was op aan met als voor had er maar om hem dan zou of wat "
    "mijn men dit zo",
}

# Frequent words of those languages that are no English words: without some of them nothing is counted.
FOREIGN_HINTS = (
    "le les des une est que der und das ist nicht el los las por os uma não il che di una het "
    "een van niet och att det "
    "som på og til nie się jest że je se și că pe cu hogy nem az egy és ja ei että oli ve bir "
    "için çok bu yang dan ini "
    "itu và của là không có"
)

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

# Characters, words and last two letters that hardly end a sentence (python -m benchmarks.quality.endings).
OPEN_HAN = (
    "万不与专且两严並个临主之乎也予于互些交亦什仅仍从仓他代以们仲企伊优伪伯但何你使供依侦侵促俄保修個债偏停健"
    "允兩公共其兼再农冲减几函创删到刷剩副創办加劳勒勘匹医十千华协協博卫危即原参參又及双反发取受古另只召可各吊"
    "向否含听启吸周命和哈哪唯喜因困固国在均坐培基增处够大太央套奥她委媒嫌安完审宣寻将將專對尔尚尝尤就尼尽届履"
    "工左已巴希帮常干并幼广应废廣延建开引强当往很從循微必急总恢我或截所打托执扩找承技把投抗抵抽拆拉拍拒招拟拥"
    "拿挂指按捐捷推措描提插搜撤擅操擔政文新方於无旧早显普暂更曼曾替最有服朝未机李条東极枚某根桌检概模欢欧武殊"
    "残每民永汉污汽沒沙没沿泰洛浏海消涉深混添游澳激灵為無照爆父特犯独獨獲玩瑞甚申电當疾登發百皇皮监直相矩矿研"
    "破硬磁社禁福秘稳窗竞笔第简管精紧給經維網編總繼纠红细终经结给继维综缓编网罗羅美翻考联聚聯股背脚自至臺與航"
    "般艾苏若英荣莓莫获華萬著董蒂虚虽融补被裁製覆規规設許該認讓认讨许访该详调資负贡财货赔超越跟跨跳較轉转软运"
    "返还这进违连迭追适选透逐递這通連進遊遗遭遵還那邮部都采重野鉴鐵铁银镜開防阶阻阿附际陈陨随隐隨雷電需震青非"
    "韩預顺须预领颜飞饲香馬马驱驾高鲜黑默鼓"
)
OPEN_WORDS = (
    "a about according add after against almost along also although among an and any are as at based be "
    "became because become been being between but by called came can central could create de don't due "
    "during each early economic especially european even every few find for former from full get given "
    "had has have having he his how if in includes including into is it's its just largest late led "
    "little major make many may might modern most much must my named national natural near never new non "
    "not of on only or our over per provide several she should since some such take th than that the "
    "their these they those through throughout to took under united until using various very was we were "
    "western what when where whether which while who will with within without would you're your"
)
OPEN_PAIRS = (
    "ac aj av bd bi bj bk bl bm bn bo br bu bv cc ci cj cl cm cq cr cu cw dg di dj dl dm dq du dv dw dz "
    "ec eg eq eu ev fa fi fk fl fo fq fr fu fv fz gd gf gi gl gq gr gt gu hb hc he hi hk hp hq hr hu if "
    "ij iu iv iw iz jc je jo jp ju jv jy kb kc kf kl kn kq kt kv kw kz lg li lr lu lv lw lx mc mk mm mo "
    "mr mu mw mx nb nc nl nm np nq nr nv nw oi oj oo ou pa pb pg pi pj pk pl pm po pp pq pr pu qb qc qg "
    "qm qo qp qq qr qu qv qw ri rr ru rv rw sc sf si sl sn sp sq su sw tb tc tg ti tj tm tn tr tu tw uc "
    "ui un uv vb vh vi vk vq vu vv vx vz wb wc we wf wh wi wo wp wq wr wt xa xb xc xe xf xh xi xj xk xm "
    "xn xp xu xw xz yb yc ye yg yj yp yq yt yw zc zg zj zk zl zp zq zr zv"
)
