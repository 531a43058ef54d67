"""What extractors leave behind: markup, style, script, templates and forms. The filter reads none of these patterns."""

from __future__ import annotations

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
    (
        r"\{\s*(?:margin|padding|color|width|height|float|display|font|background|border|text|line"
        r"|position|overflow|m(?:ax|in))[a-z-]{0,20}\s*:\s*[^;{}\n]{1,80};[^{}\n]{0,200}\}"
        r"|@(?:media|font-face|import|keyframes)\b[^;{\n]{0,60}[{;]",
        3,
    ),
    (r"\{\{\s*[\w.#/ |:'-]{1,60}\}\}.{0,80}\{[{%]|\{%[^%\n]{1,60}%\}", 3),
    (
        r"\[/?(?:url|img|quote|color|size|font|embed|caption|vc_\w{2,20}|gallery|et_pb\w*"
        r"|attach)(?:[= ][^\]\n]{0,120})?\]",
        1.5,
    ),
    (r"<\?php\b|\?>|<!--|-->|<noscript>|<iframe\b|<!\[CDATA\[", 1.5),
    (r"(?:Fatal error|Warning|Notice|Parse error): [^\n]{1,160}(?: on line \d+|\.php\b)", 3),
    (
        r"\bvar \w+ ?= ?(?:\w+ ?\|\| ?)?[\[{('\"]|\(function ?\([\w, ]*\) ?\{"
        r"|\$\([^()\n]{1,60}\)\.\w+\(|\}\)\s*(?:\(\))?;|\.push\(arguments\)",
        1.5,
    ),
    (r"(?:&[a-z]{3,6};\s*){2,}", 3),
    (
        r"(?:\bonclick|\bonload|\bonmouseover|\bhref|\bsrc|\balign|\bvalign|\bbgcolor"
        r"|\bcolspan|\bborder|\bcellpadding)=[\"'][^\"'\n]{0,120}[\"'][^<>\n]{0,160}/?>"
        r"|\bclass=[\"'][^\"'.\n]{0,120}[\"'][^<>\n]{0,160}/?>",  # a dot: class names of Java, in XML that is code
        1.5,
    ),
    (r"\{\"[@\w]+\":(?:\"|\{|\[|\d)[^\n]{0,80}\"\w+\":", 2.5),
    (
        r"your e-?mail address will not be published|required fields are marked"
        r"|save my name(?:, email)?|leave a (?:reply|comment)\b|must be (?:logged in|a member) to"
        r"|lost your password|forgot(?:ten)? (?:your )?password",
        2,
    ),
    (
        r"(?:enable|requires?) javascript|javascript is (?:required|disabled)"
        r"|browser does not support|(?:use|uses|requires) cookies|accept (?:all )?cookies"
        r"|cookie (?:settings|policy|preferences)|reject all|accept all",
        1.5,
    ),
    (
        r"(?:username|e-?mail)[^\n]{0,20}\*?\s*password\s*\*?|remember me|please enter the code"
        r"|notify (?:me )?of (?:new )?follow|sort by:? (?:newest|oldest|popular)",
        1.5,
    ),
    (
        r"add to (?:wishlist|compare)|rated \d out of 5|sku:|printer[- ]friendly|text size:"
        r"|toggle navigation|skip to (?:main )?content",
        1.5,
    ),
    (
        r"看不清[？?]?换一张|忘记密码|记住(?:我|密码)|匿名发表|(?:请先?|尚未|还没有)登录|登录后(?:才能|再|可)|验证码|发表评论|共有?\d+条评论",
        1.5,
    ),
    (
        r"(?:浏览|点击|阅读)(?:次数|量|数)?[:：]\s*\d*\s*次?|字号[:：]|打印本页|关闭窗口|[上下]一篇[:：]|责任编辑[:：]|分享到[:：]?"
        r"|本文来源[:：]|作者[:：]\s*admin",
        1.5,
    ),
    (
        r"浏览器(?:版本)?(?:过低|不支持)|启用 ?javascript|页面执行时间|次数据查询"
        r"|Powered by \w+|视频加载失败|请刷新重试",
        2,
    ),
)
