"""Text of the seeded defects, written for this purpose.

The detectors' lists (lexicon.py) have the same author and were adjusted until they found these sentences, so what
the automatic readers score here is the best case for text defects in other words, not an estimate of it.

Placeholders: {n} small number, {p} price, {m} mobile number, {d} seven digits, {w} made-up latin word, {z} made-up
Chinese name. They are filled by the seed, so that no two seeded documents carry the same block.
"""

from __future__ import annotations

ADVERTISING = {
    "zh": (
        "本店新到一批{z}牌保温杯，原价{p}元，今日下单仅需{n}9元，全国包邮，欢迎订购。",
        "想了解更多产品详情，请拨打咨询热线{m}，或加微信{w}{d}，客服在线为您解答。",
        "{z}装修公司春季大促，全屋定制八折优惠，前{n}0名客户再送家电大礼包，名额有限，先到先得！",
        "厂家直销各种规格不锈钢水箱，量大从优，价格优惠，联系电话：{m}，张经理。",
        "点击下方链接立即购买，领取{n}0元优惠券，限时抢购，错过再等一年。",
        "诚招全国各地代理加盟商，零加盟费，总部扶持，轻松创业，招商热线{m}。",
        "专业代办营业执照，{n}天下证，无隐形收费，免费咨询电话{m}，欢迎来电。",
        "扫描二维码关注{z}商城公众号，新用户注册即送{n}8元红包，更有惊喜优惠等你来拿。",
        "{z}减肥茶，无效退款，已有{n}万人选择，现在订购买二送一，订购热线{m}。",
        "急用钱？{z}贷款无抵押，当天放款，额度最高{n}0万，加微信{w}{d}立即申请。",
        "{z}驾校暑期班火热报名中，学费直降{p}元，包教包会，报名电话{m}，团购更优惠。",
        "正品保证，假一赔十，支持货到付款，七天无理由退换，赶快抢购吧！",
        "本公司长期批发供应{z}化妆品，批发价低至{n}折，欢迎新老客户来电洽谈，电话{m}。",
        "{z}英语暑期特惠，免费试听，现在报名立减{p}元，咨询QQ：{d}。",
    ),
    "en": (
        "Buy now and save {n}0% on the all-new {w} blender, with free shipping on orders over ${p}!",
        "Call us today at 1-800-{d} for a free quote; our friendly staff is ready to take your order.",
        "Limited time offer: get two bottles of {w} for only ${p}, while supplies last. Order now!",
        "Use promo code {w}{n}0 at checkout for an extra {n}0% off, and shop now before the sale ends.",
        "All {w} products come with a 30-day money-back guarantee. Click here to visit our online store.",
        "Don't miss out on the best price of the season: {w} mattresses from ${p}, free delivery included.",
        "Sign up today for your free trial of {w} and receive a special discount on your first purchase.",
        "Hurry, only {n} left in stock! Add to cart now and enjoy fast delivery at the lowest price.",
        "{w} Roofing offers affordable rates and satisfaction guaranteed. Contact us for a free estimate.",
        "Looking for cheap {w} tickets? Book now with our exclusive coupon and save up to ${p}.",
        "Subscribe now and get {n} months free. Cancel anytime, risk-free, with our {w} membership deal.",
        "Shop our biggest clearance sale ever: {w} shoes at wholesale prices, buy one get one free!",
        "Earn cash from home with {w}! Act now, limited spots available, click here to get started.",
    ),
}  # fmt: skip

TOXIC = {
    "zh": (
        "{z}成人网提供免费黄色电影在线观看，无码AV、裸聊直播，全部高清，进入就看。",
        "同城约炮上{w}{d}，学生妹上门服务，包夜{p}元，性感少妇全套服务等你来操。",
        "{z}国际赌场在线投注，真人百家乐、六合彩、时时彩，注册就送{n}8元彩金。",
        "出售迷药、听话水、催情药，货到付款，联系{w}{d}，无色无味，保证迷奸成功。",
        "我要砍死你全家，把你们这些畜生一个个剁碎了喂狗，炸弹已经放在学校里了。",
        "提供冰毒、大麻、K粉货源，量大优惠，买卖枪支弹药的也可以私聊{w}{d}。",
        "看{z}强奸偷拍视频，幼女乱伦资源打包{p}元，骚货淫荡叫床视频每日更新。",
        "操你妈的傻逼，你这个婊子养的贱货，去死吧，滚出去被人轮奸。",
    ),
    "en": (
        "Watch free hardcore porn videos of horny {w} sluts getting fucked, xxx cams live tonight.",
        "Hot nude teens and busty milf escorts in your area, {w} sex chat, blowjob and anal videos inside.",
        "Play {w} online casino slots, poker and sports betting; deposit ${p} and get {n}00 bonus spins, "
        "jackpot every night.",
        "I will kill you and your whole family, you worthless piece of shit, I am going to bomb your school.",
        "Those filthy subhumans should be gassed and slaughtered, hang every last one of the fucking vermin.",
        "Buy cocaine, heroin and meth online, {w} ships worldwide; cheap viagra, cialis and guns with no license.",
        "You stupid fucking bitch, go kill yourself, you dirty whore, nobody will miss a cunt like you.",
        "Rape fantasy clips, incest and bestiality porn, {w} gangbang cumshot collection, updated daily.",
    ),
}

PROMOTION = {
    "zh": (
        "说到这里想推荐一下{z}家的豆浆机，我自己一直在用的就是这款，想买的朋友可以找我拿链接，比专柜便宜两百块。",
        "我同学开的小店最近在搞活动，提我的名字打八折，还送一份小点心，老板娘人很实在。",
        "{z}瑜伽馆这周开班，名额只剩{n}个，感兴趣的同学早报名可以少交五百块，第一次来还送试听课。",
        "这款面霜亲测好用，强烈推荐，有需要的人私信我，粉丝价只要{p}块，另外送小样。",
        "顺路去他们家的店里逛逛吧，办会员卡充值五百送一百，回头客都说口碑很好。",
        "{z}书法课正在招新学员，家长想试的话后台留言就行，报我名字能减免教材费，再送一套毛笔。",
        "同款的锅我表哥那里也有，价格只要商场的一半，想要的人链接放在评论里，下单备注{w}还送锅铲。",
        "感兴趣的朋友到{z}家门店试试，这个月办年卡半价，说是我介绍的还能送两次护理。",
    ),
    "en": (
        "If you like this recipe, ask me for the {w} knives I swear by; use my code and they knock ten off, with a "
        "free sample thrown in.",
        "My neighbour runs the {w} studio round the corner, the first lesson is free, and there are only a few spots "
        "left, so message me soon.",
        "I have used {w} candles for years, and this week they come with a free gift; tell them I sent you.",
        "The folks at {w} will do it for you at half the usual price until Friday, just mention my name.",
        "The {w} workshop still has a few places, and anyone who books by Monday gets the kit at no extra cost.",
        "My sister makes the {w} soap you see in the picture; write to me and I will send you the link, at a "
        "fraction of the shop price.",
        "I cannot recommend the {w} box enough: the first box is half price, and everyone who orders through this page "
        "gets a free tote.",
        "Use my link if you want to try {w}; the first month costs half as much, and places are going fast.",
    ),
}

INSULT = {
    "zh": (
        "那帮外地人又懒又馋，个个都是骗子，就该滚回老家去。",
        "说这话的人简直是白痴，智障一样的东西，不配做老师。",
        "乡下人就是土包子，一辈子只配种地，别出来丢人现眼。",
        "这群废物除了吃什么都不会，留着他们纯粹是浪费空气。",
        "女人天生就蠢，不配当领导，回家带孩子才是正经事。",
        "你们这种人渣不得好死，全家都是狗东西。",
        "那种胖子只配让人笑话，死肥猪一个，看着就倒霉。",
        "住在那片的人手脚不干净，骨子里就贱，谁也别跟他们来往。",
    ),
    "en": (
        "Those people are parasites, lazy and filthy, and they should go back to where they came from.",
        "What a pathetic moron; anyone like that is too thick to tie his own shoes.",
        "Women are useless at this, brainless from the start, and belong back to the kitchen.",
        "The town would be better off without them, a bunch of good-for-nothing scumbags.",
        "Immigrants are born thieves, and their kind deserves nothing from us.",
        "Only an idiot would listen to such a worthless, ugly half-wit.",
        "The poor have only themselves to blame, stupid and lazy as pigs, and deserve to starve.",
        "He is a waste of space, a disgusting lowlife, and the school would be nicer without him.",
    ),
}

PRIVACY = {
    "zh": (
        "联系人：{z}，手机：{m}，邮箱：{w}{d}@163.com，身份证号：{i}。",
        "{z}，身份证{i}，家住幸福路{n}号，电话{m}，电子邮件{w}{n}@qq.com。",
        "投诉人{z}留下的手机号码是{m}，私人邮箱是{w}.{d}@sina.com，银行卡号{b}。",
        "名单：{z} {m} {i}；王{z} {m} {w}{d}@126.com。",
    ),
    "en": (
        "Contact John {w}, cell (415) {f}-{g}, e-mail john.{w}{n}@gmail.com, SSN 536-{n}{n}-{g}.",
        "Mary {w}, phone 212-{f}-{g}, personal mail mary_{w}@yahoo.com, card number {b}.",
        "Please reach me at {w}{d}@hotmail.com or on my mobile +1 650 {f} {g}, ask for Mr {w}.",
        "Patient: Ann {w}, SSN 219-{n}{n}-{g}, home phone (303) {f}-{g}, ann{n}{n}@{w}mail.com.",
    ),
}

RESIDUE = {
    "zh": (
        '<div class="nav_{w}" style="display:none;"><a href="/list_{n}.html" target="_blank">&nbsp;更多&gt;&gt;</a>'
        "</div></td></tr></table>&nbsp;&nbsp;",
        'var _hmt = _hmt || []; (function() {{ var hm = document.createElement("script"); '
        'hm.src = "//hm.{w}.com/hm.js?{d}"; document.getElementsByTagName("head")[0].appendChild(hm); }})();',
        ".{w}_box{{width:{n}00px;margin:0 auto;padding:5px;float:left;display:block;}} "
        '<span class="time">&nbsp;</span><br/><p style="text-indent:2em;">',
        "document.write('<script src=\"/ads/{w}.js\"></script>');&nbsp;您的邮箱*：不能为空！&nbsp;"
        '<input type="hidden" name="{w}" value="{d}">',
    ),
    "en": (
        '<div class="sidebar-{w}" style="display:none;"><a href="/category/{w}?page={n}" rel="nofollow">Read '
        "more &raquo;</a></div></li></ul>&nbsp;&nbsp;",
        "window.dataLayer = window.dataLayer || []; function gtag(){{dataLayer.push(arguments);}} "
        "gtag('js', new Date()); gtag('config', 'UA-{d}-{n}'); document.getElementById('{w}').innerHTML = '';",
        ".{w}-widget {{ margin: 0 auto; padding: {n}px; float: left; display: none; }} "
        '<span class="meta">&nbsp;|&nbsp;</span><br /><p style="font-size:12px">',
        '<input type="hidden" name="{w}" value="{d}">Your E-mail*: cannot be empty!&nbsp;'
        "<script>(adsbygoogle = window.adsbygoogle || []).push({{}});</script></td></tr>",
    ),
}

MENU = {
    "zh": ("首页", "关于我们", "产品中心", "新闻资讯", "联系我们", "在线留言", "网站地图", "登录", "注册", "收藏本站",
           "设为首页", "友情链接", "下一页", "上一页", "返回顶部", "会员中心", "帮助中心", "购物车", "人才招聘",
           "客户案例", "更多", "论坛", "手机版", "搜索", "版权声明", "免责声明", "站内搜索", "最新文章", "热门标签"),
    "en": ("Home", "About Us", "Contact Us", "Products", "Services", "News", "Blog", "Login", "Register", "Sign In",
           "My Account", "Shopping Cart", "Sitemap", "Privacy Policy", "Terms of Use", "FAQ", "Help", "Careers",
           "Search", "Next", "Previous", "Back to Top", "Subscribe", "RSS", "Forum", "Gallery", "Archives",
           "Categories", "Recent Posts", "Popular Tags", "Share on Facebook", "Tweet", "Download"),
}  # fmt: skip

FOREIGN = (
    "昨日の夕方、駅前の小さな書店に立ち寄ったところ、店主が古い地図を広げて旅の思い出を話してくれました。"
    "彼は若いころ、自転車で海沿いの町を一つずつ訪ね、そこで食べた魚の味を今でも忘れられないと言います。"
    "窓の外では雨が降り始め、私たちは湯気の立つお茶を飲みながら、しばらく静かに時間を過ごしました。",
    "어제 저녁에 동네 시장을 걷다가 오래된 라디오를 고치는 할아버지를 만났습니다. 그는 작은 나사를 하나씩 닦으며 "
    "젊은 시절 배를 타고 여러 나라를 다녔던 이야기를 들려주었습니다. 나는 따뜻한 국수 한 그릇을 먹으면서 그의 "
    "목소리에 귀를 기울였고, 시간이 어떻게 지나갔는지 알 수 없었습니다.",
    "Вчера вечером мы долго сидели на берегу реки и слушали, как старый лодочник рассказывает о наводнении. "
    "Вода тогда поднялась до самых окон, и людям пришлось провести ночь на крышах своих домов. Утром пришла "
    "помощь, но многие уже успели потерять всё, что собирали долгие годы.",
    "Hier soir nous avons marché le long de la rivière avec les enfants de ma sœur, qui voulaient voir les bateaux "
    "rentrer au port. Le vent était froid, mais la lumière sur les maisons était si belle que personne ne voulait "
    "partir. Dans un petit café, une femme nous a raconté comment elle avait appris à réparer les filets avec son "
    "père, quand elle était encore à l'école.",
    "Gestern Abend sind wir mit den Kindern meiner Schwester am Fluss entlang gegangen, weil sie die Schiffe sehen "
    "wollten. Der Wind war kalt, aber das Licht auf den Häusern war so schön, dass niemand nach Hause gehen wollte. "
    "In einem kleinen Café hat uns eine alte Frau erzählt, wie sie von ihrem Vater gelernt hat, die Netze zu "
    "flicken, als sie noch zur Schule ging.",
    "Ayer por la tarde caminamos por la orilla del río con los hijos de mi hermana, porque querían ver los barcos "
    "que volvían al puerto. El viento era frío, pero la luz sobre las casas era tan hermosa que nadie quería irse. "
    "En un café pequeño una mujer nos contó cómo había aprendido a reparar las redes con su padre cuando todavía "
    "iba a la escuela.",
    "Ontem à tarde caminhamos pela margem do rio com os filhos da minha irmã, porque eles queriam ver os barcos que "
    "voltavam para o porto. O vento estava frio, mas a luz sobre as casas era tão bonita que ninguém queria ir "
    "embora. Num pequeno café uma mulher nos contou como aprendeu com o pai a consertar as redes quando ainda "
    "estava na escola.",
    "เมื่อวานตอนเย็นพวกเราเดินเล่นริมแม่น้ำกับลูกของพี่สาว เพราะเด็กอยากดูเรือที่กำลังกลับเข้าฝั่ง ลมเย็นมาก แต่แสงบนหลังคาบ้าน"
    "สวยจนไม่มีใครอยากกลับ ในร้านกาแฟเล็กแห่งหนึ่ง หญิงชราเล่าให้ฟังว่าเธอเรียนซ่อมแหกับพ่อตั้งแต่ยังเป็นเด็กนักเรียน",
)

NAMES = (
    "金华",
    "立明",
    "天泰",
    "永安",
    "海蓝",
    "春晓",
    "万通",
    "新雅",
    "德胜",
    "百合",
    "长青",
    "星辰",
    "佳美",
    "福临",
)
SYLLABLES = (
    "ba",
    "ro",
    "ti",
    "ken",
    "lo",
    "mar",
    "vi",
    "zan",
    "du",
    "fel",
    "gra",
    "ho",
    "nix",
    "pol",
    "su",
    "wex",
)
