from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.archives import Capture, write_archive
from steps.core import remote
from steps.core.cli import main
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError, DataError
from steps.core.recipe import RecipeSource
from steps.core.runs import section_config
from steps.core.source import SourceListing
from steps.core.step import Outcome, run_step
from steps.core.tracing import Trace, oldest_first
from steps.ingest.fields import FieldMapping
from steps.plan.addresses import evenly
from steps.plan.command import Plan, plan_run
from tests.steps.ingest.web import Site, serve

DUMP = "CC-MAIN-2026-43"


def recipe(uri: str, **source: str) -> str:
    rest = "".join(f", {name}: {value}" for name, value in source.items())
    return f'{{name: own, dag: data_factory, sources: [{{name: crawl, uri: "{uri}"{rest}}}]}}'


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(remote, "pause", lambda seconds: None)
    with serve() as running:
        monkeypatch.setenv("TOKENMILL_PRIVATE_HOSTS", running.host)
        monkeypatch.setenv("TOKENMILL_COMMONCRAWL", running.url)
        yield running


@pytest.fixture
def crawl(site: Site, tmp_path: Path) -> Site:
    """A dump of ten WET files with one page each."""
    paths = [f"crawl-data/{DUMP}/segments/1/wet/CC-MAIN-{n:05d}.warc.wet.gz" for n in range(10)]
    for number, path in enumerate(paths):
        page = f"Page {number} of the crawl.\n".encode()
        sent = Capture(f"https://e.org/{number}", "2026-01-05T00:00:00Z", page, record_type="conversion")
        write_archive(tmp_path / "wet", [sent], wet=True)
        site.objects[f"/{path}"] = (tmp_path / "wet").read_bytes()
    site.objects[f"/crawl-data/{DUMP}/wet.paths.gz"] = gzip.compress("\n".join(paths).encode() + b"\n")
    return site


def ingested(plan: Plan, root: str) -> Outcome:
    inputs = {"source": plan.run["inputs"]["source"]}
    config = section_config(plan.run, "ingest")
    locations = plan.run["locations"]
    return run_step(
        "ingest", config=config, inputs=inputs, root=root, locations=locations, runtime=Runtime(workers=1)
    )


def texts(outcome: Outcome) -> list[str]:
    return [t for shard in Corpus.open(outcome.artifact).shards for t in shard.read()["text"].to_pylist()]


def test_files_are_chosen_evenly() -> None:
    items = [str(n) for n in range(10)]
    assert evenly(items, 4) == ["0", "2", "5", "7"]
    assert evenly(items, 10) == evenly(items, 11) == items
    assert evenly(items, 1) == ["0"]


def test_a_dump_is_planned_by_name_and_read_over_http(crawl: Site, tmp_path: Path) -> None:
    root = f"file://{tmp_path}/root"
    plan = plan_run(recipe("commoncrawl://{dump}?kind=wet&files=4"), root, "r", dump=DUMP)
    listing = SourceListing.of(plan.source.artifact)
    assert [item.key[-17:-12] for item in listing.objects] == ["00000", "00002", "00005", "00007"]
    assert all(
        item.version.startswith("etag:") and not item.sha256 and item.bytes for item in listing.objects
    )
    assert plan.run["locations"] == {"crawl": crawl.url}
    made = ingested(plan, root)
    assert texts(made) == [f"Page {n} of the crawl.\n" for n in (0, 2, 5, 7)]
    # who asks where a document came from is told the object, though its sha256 was not known when it was planned
    document = Corpus.open(made.artifact).shards[0].read()["doc_id"][2].as_py()
    lines = [line for artifact in oldest_first(made.artifact) for line in Trace(document).through(artifact)]
    assert "from crawl: crawl-data/CC-MAIN-2026-43/segments/1/wet/CC-MAIN-00005.warc.wet.gz row 1" in lines[0]


def test_a_mirror_elsewhere_is_the_same_source(
    crawl: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    for number, base in enumerate((crawl.url, crawl.url.replace("127.0.0.1", "localhost") + "/")):
        monkeypatch.setenv("TOKENMILL_COMMONCRAWL", base)
        monkeypatch.setenv("TOKENMILL_PRIVATE_HOSTS", f"{crawl.host},localhost")
        uri = f"commoncrawl://{DUMP}?files=2"
        plans.append(plan_run(recipe(uri), f"file://{tmp_path}/root-{number}", "r", dump=DUMP))
    assert plans[0].source.digest == plans[1].source.digest
    assert plans[0].run["locations"] != plans[1].run["locations"]


def test_an_object_that_changed_after_the_plan_ends_ingest(crawl: Site, tmp_path: Path) -> None:
    root = f"file://{tmp_path}/root"
    plan = plan_run(recipe(f"commoncrawl://{DUMP}?files=1"), root, "r", dump=DUMP)
    (path,) = [f"/{item.key}" for item in SourceListing.of(plan.source.artifact).objects]
    crawl.objects[path] += b"more"
    with pytest.raises(DataError, match="has changed since it was planned"):
        ingested(plan, root)


def test_an_overloaded_server_that_cuts_its_answers_loses_nothing(crawl: Site, tmp_path: Path) -> None:
    root = f"file://{tmp_path}/root"
    plan = plan_run(recipe(f"commoncrawl://{DUMP}?files=2"), root, "r", dump=DUMP)
    for item in SourceListing.of(plan.source.artifact).objects:
        crawl.requests[f"/{item.key}"].clear()
        crawl.trouble[f"/{item.key}"] = lambda handler, number, body: (
            (handler.refuse(503, {"Retry-After": "1"}) or True)
            if number % 2
            else handler.give(body, handler.headers.get("Range", ""), cut=len(body) // 3 + 1) or True
        )
    assert texts(ingested(plan, root)) == ["Page 0 of the crawl.\n", "Page 5 of the crawl.\n"]


def test_one_address_and_a_list_of_them_are_sources(site: Site, tmp_path: Path) -> None:
    for name in ("/a/one.jsonl", "/a/b/two.jsonl", "/three.jsonl"):
        site.objects[name] = json.dumps({"text": f"text of {name}"}).encode()
    root = f"file://{tmp_path}/root"
    site.objects["/a/one.jsonl?download=true"] = site.objects["/a/one.jsonl"]
    one = plan_run(recipe(f"{site.url}/a/one.jsonl?download=true"), root, "1", dump="d")
    assert texts(ingested(one, root)) == ["text of /a/one.jsonl"]
    site.objects["/a/list.txt"] = (
        f"# all\none.jsonl\n\nb/two.jsonl\r\n{site.url}/three.jsonl\n/three.jsonl\n".encode()
    )
    several = plan_run(recipe(f"{site.url}/a/list.txt"), root, "3", dump="d")
    listing = SourceListing.of(several.source.artifact)
    assert [item.key for item in listing.objects] == ["a/b/two.jsonl", "a/one.jsonl", "three.jsonl"]
    assert len(texts(ingested(several, root))) == 3


def test_an_object_without_a_version_is_fixed_by_its_content(site: Site, tmp_path: Path) -> None:
    root = f"file://{tmp_path}/root"
    site.objects["/a.jsonl"], site.versions["/a.jsonl"] = b'{"text": "good"}', {}
    plan = plan_run(recipe(f"{site.url}/a.jsonl"), root, "r")
    (item,) = SourceListing.of(plan.source.artifact).objects
    assert len(item.sha256) == 64 and not item.version
    site.objects["/a.jsonl"] = b'{"text": "evil"}'
    with pytest.raises(DataError, match="has changed since it was planned"):
        ingested(plan, root)


def test_the_forecast_covers_sources_on_the_web(
    crawl: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(f"commoncrawl://{DUMP}?files=3"))
    arguments = [
        "plan",
        "--root",
        f"file://{tmp_path}/root",
        "--recipe",
        str(path),
        "--dump",
        DUMP,
        "--dry-run",
    ]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("own: 3 objects, ") and "ingest" in text
    assert not any(
        "bytes=0-0" not in asked
        for path, seen in crawl.requests.items()
        if "wet.gz" in path
        for asked in seen
    )


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("commoncrawl://CC-MAIN-2026-43?kind=wat&file=2", "unknown option 'file'.*\n.*kind 'wat'"),
        ("commoncrawl://CC-MAIN-2026-43?files=0", "files '0' is not a positive number"),
        ("commoncrawl://CC MAIN/x", "is not the name of a dump"),
        ("https://e.org/folder/", "is a place, not an object"),
        ("https://e.org/*.warc.gz", "is a place, not an object"),
        ("https://e.org/a.jsonl?x=1&X-Amz-Signature=abc", "carries a credential"),
    ],
)
def test_a_wrong_address_is_named(tmp_path: Path, uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_run(recipe(uri), f"file://{tmp_path}/root", "r", dump="d")


def test_a_list_is_bounded_and_must_be_one(
    crawl: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, paths = f"file://{tmp_path}/root", f"/crawl-data/{DUMP}/wet.paths.gz"
    with pytest.raises(DataError, match=r"wet.paths.gz is not there \(404\)"):
        plan_run(recipe("commoncrawl://CC-MAIN-1999-01"), root, "r", dump="d")
    uri = recipe(f"commoncrawl://{DUMP}")
    for data, message in (
        (gzip.compress(b"../../etc/passwd\n"), "which is no path"),
        (gzip.compress(b"a\n" * 99)[:-9], "cut off"),
        (b"\xff\xfe", "not a list of addresses"),
        (gzip.compress(b"\n"), "lists no objects"),
    ):
        crawl.objects[paths] = data
        with pytest.raises(ConfigError, match=message):
            plan_run(uri, root, "r", dump="d")
    monkeypatch.setattr("steps.plan.addresses.MAX_LIST_BYTES", 1_000_000)
    crawl.objects[paths] = gzip.compress(b"a\n" * 9_000_000)
    with pytest.raises(ConfigError, match="has more than 1000000 bytes"):
        plan_run(uri, root, "r", dump="d")


def test_the_sources_in_the_docs_are_valid() -> None:
    page = Path(__file__).parents[3] / "docs" / "recipes.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    found = [RecipeSource.model_validate(source) for source in yaml.safe_load(block)["sources"]]
    for source in found:
        FieldMapping(source.settings())
    assert [source.name for source in found] == ["crawl", "sharegpt", "alpaca"]


def test_other_content_under_the_same_tag_is_found_by_a_retry(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is killed after it has fetched the object."""
    root = f"file://{tmp_path}/root"
    site.objects["/a.jsonl"], site.versions["/a.jsonl"] = b'{"text": "good"}', {"ETag": '"same"'}
    plan = plan_run(recipe(f"{site.url}/a.jsonl"), root, "r")

    def killed(self: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("steps.ingest.shards.Shards.close", killed)
        ingested(plan, root)
    site.objects["/a.jsonl"] = b'{"text": "evil"}'
    with pytest.raises(DataError, match="has another content than at the last attempt"):
        ingested(plan, root)
    site.objects["/a.jsonl"] = b'{"text": "good"}'
    assert texts(ingested(plan, root)) == ["good"]
