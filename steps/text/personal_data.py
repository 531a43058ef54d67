"""Masking of personal data with typed placeholders: <EMAIL>, <PHONE>, <IP>, <ID_NUMBER>, <BANK_CARD>.

Candidates are found by compiled patterns, on the lines that `scan` flags; numbers then pass the checks that their
issuers defined (check digits, dates, prefixes, public address ranges) and must not stand in a formula, a version or an
order number. A candidate never begins or ends inside a word, an identifier or a decimal number. What is nobody's
stays: private and local addresses, the user "git" of a repository's address.
`benchmarks/quality/personal_data.py` measures what is found and what is masked in vain.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from steps.text import scan_tables as bits
from steps.text.scan import Scan

KINDS = ("email", "id_number", "bank_card", "phone", "ip")  # in the order in which they are looked for
PLACEHOLDERS = {kind: f"<{kind.upper()}>" for kind in KINDS}

MASKABLE = int(bits.AT | bits.NUMBER | bits.COLONS)

_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9@])",
    re.ASCII,
)
_ID_NUMBER = re.compile(r"(?<![\w.,$-])[1-9]\d{16}[\dXx](?![A-Za-z0-9_]|[.,]\d|-\d)", re.ASCII)
_BANK_CARD = re.compile(
    r"(?<![\w.,$=+*/^-])(?:[3-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?"
    r"|3[47]\d{2}([ -])\d{6}\2\d{5}|[3-6]\d{12,18})"
    r"(?![A-Za-z0-9_=+*/^]|[.,]\d|-\d)",
    re.ASCII,
)
# icon@2x.png, lodash@4.17.min.js
_FILE_NAME = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|ico|js|css|json|ya?ml|py|html?|md)$", re.IGNORECASE | re.ASCII
)
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_$=*/^+-])(?<!\d[.,])(?:"
    r"(?:\(?(?:\+|00)86\)?[ -]?)?1[3-9]\d([ -]?)\d{4}\1\d{4}"  # Chinese mobile
    r"|(?:\(?(?:\+|00)86\)?[ -]?)?"
    r"(?:\(0(?:10|2\d|[3-9]\d{2})\) ?|0(?:10|2\d|[3-9]\d{2})-)[2-8]\d{6,7}(?:-\d{1,4})?"  # landline
    r"|[48]00-\d{3}-?\d{4}|[48]00[ -]\d{4}[ -]\d{3}"  # Chinese service numbers
    r"|(?:\+?1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}([.-]))[2-9]\d{2}(?(2)\2|-)\d{4}"  # North America
    r"|\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,4}"  # others, with +
    r")(?![A-Za-z0-9_=*/^]|[.,]\d|-\d)",
    re.ASCII,
)
# numbers that their label makes telephone numbers: 电话：62345678、62345679, Tel 0755 2345 6789. The label is not the
# name in a placeholder, but may have placeholders behind it. Atomic groups: a long run of digits is tried once
_NUMBER = r"(?>(?:[(（]0\d{2,3}[)）] ?)?\d{2,4}(?:[ -]?\d{2,4}){1,4})"
_NEXT = r" ?[/、,，;；或和] ?"
_PHONE_NAMED = re.compile(
    r"((?:电话|座机|手机号?码?|热线|传真|联系方式|(?<![A-Za-z<])(?:tel|telephone|phone|mobile|fax|cell))[^\d\n<+(]{0,8}"
    rf"(?:<PHONE>{_NEXT}){{0,19}})"
    rf"(?<![\d.$=*/^_])(?=[\d(（])({_NUMBER}(?:{_NEXT}(?:{_NUMBER}|<PHONE>)){{0,19}})(?![A-Za-z0-9_=*/^]|[.,]\d|-\d)",
    re.IGNORECASE | re.ASCII,
)
_NAMED_NUMBER = re.compile(_NUMBER, re.ASCII)
_IPV4 = re.compile(
    r"(?<![\w.-])(?<![^/]/)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\w)",
    re.ASCII,
)
_VERSION_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:version|release|build|ver|firmware|v|section|chapter|EC|figure|table)"
    r"|版本|固件|章节|§)[ :：]*$",
    re.IGNORECASE,
)
_IPV6 = re.compile(
    r"(?<![\w:.])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?:[0-9A-Fa-f]{1,4}:){2,6}(?::[0-9A-Fa-f]{1,4}){1,5}|(?:[0-9A-Fa-f]{1,4}:){3,7}:)(?![\w:]|\.\w)",
    re.ASCII,
)
# an address whose four numbers are this small is a section number (1.2.3.4): 0.02 % of addresses look so
_LEAST_OCTET = 32
_ADDRESS_BEFORE = re.compile(
    r"(?<![A-Za-z])(?:IP|DNS|server|host|ping|address)|地址|服务器|主机", re.IGNORECASE
)
# RFC 6890: networks whose addresses are nobody's, and multicast; (first bits, how many)
_RESERVED = tuple(
    (int(ipaddress.IPv4Address(network)) >> (32 - size), size)
    for network, size in (
        ("0.0.0.0", 8),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.0.0", 24),
        ("192.168.0.0", 16),
        ("198.18.0.0", 15),
        ("224.0.0.0", 3),
    )
)
_NO_CARD_BEFORE = re.compile(
    r"(?:订单|运单|单号|流水|编号|编码|序列号|条码|(?<![A-Za-z])(?:order|invoice|tracking|isbn|issn|sku|serial|imei|id|no|hash))"
    r"[^\d\n]{0,8}$",
    re.IGNORECASE,
)
# operators and units beside a number
_FORMULA_BEFORE = re.compile(r"[=+*/^×÷≈≤≥<>{\\|&%] ?$")
_FORMULA_AFTER = re.compile(r" ?[=+*/^×÷≈≤≥}|&%元万亿]")
# GB 11643-1999: weights and check characters of the citizen identification number
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
_PROVINCES = frozenset(
    [
        *range(11, 16),
        *range(21, 24),
        *range(31, 38),
        *range(41, 47),
        *range(50, 55),
        *range(61, 66),
        71,
        81,
        82,
        83,
    ]
)
# ISO/IEC 7812 prefixes with the lengths that the networks issue
_CARD_PREFIXES = (
    (re.compile(r"62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"35"), (16,)),  # JCB
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),  # Discover
)


class Masked(NamedTuple):
    """A text with personal data replaced, and how often each kind was."""

    text: str
    counts: dict[str, int]


def valid_id_number(number: str) -> bool:
    """Whether 18 characters are a Chinese citizen identification number: province, date of birth, check
    character.
    """
    if int(number[:2]) not in _PROVINCES:
        return False
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    if not 1900 <= born.year <= 2100:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _ID_WEIGHTS, strict=False))
    return _ID_CHECK[total % 11] == number[17].upper()


def valid_bank_card(number: str) -> bool:
    """Whether a number (spaces and hyphens allowed) has a card network's prefix and length and its Luhn check
    digit.
    """
    digits = re.sub(r"[ -]", "", number)
    if not any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _CARD_PREFIXES):
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0 and len(set(digits)) > 1


def mask_personal_data(text: str) -> Masked:
    """Replace personal data by placeholders. Counts have every kind of `KINDS`."""
    totals = dict.fromkeys(KINDS, 0)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        lines[number], counts = mask_line(line)
        for kind, count in counts.items():
            totals[kind] += count
    return Masked("\n".join(lines), totals)


def mask_lines(data: np.ndarray, lines: Scan) -> tuple[dict[int, bytes], np.ndarray]:
    """The lines of a scanned batch that change, by number, and int64[documents, KINDS] of how often each kind was."""
    document = lines.documents()
    changed: dict[int, bytes] = {}
    counts = np.zeros((len(lines.first) - 1, len(KINDS)), np.int64)
    text = data.data
    for number in np.flatnonzero(lines.flags & np.uint32(MASKABLE)).tolist():
        before = str(text[lines.start[number] : lines.end[number]], "utf-8")
        after, found = mask_line(before, int(lines.flags[number]))
        if found:
            changed[number] = after.encode()
            for kind, count in found.items():
                counts[document[number], KINDS.index(kind)] += count
    return changed, counts


def mask_line(line: str, flags: int = MASKABLE) -> tuple[str, dict[str, int]]:
    """One line with placeholders, and how often each kind was found; ``flags`` (of `scan`) say what to look for."""
    counts: dict[str, int] = {}
    if flags & int(bits.AT):
        line = _substitute(_EMAIL, "email", line, _is_email, counts)
    if flags & int(bits.NUMBER):
        line = _substitute(_ID_NUMBER, "id_number", line, lambda m: valid_id_number(m[0]), counts)
        line = _substitute(_BANK_CARD, "bank_card", line, _is_card, counts)
        line = _substitute(_PHONE, "phone", line, _is_phone, counts)
        line = _substitute_named(line, counts)
        line = _substitute(_IPV4, "ip", line, _is_address, counts)
    if flags & int(bits.COLONS):
        line = _substitute(_IPV6, "ip", line, lambda m: _is_public(m[0]), counts)
    return line, counts


def _in_formula(match: re.Match[str]) -> bool:
    """Whether a number stands between operators, or between the dollar signs of LaTeX."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if before.count("$") % 2 and "$" in after:
        return True
    return bool(_FORMULA_BEFORE.search(before[-2:]) or _FORMULA_AFTER.match(after[:2]))


def _is_email(match: re.Match[str]) -> bool:
    if match[0].startswith("git@") and match.string.startswith((":", "/"), match.end()):
        return False
    return not _FILE_NAME.search(match[0])


def _is_card(match: re.Match[str]) -> bool:
    if not valid_bank_card(match[0]) or _in_formula(match):
        return False
    return not _NO_CARD_BEFORE.search(match.string[max(match.start() - 20, 0) : match.start()])


def _is_phone(match: re.Match[str]) -> bool:
    before = match.string[: match.start()].rstrip(" ")
    if match[0].startswith("+") and before[-1:].isdigit():
        return False  # a sum
    if len(set(re.sub(r"\D", "", match[0])[-8:])) == 1:
        return False  # 16000000000: a round number, or nobody's
    return not _in_formula(match)


def _is_named_phone(match: re.Match[str]) -> bool:
    return 7 <= sum(c.isdigit() for c in match[0]) <= 12


def _is_address(match: re.Match[str]) -> bool:
    before = match.string[max(match.start() - 24, 0) : match.start()]
    small = all(int(part) < _LEAST_OCTET for part in match[0].split("."))
    # a placeholder is short: beyond it stands what was too far away for the number that it stands for
    if small and not _ADDRESS_BEFORE.search(before.rpartition(">")[2]):
        return False
    return _is_public(match[0]) and not _VERSION_BEFORE.search(before)


def _is_public(address: str) -> bool:
    """Whether an address can be somebody's: unicast, and neither private nor local."""
    try:
        number = int(parsed := ipaddress.ip_address(address))
    except ValueError:
        return False
    if parsed.version == 6:
        return number >> 125 == 1  # 2000::/3 is all that is assigned
    return not any(number >> (32 - bits_) == prefix for prefix, bits_ in _RESERVED)


def _substitute(
    pattern: re.Pattern[str],
    kind: str,
    line: str,
    accept: Callable[[re.Match[str]], bool],
    counts: dict[str, int],
) -> str:
    """The line with accepted matches replaced."""

    def replace(match: re.Match[str]) -> str:
        if not accept(match):
            return match[0]
        counts[kind] = counts.get(kind, 0) + 1
        return PLACEHOLDERS[kind]

    return pattern.sub(replace, line)


def _substitute_named(line: str, counts: dict[str, int]) -> str:
    """The line with the numbers behind a label replaced."""
    return _PHONE_NAMED.sub(
        lambda m: m[1] + _substitute(_NAMED_NUMBER, "phone", m[2], _is_named_phone, counts), line
    )
