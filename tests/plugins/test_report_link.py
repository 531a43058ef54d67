"""A task links to its report in MLflow, and to nothing that a step made up."""

from __future__ import annotations

import pytest

from plugins.process_operator import ProcessStepOperator
from plugins.report_link import ReportLink, report_url
from plugins.step_operator import StepOperator

RUN = "experiments/3/runs/cb9d1337820842c6bdc95867bf28c0bd"


def test_the_link_opens_the_report_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_MLFLOW_URL", "http://mlflow.example:5000")
    page = f"{RUN}/artifacts/report.html"
    expected = f"http://mlflow.example:5000/#/{page}?workflowType=machine_learning"
    assert report_url(page) == expected
    assert report_url(RUN) == f"http://mlflow.example:5000/#/{RUN}?workflowType=machine_learning", "no report"
    operator = ProcessStepOperator(task_id="filter", spec={})
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=None) == "", "nothing was delivered yet"
    operator.mlflow_run = page
    assert link.get_link(operator, ti_key=None) == expected
    assert any(isinstance(link, ReportLink) for link in StepOperator.operator_extra_links)


@pytest.mark.parametrize(
    "made_up", [None, 7, "", "javascript:alert(1)", f"{RUN}/../../x", f"//evil.example/{RUN}"]
)
def test_what_names_no_run_links_nowhere(made_up: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_MLFLOW_URL", "http://mlflow.example:5000")
    assert report_url(made_up) == ""


def test_without_an_address_of_mlflow_there_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMILL_MLFLOW_URL", raising=False)
    assert report_url(RUN) == ""
