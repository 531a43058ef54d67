"""A calculation that a model wrote, as a SymPy value. Only numbers, symbols, operators and named functions.

Nothing is evaluated as Python, which is what sympy.parse_expr would do. Runs in the child (math_child.py).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

import sympy

MOST_CHARACTERS = 2_000
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: sympy.floor(a / b),
    ast.Mod: sympy.Mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_CONSTANTS = {"pi": sympy.pi, "E": sympy.E, "I": sympy.I, "oo": sympy.oo}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(sympy, name)
    for name in (
        "sqrt", "cbrt", "root", "exp", "log", "ln", "sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2", "sinh",
        "cosh", "tanh", "Abs", "sign", "floor", "ceiling", "Mod", "Min", "Max", "Rational", "Integer", "factorial",
        "binomial", "gcd", "lcm", "isprime", "divisor_count", "totient", "re", "im", "conjugate", "diff", "integrate",
        "limit", "summation", "product", "solve", "Eq", "expand", "factor", "simplify", "together", "rad", "deg",
    )
} | {"abs": sympy.Abs, "sum": lambda values: sympy.Add(*values), "max": sympy.Max, "min": sympy.Min}  # fmt: skip
_SYMBOL = re.compile(r"[A-Za-z](?:_?\d{1,2})?")


class NoCalculation(ValueError):
    """Something else than numbers, symbols, operators and the functions."""


def value_of(text: str) -> Any:
    """The SymPy value; several solutions are a set. Raises NoCalculation, and whatever SymPy does."""
    if len(text) > MOST_CHARACTERS:
        raise NoCalculation(f"it has more than {MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NoCalculation("it is no expression") from None
    value = _value(tree.body, text.strip())
    if isinstance(value, list):
        return value[0] if len(value) == 1 else sympy.FiniteSet(*value)
    return sympy.sympify(value, strict=True) if isinstance(value, (bool, int)) else value


def _value(node: ast.AST, text: str) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return sympy.Rational((ast.get_source_segment(text, node) or "").replace("_", ""))  # 0.1 is a tenth
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, text), _value(node.right, text))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, text))
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item, text) for item in node.elts)
    if isinstance(node, ast.Name):
        if node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        if _SYMBOL.fullmatch(node.id):
            return sympy.Symbol(node.id, real=True)
        raise NoCalculation(f"{node.id[:40]} is no symbol")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise NoCalculation(f"there is no function {node.func.id[:40]}")
        return _FUNCTIONS[node.func.id](*(_value(argument, text) for argument in node.args))
    raise NoCalculation(f"{type(node).__name__} is no part of a calculation")
