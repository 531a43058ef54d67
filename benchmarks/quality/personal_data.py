"""Personal data: what is found in texts with planted strings, and what is masked in texts that hold none.

    python -m benchmarks.quality.personal_data

Recall: strings made by rule for every kind, in the ways people write them, put into sentences. Precision: numbers of
other meaning (versions, ISBN, DOI, order numbers, LaTeX, hexadecimal …), and formulas, program text, laws and maths of
the shared data, where every mask is printed for a person to judge.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import run_peer
from benchmarks.quality.chain import markdown, read_jsonl, shared
from steps.text.personal_data import KINDS, PLACEHOLDERS, mask_personal_data, valid_bank_card, valid_id_number

COUNT = 300
FRAMES = ("请联系{}，谢谢。", "{}", "Contact: {}.", "有问题找{}吧", "see {} for more, please", "（{}）")
NO_DATA = {
    "version numbers": "v{a}.{b}.{c}.{d} released|version {a}.{b}.{c}.{d}|Chrome/{a}.{b}.{e}.{d}|版本 {a}.{b}.{c}.{d}",
    "section numbers": "{b}.{c}.{d}.{b} 概述|§ {a}.{b}.{c}.{d}|section {b}.{c}.{d}.{c} says",
    "dates and times": "2024-0{d}-1{d} 1{c}:3{d}:4{b}|20240{d}1{d}1{c}3{d}4{b}|1{a}00000000|2010-2024, 1999/2000",
    "ISBN, ISSN, DOI": "ISBN 978-7-1{a}-{e}{d}-{b}|ISSN 1{e}-4{e}|doi:10.{e}/j.cell.20{a}.{c}.{d}{e}",
    "order numbers": "订单号2024{e}{e}{e}{a}|单号 SF{e}{e}{e}|order 6{e}{e}{e}{a}|编号：62{e}{e}{e}{a}",
    "hexadecimal": "0x{e}{e}{e}ab|sha256:{e}{e}{e}{e}deadbeef|#{e}{a}|{e}-{e}-4{a}-a{a}-{e}{e}{e}",
    "formulas": "$x={e}{e}{e}$|{e}{e}{e} * {a} = {e}{e}{e}{a}|a_{{138{e}{e}}}+1|3.14159{e}{e}{e}|f(1{e}{e}{e}) = {a}",
    "amounts": "${e},{a}00.00|人民币{e}{e}000元|{e}{e} 万|1,{a}34,{b}67,890|population {e} {e}",
    "code": "int a[]={{{e}, {e}, {e}}};|@Override void f()|git@github.com:a/b.git|icon@{b}x.png|x = {e}{e}{e};",
    "private addresses": "192.168.{a}.{b}|10.0.{c}.{d}|127.0.0.1:8080|172.16.{a}.{d}|255.255.255.0|::1",
}


def luhn(digits: str) -> str:
    return next(digits + check for check in "0123456789" if valid_bank_card(digits + check))


def planted(draw: random.Random) -> Iterator[tuple[str, str]]:
    """(kind, string) of invented personal data."""

    def digits(count: int) -> str:
        return "".join(draw.choices("0123456789", k=count))

    name = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7))
    host = draw.choice(("163.com", "qq.com", "gmail.com", "mail.example.co.uk", "pku.edu.cn"))
    yield "email", draw.choice((f"{name}@{host}", f"{name}.{digits(2)}@{host}", f"{name}+x@{host}"))
    mobile = f"1{draw.choice('3456789')}{digits(9)}"
    spaced = f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}"
    yield "phone", draw.choice((mobile, f"+86 {mobile}", spaced, spaced.replace(" ", "-")))
    area, landline = draw.choice(("010", "021", "0755", "0571")), draw.choice("2345678") + digits(7)
    yield (
        "phone",
        draw.choice((f"{area}-{landline}", f"({area}) {landline}", f"{area}-{landline}-{digits(3)}")),
    )
    local = f"555-{digits(4)}"
    british, german = f"+44 20 7{digits(3)} {digits(4)}", f"+49 30 {digits(6)}"
    yield "phone", draw.choice((f"(415) {local}", f"+1-212-{local}", british, german))
    place = draw.choice(("110105", "310104", "440305", "510107"))
    born = f"19{draw.randint(50, 99)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    body = place + born + digits(3)
    yield "id_number", next(body + check for check in "0123456789X" if valid_id_number(body + check))
    visa, union = luhn("4" + digits(14)), luhn("62" + digits(16))
    fours = re.findall("....", visa)
    yield "bank_card", draw.choice((union, visa, " ".join(fours), "-".join(fours)))
    first = draw.choice((36, 58, 114, 202, 219))
    yield "ip", f"{first}.{draw.randint(0, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"
    parts = [f"{draw.randint(1, 0xFFFF):x}" for _ in range(3)]
    yield "ip", f"2408:{parts[0]}::{parts[1]}:{parts[2]}"


def recall(draw: random.Random) -> list[list[object]]:
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    texts: list[tuple[str, str, str]] = []
    for _ in range(COUNT):
        for kind, string in planted(draw):
            texts.append((kind, string, draw.choice(FRAMES).format(string)))
    peer = run_peer(
        "datatrove", Path(__file__).parent / "personal_data_datatrove.py", [text for _, _, text in texts]
    )
    by_peer: Counter[str] = Counter()
    for (kind, string, text), other in zip(texts, peer, strict=True):
        masked = mask_personal_data(text).text
        total[kind] += 1
        found[kind] += string not in masked
        right[kind] += masked == text.replace(string, PLACEHOLDERS[kind])
        by_peer[kind] += string not in other
    return [
        [kind, total[kind]] + [f"{counts[kind] / total[kind]:.3f}" for counts in (found, right, by_peer)]
        for kind in KINDS
    ]


def false_masks(draw: random.Random) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, patterns in NO_DATA.items():
        texts = []
        for _ in range(COUNT):
            numbers = {"a": draw.randint(10, 99), "b": draw.randint(1, 9), "c": draw.randint(0, 5)}
            numbers |= {"d": draw.randint(1, 9), "e": draw.randint(1000, 9999)}
            texts.append(draw.choice(FRAMES).format(draw.choice(patterns.split("|")).format(**numbers)))
        masked = [mask_personal_data(text).text for text in texts]
        wrong = [text for text, after in zip(texts, masked, strict=True) if text != after]
        rows.append(
            [name, len(texts), len(wrong), f"{1 - len(wrong) / len(texts):.3f}", wrong[0] if wrong else ""]
        )
    return rows


REAL = {
    "laws": "laws_zh/laws.jsonl.gz",
    "OI-wiki (LaTeX, C++)": "oi_wiki_zh/docs.jsonl.gz",
    "MATH (LaTeX)": "math_train/MATH_train_1500.jsonl.gz",
    "GSM8K": "sft_gsm8k/train.jsonl.gz",
    "wiki en": "wiki_en/train.jsonl.gz",
}


def real() -> tuple[list[list[object]], list[str]]:
    """Masks in real texts that hold next to no personal data, and their lines."""
    rows: list[list[object]] = []
    seen = []
    for name, path in REAL.items():
        texts = ["\n".join(str(value) for value in row.values()) for row in read_jsonl(shared(path))]
        counts: Counter[str] = Counter()
        for text in texts:
            masked = mask_personal_data(text)
            counts.update(masked.counts)
            if sum(masked.counts.values()):
                pairs = zip(text.split("\n"), masked.text.split("\n"), strict=True)
                seen += [f"{name}: {after.strip()[:150]}" for before, after in pairs if before != after]
        size = sum(len(text.encode()) for text in texts) / 1e6
        rows.append([name, len(texts), f"{size:.1f}", *(counts[kind] for kind in KINDS)])
    return rows, seen


def main() -> None:
    """Print the tables, then every line of real text with a mask."""
    draw = random.Random(1)
    print(
        markdown(
            ["planted", "strings", "masked", "and nothing else", "datatrove's PIIFormatter"], recall(draw)
        )
    )
    print()
    print(markdown(["no personal data", "texts", "false masks", "untouched", "example"], false_masks(draw)))
    rows, seen = real()
    print()
    print(markdown(["real texts", "documents", "MB", *KINDS], rows))
    print("\n" + "\n".join(seen))


if __name__ == "__main__":
    main()
