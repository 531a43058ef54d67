"""`make screenshots`: pictures of the demo's Airflow graph, MLflow comparison and a report page, for the docs.

Needs a finished `make demo` whose services are up, and Debian's chromium (or $CHROMIUM).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

from demo.airflow_api import AirflowApi
from demo.services import ROOT, Services

DOCS = ROOT / "docs" / "images"
SECOND_RUN = "manual__stricter_rule"
# a second sample of one dump is a second look, which the catalog numbers
STRICTER = {
    "filter.rule_overrides": {"d01_min_length_en_v1": 210},
    "evaluate.look": 2,
    "gate.look": 2,
    "evaluate.seeded": 1200,
}
VIEWPORT: Any = {"width": 1700, "height": 560}
REPORT_VIEWPORT: Any = {"width": 1180, "height": 900}
REPORT_SECTIONS = ("What became of the documents", "Signals and thresholds")


def main() -> int:
    """Take every picture; returns an exit code."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    services = Services(ROOT / ".tokenmill")
    if chromium is None or not services.running():
        print("screenshots need chromium and the demo's services: run `make demo` first", file=sys.stderr)
        return 69
    DOCS.mkdir(parents=True, exist_ok=True)
    api = AirflowApi(services.airflow_url, "admin", services.settings["airflow_password"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        second_run(api)
        page = browser.new_page(viewport=VIEWPORT)
        for dag in ("data_factory", "continual_pretraining"):
            airflow_graph(page, services, api, dag, DOCS / f"airflow_{dag}.png")
        review_pages(browser, page.context.cookies(), services, api)
        mlflow_comparison(page, services, "data_factory", DOCS / "mlflow_comparison.png")
        report = mlflow_report(services, "data_factory", "filter")
        page = browser.new_page(viewport=REPORT_VIEWPORT)
        report_page(page, report, DOCS / "report_filter.png")
        browser.close()
    return 0


def second_run(api: AirflowApi) -> None:
    """A second look at the demo's dump with a stricter rule, once, so that there are two runs to compare."""
    if api.run("data_factory", SECOND_RUN):
        return
    first = successful_run(api, "data_factory")
    print("running data_factory with a stricter rule")
    api.trigger("data_factory", SECOND_RUN, {**first["conf"], **STRICTER}, first["partition_key"])
    while (run := api.run("data_factory", SECOND_RUN) or {}).get("state") not in ("success", "failed"):
        time.sleep(2)
    if run["state"] == "failed":
        raise SystemExit(f"{SECOND_RUN} failed; see its log in Airflow")


def successful_run(api: AirflowApi, dag: str) -> dict[str, Any]:
    """The newest successful run of ``dag``."""
    run = api.newest_run(dag, "success")
    if run is None:
        raise SystemExit(f"there is no successful run of {dag} yet: run `make demo` first")
    return run


def airflow_graph(page: Any, services: Services, api: AirflowApi, dag: str, path: Path) -> None:
    """The graph of the newest successful run of ``dag``."""
    run = successful_run(api, dag)
    page.goto(f"{services.airflow_url}/auth/login/")
    if page.locator("input[name=username]").count():
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", services.settings["airflow_password"])
        page.click("button[type=submit]")
        page.wait_for_load_state("networkidle")
    run_id = urllib.parse.quote(run["dag_run_id"], safe="")
    page.goto(f"{services.airflow_url}/dags/{dag}/runs/{run_id}")
    page.wait_for_load_state("networkidle")
    for label in ("Show Graph (Press g)", "Collapse Details Panel"):
        button = page.get_by_label(label)
        if button.count():
            button.first.click()
            page.wait_for_timeout(1500)
    page.locator(".react-flow__controls-fitview").first.click()
    page.wait_for_timeout(3000)
    page.screenshot(path=str(path))
    print(path)


def review_pages(browser: Any, cookies: Any, services: Services, api: AirflowApi) -> None:
    """The review page on the newest run's sample: on a desk in English, and on a phone in Chinese."""
    run = urllib.parse.urlencode(
        {"dag_id": "data_factory", "run_id": successful_run(api, "data_factory")["dag_run_id"]}
    )
    for name, locale, width, height in (("review_en", "en-GB", 1200, 760), ("review_zh", "zh-CN", 390, 760)):
        context = browser.new_context(locale=locale, viewport={"width": width, "height": height})
        context.add_cookies(cookies)
        page = context.new_page()
        page.goto(f"{services.airflow_url}/review/?{run}")
        page.wait_for_function("() => document.getElementById('text').dataset.sample")
        page.keyboard.press("d")
        page.keyboard.press("t")
        page.screenshot(path=str(DOCS / f"{name}.png"))
        print(DOCS / f"{name}.png")
        context.close()


def mlflow_comparison(page: Any, services: Services, experiment: str, path: Path) -> None:
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
    page.set_viewport_size({"width": 1300, "height": 1900})
    page.goto(
        f"{services.mlflow_url}/#/compare-runs?runs={ids}&experiments={experiments}&workflowType=machine_learning"
    )
    page.wait_for_timeout(12_000)  # the page keeps polling, so it is never idle
    for label in ("Close", "Toggle sidebar"):
        if page.get_by_label(label, exact=True).count():
            page.get_by_label(label, exact=True).first.click()
    for switch in page.get_by_role("switch").all():  # show only what differs
        switch.click()
    page.wait_for_timeout(2000)
    page.screenshot(path=str(path))
    print(path)


def mlflow_report(services: Services, experiment: str, section: str) -> bytes:
    """``report.html`` of the newest run of a stage, as MLflow shows it."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(services.mlflow_url)
    found = client.get_experiment_by_name(experiment)
    runs = (
        client.search_runs([found.experiment_id], f"tags.stage = '{section}'", max_results=1) if found else []
    )
    if not runs:
        raise SystemExit(f"MLflow has no run of {section} in {experiment}")
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(runs[0].info.run_id, "report.html", folder)).read_bytes()


def report_page(page: Any, html: bytes, path: Path) -> None:
    """The head of a report, and the top of each of REPORT_SECTIONS below it, one picture."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_bytes(html)
        page.goto(file.as_uri())
        keep = """titles => document.querySelectorAll("section").forEach(section => {
            const many = ".row:nth-child(n+9), .card:nth-child(n+4), details"
            if (!titles.includes(section.querySelector("h2")?.textContent)) section.remove()
            else section.querySelectorAll(many).forEach(element => element.remove())
        })"""
        page.evaluate(keep, list(REPORT_SECTIONS))
        page.screenshot(path=str(path), full_page=True)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
