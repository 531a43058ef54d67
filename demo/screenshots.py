"""`make screenshots`: pictures of the demo's Airflow graph and MLflow comparison, for the docs.

Needs a finished `make demo` whose services are up, and Debian's chromium (or $CHROMIUM).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from demo.services import ROOT, Services

DOCS = ROOT / "docs" / "images"
VIEWPORT: Any = {"width": 1500, "height": 950}


def main() -> int:
    """Take every picture; returns an exit code."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    services = Services(ROOT / ".tokenmill")
    if chromium is None or not services.running():
        print("screenshots need chromium and the demo's services: run `make demo` first", file=sys.stderr)
        return 69
    DOCS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport=VIEWPORT)
        for dag in ("data_factory", "continual_pretraining"):
            airflow_graph(page, services, dag, DOCS / f"airflow_{dag}.png")
        mlflow_comparison(page, services, "data_factory", DOCS / "mlflow_comparison.png")
        browser.close()
    return 0


def airflow_graph(page: Any, services: Services, dag: str, path: Path) -> None:
    """The graph of the newest successful run of ``dag``."""
    from demo.airflow_api import AirflowApi

    api = AirflowApi(services.airflow_url, "admin", services.settings["airflow_password"])
    run = api.newest_run(dag, "success")
    if run is None:
        raise SystemExit(f"there is no successful run of {dag} yet")
    page.goto(f"{services.airflow_url}/auth/login/")
    if page.locator("input[name=username]").count():
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", services.settings["airflow_password"])
        page.click("button[type=submit]")
        page.wait_for_load_state("networkidle")
    run_id = urllib.parse.quote(run["dag_run_id"], safe="")
    page.evaluate(f"localStorage.setItem('dag_view-{dag}', JSON.stringify('graph'))")
    page.goto(f"{services.airflow_url}/dags/{dag}/runs/{run_id}")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(4000)
    page.screenshot(path=str(path))
    print(path)


def mlflow_comparison(page: Any, services: Services, experiment: str, path: Path) -> None:
    """The two newest pipeline runs of an experiment, side by side."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(services.mlflow_url)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise SystemExit(f"MLflow has no experiment {experiment}")
    runs = client.search_runs([found.experiment_id], "tags.stage = 'pipeline'", max_results=2)
    if len(runs) < 2:
        raise SystemExit("two pipeline runs are needed to compare; run the demo again with another filter setting")
    ids = urllib.parse.quote(json.dumps([run.info.run_id for run in runs]))
    experiments = urllib.parse.quote(json.dumps([found.experiment_id]))
    page.goto(f"{services.mlflow_url}/#/compare-runs?runs={ids}&experiments={experiments}")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(4000)
    page.screenshot(path=str(path), full_page=True)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
