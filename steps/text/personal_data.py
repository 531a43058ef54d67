"""Masking of personal data with typed placeholders: <EMAIL>, <PHONE>, <IP>, <ID_NUMBER>, <BANK_CARD>.

Candidates are found by compiled patterns; numbers then pass the checks that their issuers defined (check
digits, dates, prefixes), so that formulas, prices, versions and other long numbers stay. A candidate never
begins or ends inside a word, an identifier or a decimal number.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import NamedTuple

KINDS = ("email", "id_number", "bank_card", "phone", "ip")  # in the order in which they are looked for
PLACEHOLDERS = {kind: f"<{kind.upper()}>" for kind in KINDS}

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
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.,$=*/^+-])(?:"
    r"(?:\(?(?:\+|00)86\)?[ -]?)?1[3-9]\d([ -]?)\d{4}\1\d{4}"  # Chinese mobile
    r"|(?:\(?(?:\+|00)86\)?[ -]?)?"
    r"(?:\(0(?:10|2\d|[3-9]\d{2})\) ?|0(?:10|2\d|[3-9]\d{2})-)[2-8]\d{6,7}"  # landline
    r"|[48]00-\d{3}-?\d{4}|[48]00[ -]\d{4}[ -]\d{3}"  # Chinese service numbers
    r"|(?:\+?1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}([.-]))[2-9]\d{2}(?(2)\2|-)\d{4}"  # North America
    r"|\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,4}"  # others, with +
    r")(?![A-Za-z0-9_=*/^]|[.,]\d|-\d)",
    re.ASCII,
)
_IPV4 = re.compile(
    r"(?<![\w.-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\w)", re.ASCII
)
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:version|release|build|ver|firmware|v|section)|版本|固件|§)[ :：]*$", re.IGNORECASE
)
_IPV6 = re.compile(
    r"(?<![\w:.])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?:[0-9A-Fa-f]{1,4}:){2,6}(?::[0-9A-Fa-f]{1,4}){1,5}|(?:[0-9A-Fa-f]{1,4}:){3,7}:)(?![\w:.])",
    re.ASCII,
)
_DIGITS = re.compile(r"[0-9]{3}")
_NO_PERSON = ("0.", "127.", "255.255.255.")  # unspecified, loopback, masks: nobody's address
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
    counts = dict.fromkeys(KINDS, 0)
    if "@" in text:
        text, counts["email"] = _EMAIL.subn(PLACEHOLDERS["email"], text)
    if _DIGITS.search(text) or "." in text:
        text, counts["id_number"] = _substitute(
            _ID_NUMBER, "id_number", text, lambda m: valid_id_number(m[0])
        )
        text, counts["bank_card"] = _substitute(
            _BANK_CARD, "bank_card", text, lambda m: valid_bank_card(m[0])
        )
        text, counts["phone"] = _PHONE.subn(PLACEHOLDERS["phone"], text)
        text, counts["ip"] = _substitute(_IPV4, "ip", text, _is_address)
    if text.count(":") >= 4:
        text, more = _IPV6.subn(PLACEHOLDERS["ip"], text)
        counts["ip"] += more
    return Masked(text, counts)


def _is_address(match: re.Match[str]) -> bool:
    before = match.string[max(match.start() - 12, 0) : match.start()]
    return not match[0].startswith(_NO_PERSON) and not _VERSION_BEFORE.search(before)


def _substitute(
    pattern: re.Pattern[str], kind: str, text: str, accept: Callable[[re.Match[str]], bool]
) -> tuple[str, int]:
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        if not accept(match):
            return match[0]
        count += 1
        return PLACEHOLDERS[kind]

    return pattern.sub(replace, text), count
