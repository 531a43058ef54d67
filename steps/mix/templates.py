"""Prompts around supervised documents by language, and fences around code.

Wording from Ziya2 Table 2 and §3.2: 问题:{} 回答:{}, Question/Q: {} Answer/A: {}, the Chinese multiple-choice form
回答:答案:{}, and the problem-solution form, whose Chinese wording the paper does not print (own choice). Code stands
between ``` fences with the language's name, as in §2.2.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

TEMPLATES: dict[str, dict[str, Any]] = {
    "question_answer": {"zh": ("问题:", " 回答:"), "en": ("Question: ", " Answer: ")},
    "q_a": {"zh": ("问:", " 答:"), "en": ("Q: ", " A: ")},
    "problem_solution": {"zh": ("题目:", " 解答:"), "en": ("Problem: ", " Solution: ")},
    "multiple_choice": {"zh": ("问题:", " 回答:答案:"), "en": ("Question: ", " Answer: ")},
    "code": {"fence": "```"},
}

# Names as GitHub's linguist gives them to Markdown fences, by the endings that it lists first for them.
LANGUAGES = {
    **{"bash": "sh", "c": "c", "cpp": "cpp", "csharp": "cs", "css": "css", "go": "go", "html": "html"},
    **{"java": "java", "javascript": "js", "json": "json", "julia": "jl", "kotlin": "kt", "lua": "lua"},
    **{"markdown": "md", "matlab": "m", "perl": "pl", "php": "php", "python": "py", "r": "r", "ruby": "rb"},
    **{"rust": "rs", "scala": "scala", "sql": "sql", "swift": "swift", "tex": "tex", "typescript": "ts"},
    **{"verilog": "v", "xml": "xml", "yaml": "yml", "haskell": "hs", "dart": "dart", "makefile": "mk"},
}
ENDINGS = {ending: name for name, ending in LANGUAGES.items()} | {
    **{"cc": "cpp", "cxx": "cpp", "hpp": "cpp", "hh": "cpp", "h": "c", "htm": "html", "yaml": "yaml"},
    **{"jsx": "javascript", "mjs": "javascript", "tsx": "typescript", "kts": "kotlin", "bash": "bash"},
    **{"pyi": "python", "cu": "cuda", "ipynb": "json", "rmd": "markdown", "proto": "protobuf"},
}


def code_language(url: str | None, metadata: str | None) -> str:
    """The fence's language name by the ending of the document's title, else of its address's path; else empty."""
    for name in (_title(metadata), _path(url)):
        stem = name.strip().lower().rpartition("/")[2]
        dot, ending = stem.rpartition(".")[1:]
        found = "makefile" if stem == "makefile" else ENDINGS.get(ending if dot else "", "")
        if found:
            return found
    return ""


def _title(metadata: str | None) -> str:
    title = json.loads(metadata or "{}").get("title")
    return title if isinstance(title, str) else ""


def _path(url: str | None) -> str:
    try:
        return urlsplit(url or "").path
    except ValueError:  # not an address, such as http://[
        return ""
