"""Prompts around supervised documents, by language: what stands before the prompt and before the response.

Wording from Ziya2 Table 2 and §3.2: 问题:{} 回答:{}, Question/Q: {} Answer/A: {}, and the problem-solution form,
whose Chinese wording the paper does not print (own choice).
"""

from __future__ import annotations

TEMPLATES: dict[str, dict[str, tuple[str, str]]] = {
    "question_answer": {"zh": ("问题:", " 回答:"), "en": ("Question: ", " Answer: ")},
    "q_a": {"zh": ("问:", " 答:"), "en": ("Q: ", " A: ")},
    "problem_solution": {"zh": ("题目:", " 解答:"), "en": ("Problem: ", " Solution: ")},
}
