"""Lays a text out as a web page, with what pages have around it: navigation, banners, advertising, footers."""

from __future__ import annotations

from html import escape
from random import Random

SITES = {
    "zh": ("小城笔记", "慢读周刊", "山茶书房", "晨光随笔"),
    "en": ("The Small Ledger", "Harbour Notes", "Field & Kettle", "Plain Thinking"),
    "other": ("Notizen", "Carnet", "Quaderno"),
}
NAVIGATION = {
    "zh": ("首页", "栏目", "专题", "图片", "关于我们", "联系方式"),
    "en": ("Home", "Sections", "Archive", "Pictures", "About", "Contact"),
    "other": ("Start", "Archiv", "Info", "Kontakt"),
}
COOKIES = {
    "zh": "本网站使用 Cookie 以改善您的浏览体验，继续浏览即表示您同意我们的隐私政策。",
    "en": "We use cookies to improve your experience. By continuing you accept our cookie policy.",
    "other": "Cookies help us. OK",
}
ADVERTISEMENTS = {
    "zh": ("广告 全场五折起，今日下单包邮", "推广 下载客户端，新人立领红包"),
    "en": ("Advertisement Sale ends tonight, 50% off everything", "Sponsored Download our app and save"),
    "other": ("Anzeige Jetzt bestellen",),
}
FOOTERS = {
    "zh": "版权所有 © 2026 {site} 未经许可不得转载 京ICP备00000000号",
    "en": "© 2026 {site}. All rights reserved. Terms of use | Privacy policy",
    "other": "© 2026 {site}",
}
RELATED = {"zh": "相关阅读", "en": "Related articles", "other": "Mehr"}


def paragraphs(text: str) -> list[str]:
    """The text's paragraphs."""
    return [stripped for part in text.split("\n") if (stripped := part.strip(" "))]


def page(
    title: str, text: str, language: str, draw: Random, *, charset: str = "utf-8", extra: str = ""
) -> str:
    """An HTML page in one of three layouts; ``extra`` is markup that stands at the end of the main text."""
    key = language if language in SITES else "other"
    site = SITES[key][int(draw.random() * len(SITES[key]))]
    links = "".join(f'<li><a href="/{i}">{escape(name)}</a></li>' for i, name in enumerate(NAVIGATION[key]))
    advertisement = ADVERTISEMENTS[key][int(draw.random() * len(ADVERTISEMENTS[key]))]
    body = "\n".join(f"<p>{escape(part)}</p>" for part in paragraphs(text)) + extra
    layout = LAYOUTS[int(draw.random() * len(LAYOUTS))]
    return layout.format(
        language=escape(language),
        charset=charset,
        title=escape(title),
        site=escape(site),
        links=links,
        cookies=escape(COOKIES[key]),
        advertisement=escape(advertisement),
        footer=escape(FOOTERS[key].format(site=site)),
        related=escape(RELATED[key]),
        body=body,
    )


LAYOUTS = (
    """<!DOCTYPE html>
<html lang="{language}"><head><meta charset="{charset}"><title>{title} - {site}</title>
<style>body {{ font: 16px serif }}</style><script>var t = {{"a": 1}};</script></head>
<body><nav><a href="/">{site}</a><ul>{links}</ul></nav>
<div class="cookie-banner" role="dialog"><p>{cookies}</p><button>OK</button></div>
<main><article><h1>{title}</h1>
{body}
</article></main>
<aside class="sidebar ad"><a href="/ad">{advertisement}</a></aside>
<footer><p>{footer}</p></footer></body></html>
""",
    """<html lang="{language}">
<head><meta http-equiv="Content-Type" content="text/html; charset={charset}"><title>{title} | {site}</title></head>
<body><div id="header"><div class="nav">{links}</div></div>
<div id="content"><div class="article-content"><h1>{title}</h1>
{body}
</div></div>
<div class="advertisement banner-ad"><a href="/ad">{advertisement}</a></div>
<div class="related-posts"><h3>{related}</h3><ul>{links}</ul></div>
<div id="footer">{footer}</div>
<div id="cookie-notice" class="cookie-notice">{cookies}</div></body></html>
""",
    """<!doctype html><html lang="{language}"><head><meta charset="{charset}"><title>{title}</title>
<script src="/track.js"></script></head><body class="single">
<nav class="menu"><ul>{links}</ul></nav>
<section class="post"><header><h1>{title}</h1></header><div class="entry-content">
{body}
</div></section>
<aside class="share-buttons"><a href="#">Facebook</a> <a href="#">Weibo</a></aside>
<aside class="widget promo"><p>{advertisement}</p></aside>
<footer class="site-footer"><ul>{links}</ul><small>{footer}</small></footer>
<div class="modal gdpr-consent">{cookies}</div></body></html>
""",
)
