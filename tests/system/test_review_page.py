"""The review page in a real browser, behind a real api-server: two readers, hostile texts, a crash, no rights."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.review.desk import read_twice
from steps.core.labels import collect_labels
from steps.core.signing import PUBLIC_KEYS
from steps.core.store import open_store
from tests.steps.documents import make_corpus
from tests.steps.gate.line import records, step
from tests.system.review import ApiServer, Reader, chromium, skip_reason

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason()),
]
HOSTILE = {
    "script": "before <script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> after",
    "direction": "plain \u202egnihtemos\u202c and \u2066more\u2069 and zero\u200bwidth",
    "control": "a bell \u0007, an escape \u001b[31m, a line separator\u2028here, a soft hyphen\u00ad",
    "long": "0123456789" * 100_000,
    "blank": "x" + "\n" * 5000 + "y",
}
TIMERS = """() => {
    const set = window.setTimeout, clear = window.clearTimeout;
    window.timers = new Set();
    window.setTimeout = (act, wait) => {
        const timer = set(() => { timers.delete(timer); act(); }, wait);
        timers.add(timer);
        return timer;
    };
    window.clearTimeout = (timer) => { timers.delete(timer); clear(timer); };
}"""
HELD_TIMERS = """() => {
    window.held = new Map();
    window.setTimeout = (act) => { held.set(held.size + 1, act); return held.size; };
    window.clearTimeout = (timer) => held.delete(timer);
}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("review")


def sample_of(root: Path, documents: list[dict[str, Any]], name: str) -> Any:
    corpus = make_corpus(root, [documents], name)
    return step(root, "evaluate", {"sample_fraction": 1.0, "seeded": 36}, {"corpus": corpus.ref}).artifact


@pytest.fixture(scope="module")
def sample(place: Path) -> Any:
    """Ordinary documents, and seeded defects among them."""
    return sample_of(
        place / "root", [{k: v for k, v in r.items() if k != "_signals"} for r in records(40)], "ordinary"
    )


@pytest.fixture(scope="module")
def hostile(place: Path) -> Any:
    documents = [
        {"text": text, "language": "en", "dump": "D2", "url": f"https://{name}.example/<b>"}
        for name, text in HOSTILE.items()
    ]
    return sample_of(place / "root", documents, "hostile")


@pytest.fixture(scope="module")
def server(place: Path, sample: Any) -> Iterator[ApiServer]:
    server = ApiServer(place / "airflow", f"file://{place}/root")
    server.migrate()
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            PUBLIC_KEYS, server.keys[PUBLIC_KEYS]
        )  # from here on `labels` refuses what the page did not sign
        yield server
    server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def labels(place: Path, sample: Any) -> list[Any]:
    return collect_labels(open_store(f"file://{place}/root"), sample.digest)


def test_without_the_right_to_answer_there_is_nothing(server: ApiServer, sample: Any) -> None:
    paths = ("/review/", "/review/static/page.js", f"/review/api/state?sample={sample.local_ref}")
    for path in paths:
        assert server.status(path) == 401, path
        assert server.status(path, server.token("vera")) == 403, path
        assert server.status(path, server.token("anna")) == 200, path
    body = {"sample": sample.local_ref}
    assert server.status("/review/api/next", "", body, X_Review="tokenmill") == 401
    assert server.status("/review/api/next", server.token("vera"), body, X_Review="tokenmill") == 403
    assert server.status("/review/api/next", server.token("anna"), body) == 403, (
        "a foreign page cannot set the header"
    )


def test_only_samples_of_this_root_are_shown(server: ApiServer, sample: Any) -> None:
    token = server.token("anna")
    for ref in (
        "publish/" + "0" * 64 + "@" + "0" * 64,
        "../../etc/passwd",
        "evaluate/../x@y",
        "file:///etc",
        sample.local_ref + "0",
    ):
        status, content = server.request(f"/review/api/state?sample={ref}", token)
        assert status in (400, 422), (ref, content)
        assert b"Traceback" not in content


def test_hostile_texts_are_shown_as_text(server: ApiServer, hostile: Any, browser: Any) -> None:
    reader = Reader(browser, server, "ben", hostile.local_ref)
    by_id = {
        row["sample_id"]: row["text"]
        for row in hostile.read_table(hostile.file("sample.parquet")).to_pylist()
    }
    wanted = {name for name, text in by_id.items() if text in HOSTILE.values()}
    assert len(wanted) == len(HOSTILE)
    shown, now = set(), reader.open()
    while now and not wanted <= shown:
        shown.add(now)
        if now in wanted:
            text = by_id[now]
            seen = reader.page.evaluate("document.getElementById('text').textContent")
            assert reader.page.evaluate("document.querySelectorAll('#text *:not(.control)').length") == 0
            if text == HOSTILE["script"]:
                assert seen == text
            if text == HOSTILE["direction"]:
                assert "U+202Egnihtemos" in seen and "zeroU+200Bwidth" in seen
            if text == HOSTILE["control"]:
                assert "a bell U+0007, an escape U+001B[31m" in seen
            if text == HOSTILE["long"]:
                assert len(seen) == 60_000
                reader.page.click("#more")
                assert reader.page.evaluate("document.getElementById('text').textContent.length") == len(text)
        now = reader.press("g")
    assert reader.page.evaluate("window.hacked") is None
    assert reader.errors == []
    reader.context.close()


def test_two_people_read_by_keyboard_and_nothing_is_lost(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    before = len(labels(place, sample))
    twice = read_twice(sample.read_table(sample.file("sample.parquet"))["sample_id"].to_pylist())
    people = {name: Reader(browser, server, name, sample.local_ref) for name in ("anna", "ben")}
    shown = {name: reader.open() for name, reader in people.items()}
    given: Counter[str] = Counter()
    for number in range(50):
        name = ("anna", "ben")[number % 2]
        reader, now = people[name], shown[name]
        assert now, f"{name} has nothing left to read after {number} documents"
        assert shown["anna"] != shown["ben"] or now in twice
        if number == 20:  # reload in the middle: the same document is there
            assert reader.open() == now
        if number == 21:  # two presses in one moment are one answer
            reader.page.evaluate(
                "for (let i = 0; i < 2; i += 1) dispatchEvent(new KeyboardEvent('keydown', { key: 'g' }))"
            )
            shown[name] = reader.wait_for_document(now)
        else:
            shown[name] = reader.press(*(("t", "Enter") if number % 7 == 3 else ("g",)))
        given[now] += 1
    found = labels(place, sample)
    assert len(found) - before == sum(given.values()) == 50
    readings = Counter(label.sample_id for label in found)
    assert all(count <= 1 + (name in twice) for name, count in readings.items())
    assert all(
        label.seconds is not None and label.client and label.guideline_version == "1" for label in found
    )
    bad = [label for label in found if label.label == "bad"]
    assert bad and all(label.defects == ("toxic",) for label in bad)
    for reader in people.values():
        assert reader.errors == []
        reader.context.close()


def test_an_answer_outlives_a_crash_of_the_server(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    reader = Reader(browser, server, "anna", sample.local_ref)
    now = reader.open()
    assert now
    before = len(labels(place, sample))
    server.kill()
    reader.page.evaluate(TIMERS)
    for _ in range(3):  # whoever presses again is not answered twice
        reader.page.keyboard.press("g")
        reader.page.wait_for_function("() => !document.getElementById('message').hidden && !state.busy")
        assert reader.page.evaluate("window.timers.size") <= 1
    assert "kept here" in reader.page.text_content("#message")
    server.start()
    assert reader.wait_for_document(now) != now
    assert len(labels(place, sample)) == before + 1
    reader.context.close()


def test_an_answer_of_somebody_whose_login_ended_waits_for_them_alone(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    reader = Reader(browser, server, "anna", sample.local_ref)
    now = reader.open()
    before = len(labels(place, sample))
    reader.context.clear_cookies()
    reader.page.keyboard.press("g")
    reader.page.wait_for_function("() => !document.getElementById('message').hidden")
    assert "kept here" in reader.page.text_content("#message")
    for user, given in (("ben", 0), ("anna", 1)):  # in the same browser
        reader.context.add_cookies([{"name": "_token", "value": server.token(user), "url": server.url}])
        if user == "ben":  # in anna's page
            reader.page.keyboard.press("g")
            reader.page.wait_for_function(
                "() => document.getElementById('message').textContent.includes('ben')"
            )
            assert len(labels(place, sample)) == before
        assert reader.open()
        found = labels(place, sample)
        assert len(found) == before + given, user
    assert [label.annotator for label in found if label.sample_id == now].count("anna") == 1
    reader.context.close()


def test_an_answer_that_waits_to_be_sent_again_does_not_end_a_correction(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    reader = Reader(browser, server, "anna", sample.local_ref)
    reader.open()
    waits = reader.press("g")
    reader.page.evaluate(HELD_TIMERS)
    reader.page.route("**/api/answer", lambda route: route.abort())
    reader.page.keyboard.press("g")
    reader.page.wait_for_function("() => held.size && !state.busy")
    reader.page.unroute("**/api/answer")
    reader.page.keyboard.press("u")
    corrected = reader.wait_for_document(waits)
    reader.page.evaluate("() => Promise.all([...held.values()].map((act) => act()))")
    assert reader.document() == corrected
    reader.press("t", "Enter")
    found = {label.sample_id: label for label in labels(place, sample) if label.annotator == "anna"}
    assert found[waits].label == "good"
    assert found[corrected].defects == ("toxic",)
    reader.context.close()


def test_undo_corrects_and_the_guideline_opens_in_both_languages(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    reader = Reader(browser, server, "anna", sample.local_ref)
    first = reader.open()
    reader.press("g")
    second = reader.document()
    reader.page.keyboard.press("u")
    assert reader.wait_for_document(second) == first
    reader.page.keyboard.press("c")
    assert reader.press("Enter") == second
    mine = {label.sample_id: label for label in labels(place, sample) if label.annotator == "anna"}
    assert mine[first].defects == ("coherence",)
    for language, words in (("en", "Guideline for readers, version 1"), ("zh", "阅读指南，第 1 版")):
        reader.page.keyboard.press("?")
        reader.page.wait_for_function("() => document.getElementById('guideline').open")
        assert reader.page.text_content("#guideline-text").startswith(words), language
        reader.page.keyboard.press("Escape")
        reader.page.keyboard.press("l")
    reader.context.close()


def test_a_marked_passage_is_counted_in_characters(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    reader = Reader(browser, server, "anna", sample.local_ref)
    now = reader.open()
    text = next(
        r["text"]
        for r in sample.read_table(sample.file("sample.parquet")).to_pylist()
        if r["sample_id"] == now
    )
    reader.page.evaluate(
        """() => {
            const node = document.getElementById('text').firstChild, range = document.createRange();
            range.setStart(node, 2);
            range.setEnd(node, 9);
            getSelection().removeAllRanges();
            getSelection().addRange(range);
        }"""
    )
    reader.page.keyboard.press("m")
    following = reader.press("r", "Enter")
    label = next(
        label for label in labels(place, sample) if label.sample_id == now and label.annotator == "anna"
    )
    assert text[label.start : label.end] == text[2:9]
    assert json.loads(label.model_dump_json())["defects"] == ["readability"]
    reader.page.keyboard.press("u")
    assert reader.wait_for_document(following) == now
    reader.press("c", "Enter")
    (corrected,) = (
        label for label in labels(place, sample) if label.sample_id == now and label.annotator == "anna"
    )
    assert corrected.defects == ("coherence", "readability")
    assert (corrected.start, corrected.end) == (label.start, label.end), "still marked"
    reader.context.close()


def test_a_passage_is_marked_without_a_mouse(
    server: ApiServer, sample: Any, browser: Any, place: Path
) -> None:
    reader = Reader(browser, server, "ben", sample.local_ref)
    now = reader.open()
    selected = "getSelection().toString()"
    reader.page.keyboard.press("m")
    first = reader.page.evaluate(selected)
    text = reader.page.text_content("#text")
    assert first and text.startswith(first)
    reader.page.keyboard.press("Shift+ArrowDown")
    passage = reader.page.evaluate(selected)
    assert len(passage) > len(first)
    reader.page.keyboard.press("m")
    assert reader.page.is_hidden("#message")
    reader.press("r", "Enter")
    label = next(
        label for label in labels(place, sample) if label.sample_id == now and label.annotator == "ben"
    )
    assert (label.start, label.end) == (0, len(passage))
    reader.context.close()
