"""`make screenshots`: pictures of what a person sees, for the docs: Airflow, the review page, every report, MLflow.

Needs a finished `make demo` whose services are up, and Debian's chromium (or $CHROMIUM). Two runs of data_factory are
added to the demo's, once: one with a stricter rule, to compare, and one without the rules that cut lines and
sentences, which the gate blocks.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.airflow_api import AirflowApi
from demo.services import ROOT, Services
from steps.core.parts import open_artifact
from steps.core.pipeline import PIPELINES
from steps.filter.check import find_rules

DOCS = ROOT / "docs" / "images"
WAIT_MS = 180_000
# A second sample of one dump is a second look, which the catalog numbers.
STRICTER = {
    "filter.rule_overrides": {"d01_min_length_en_v1": 210},
    "evaluate.look": 2,
    "gate.look": 2,
    "evaluate.seeded": 1200,
}
STRICTER_RUN, LENIENT_RUN = "manual__stricter_rule", "manual__document_rules_only"
REPORT_WIDTH, REPORT_HEIGHT = 1180, 1500
NARROW = (390, 760)  # a phone
# What a report's picture shows where its head is not the most telling part.
REPORT_SECTIONS = {"filter": ("What became of the documents", "Signals and thresholds")}


def main() -> int:
    """Take every picture; returns an exit code."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    services = Services(Path(os.environ.get("TOKENMILL_STATE", ROOT / ".tokenmill")))
    if chromium is None or not services.running():
        print("screenshots need chromium and the demo's services: run `make demo` first", file=sys.stderr)
        return 69
    os.environ.update(services.s3_environment)
    DOCS.mkdir(parents=True, exist_ok=True)
    api = AirflowApi(services.airflow_url, "admin", services.settings["airflow_password"])
    more_runs(api)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        cookies = airflow_graphs(browser, services, api)
        review_pages(browser, cookies, services, api)
        report_pages(browser, api)
        mlflow_comparison(browser, services, "data_factory", DOCS / "mlflow_comparison.png")
        browser.close()
    return 0


def new_page(browser: Any, width: int, height: int, **options: Any) -> Any:
    """A page of its own context, patient with a busy machine."""
    page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
    page.set_default_timeout(WAIT_MS)
    page.set_default_navigation_timeout(WAIT_MS)
    return page


def shoot(page: Any, path: Path, **options: Any) -> None:
    """One picture."""
    page.screenshot(path=str(path), animations="disabled", timeout=WAIT_MS, **options)
    print(path, flush=True)


def more_runs(api: AirflowApi) -> None:
    """The two further looks at the demo's dump, each once."""
    spans = {rule.id: "off" for rule in find_rules("demo_factory").rules if rule.level != "document"}
    lenient = {"filter.rule_overrides": spans, "evaluate.look": 3, "gate.look": 3}
    for run_id, changes in ((STRICTER_RUN, STRICTER), (LENIENT_RUN, lenient)):
        if api.run("data_factory", run_id):
            continue
        first = successful_run(api, "data_factory")
        print(f"running data_factory: {run_id}", flush=True)
        api.trigger("data_factory", run_id, {**first["conf"], **changes}, first["partition_key"])
        while (api.run("data_factory", run_id) or {}).get("state") not in ("success", "failed"):
            time.sleep(2)
    if (api.run("data_factory", STRICTER_RUN) or {})["state"] == "failed":
        raise SystemExit(f"{STRICTER_RUN} failed; see its log in Airflow")


def successful_run(api: AirflowApi, dag: str) -> dict[str, Any]:
    """The newest successful run of ``dag``."""
    run = api.newest_run(dag, "success")
    if run is None:
        raise SystemExit(f"there is no successful run of {dag} yet: run `make demo` first")
    return run


def airflow_graphs(browser: Any, services: Services, api: AirflowApi) -> Any:
    """The tasks of the newest successful runs, and of the one that the gate blocked; returns the login's cookies."""
    page = new_page(browser, 1700, 560, device_scale_factor=1.5)
    page.goto(f"{services.airflow_url}/auth/login/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", services.settings["airflow_password"])
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    for name, dag, run in (
        ("data_factory", "data_factory", successful_run(api, "data_factory")["dag_run_id"]),
        ("continual_pretraining",) * 2 + (successful_run(api, "continual_pretraining")["dag_run_id"],),
        ("blocked", "data_factory", LENIENT_RUN),
    ):
        page.goto(f"{services.airflow_url}/dags/{dag}/runs/{urllib.parse.quote(run, safe='')}")
        graph(page, DOCS / f"airflow_{name}.png")
    return page.context.cookies()


def graph(page: Any, path: Path) -> None:
    """The graph of the run that the page is on, without what stands around it."""
    page.get_by_label("Show Graph (Press g)").first.click()
    page.locator(".react-flow__node").first.wait_for()
    page.wait_for_timeout(3000)  # it lays itself out with an animation
    collapse = page.get_by_label("Collapse Details Panel")
    if collapse.count():
        collapse.first.click()
        page.wait_for_timeout(2000)
    page.locator(".react-flow__controls-fitview").first.click()
    page.wait_for_timeout(3000)
    box = page.evaluate("""() => {
        const around = ".react-flow__minimap, .react-flow__controls, .react-flow__panel, .react-flow__attribution"
        document.querySelectorAll(around).forEach(element => element.remove())
        const boxes = [...document.querySelectorAll(".react-flow__node, .react-flow__edge path")]
            .map(element => element.getBoundingClientRect())
        const left = Math.min(...boxes.map(b => b.left)), top = Math.min(...boxes.map(b => b.top))
        const right = Math.max(...boxes.map(b => b.right)), bottom = Math.max(...boxes.map(b => b.bottom))
        return {x: left - 14, y: top - 14, width: right - left + 28, height: bottom - top + 28}
    }""")
    shoot(page, path, clip=box)


def review_pages(browser: Any, cookies: Any, services: Services, api: AirflowApi) -> None:
    """The review page on the newest run's sample: on a desk and on a phone, in English and in Chinese."""
    run = urllib.parse.urlencode(
        {"dag_id": "data_factory", "run_id": successful_run(api, "data_factory")["dag_run_id"]}
    )
    for language, locale in (("en", "en-GB"), ("zh", "zh-CN")):
        for name, (width, height) in (
            (f"review_{language}", (1200, 760)),
            (f"review_{language}_narrow", NARROW),
        ):
            page = new_page(browser, width, height, locale=locale)
            page.context.add_cookies(cookies)
            page.goto(f"{services.airflow_url}/review/?{run}")
            page.wait_for_function("() => document.getElementById('text').dataset.sample")
            page.keyboard.press("d")
            page.keyboard.press("t")
            shoot(page, DOCS / f"{name}.png")
            page.context.close()


def report_pages(browser: Any, api: AirflowApi) -> None:
    """The head of every stage's report, once of each kind; the gate's of a blocked run too, and on a phone."""
    newest = {dag: successful_run(api, dag)["dag_run_id"] for dag in ("data_factory", "language_models")}
    taken = set()
    for dag, run in newest.items():
        for stage in PIPELINES[dag]:
            if stage.step not in taken:
                for html in reports(api, dag, run, stage.section):
                    report_page(browser, html, stage.step, DOCS / f"report_{stage.step}.png")
                    taken.add(stage.step)
    for html in reports(api, "data_factory", LENIENT_RUN, "gate"):
        report_page(browser, html, "gate", DOCS / "report_gate_blocked.png", height=2000)  # to the table
        report_page(browser, html, "gate", DOCS / "report_gate_narrow.png", *NARROW)


def reports(api: AirflowApi, dag: str, run: str, section: str) -> Iterator[bytes]:
    """The page that a stage of a run left, if it left one."""
    result = api.result(dag, run, section)
    if result:
        artifact = open_artifact(result["ref"])
        yield from (
            artifact.read_bytes(view) for view in artifact.manifest.views if view.key == "report.html"
        )


def report_page(
    browser: Any, html: bytes, step: str, path: Path, width: int = REPORT_WIDTH, height: int = REPORT_HEIGHT
) -> None:
    """The head of a report, or the top of each of its REPORT_SECTIONS, one picture."""
    page = new_page(browser, width, 400)  # a page is as tall as its content, and at least as its window
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_bytes(html)
        page.goto(file.as_uri())
        keep = """titles => document.querySelectorAll("section").forEach(section => {
            const many = ".row:nth-child(n+9), .card:nth-child(n+4), details"
            if (!titles.includes(section.querySelector("h2")?.textContent)) section.remove()
            else section.querySelectorAll(many).forEach(element => element.remove())
        })"""
        if step in REPORT_SECTIONS:
            page.evaluate(keep, list(REPORT_SECTIONS[step]))
        tall = page.evaluate("() => document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": min(tall, height)}
        shoot(page, path, full_page=True, clip=clip)
    page.context.close()


def mlflow_comparison(browser: Any, services: Services, experiment: str, path: Path) -> None:
    """The two newest pipeline runs of an experiment, side by side."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(services.mlflow_url)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise SystemExit(f"MLflow has no experiment {experiment}")
    pipelines = "tags.stage = 'pipeline' and attributes.status = 'FINISHED'"
    runs = client.search_runs([found.experiment_id], pipelines, max_results=2)
    ids = urllib.parse.quote(json.dumps([run.info.run_id for run in runs]))
    experiments = urllib.parse.quote(json.dumps([found.experiment_id]))
    page = new_page(browser, 1300, 1900)
    page.goto(
        f"{services.mlflow_url}/#/compare-runs?runs={ids}&experiments={experiments}&workflowType=machine_learning"
    )
    page.get_by_role("switch").first.wait_for()
    page.wait_for_timeout(5000)  # the page keeps polling, so it is never idle
    for label in ("Close", "Toggle sidebar"):
        if page.get_by_label(label, exact=True).count():
            page.get_by_label(label, exact=True).first.click()
    for switch in page.get_by_role("switch").all():  # show only what differs
        switch.click()
    page.wait_for_timeout(2000)
    top, end = (
        page.get_by_text(text, exact=True).last.bounding_box() for text in ("Run details", "Artifacts")
    )
    box = {"x": top["x"] - 40, "y": top["y"] - 15, "width": 760, "height": end["y"] - top["y"]}
    shoot(page, path, clip=box)


if __name__ == "__main__":
    sys.exit(main())
