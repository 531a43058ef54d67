"""From a CSV file of losses to an artifact with laws, by the command that a user types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.errors import DataError
from steps.fit_scaling_law.command import summary
from steps.fit_scaling_law.config import INPUTS, Config
from steps.fit_scaling_law.laws import DATA_CENTRIC, DOMAIN, GENERAL
from steps.fit_scaling_law.measurements import read_measurements
from steps.fit_scaling_law.report import tables_of
from steps.fit_scaling_law.step import check_predict, undetermined
from steps.report.blocks import Table
from tests.steps.fit_scaling_law.test_fit import TABLE_5, ZIYA2, ziya2_points

HEADER = "ratio,set,tokens,loss\n"


def fit(tmp_path: Path, text: str, law: str, settings: str = "draws: 20") -> Artifact:
    (tmp_path / "losses.csv").write_text(text)
    (tmp_path / "settings.yaml").write_text(settings)
    words = ["scaling-law", str(tmp_path / "losses.csv"), "--law", law, "--root", f"file://{tmp_path}/root"]
    result = tmp_path / "result.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEP_MANIFEST", str(result))
        assert main([*words, "--config", str(tmp_path / "settings.yaml")]) == 0
    return Artifact.open(json.loads(result.read_text())["ref"])


def ratio_lines(ratios: list[float]) -> str:
    rows = [HEADER.strip()]
    for ratio in ratios:
        rows += [f"{ratio},zh,{t},{2 + 0.5 * ratio**-0.3 + (100 - t) / 100}" for t in (50, 100)]
        rows += [f"{ratio},en,100,{1.5 + 0.2 * ratio**1.5}"]
    return "\n".join(rows) + "\n"


def rate_lines(ratios: list[float], replays: tuple[str, ...] = ("",)) -> str:
    """Three learning rates; a replay adds itself to the loss on zh and half as many tokens; runs of 0.9 ended early."""
    rows = ["ratio,learning_rate,replay,stopped,set,tokens,loss"]
    for ratio in ratios:
        for rate in (1e-3, 2e-3, 4e-3):
            for replay in replays:
                loss = 2 + 0.5 * ratio**-0.3 + 10 * rate + float(replay or 0)
                at = f"{ratio},{rate},{replay},0"
                end = 100 + 50 * float(replay or 0)
                rows += [f"{at},zh,{end},{loss}", f"{at},en,{end},2"]
    return "\n".join([*rows, "0.9,0.001,,1,zh,50,9", "0.9,0.001,,1,en,50,9"]) + "\n"


def test_a_law_holds_for_one_learning_rate_and_one_replay(tmp_path: Path) -> None:
    text = rate_lines([0.1, 0.2, 0.4, 0.6, 0.8], replays=("0", "1"))
    fits = fit(tmp_path, text, "ratio").facts["fits"]
    assert [name for name in fits if name.startswith("zh")] == [
        f"zh, learning rate {rate}, replay {replay}"
        for rate in ("0.001", "0.002", "0.004")
        for replay in (0, 1)
    ]
    apart = fits["zh, learning rate 0.002, replay 1"]["parameters"]["beta"]["value"]
    assert apart == pytest.approx(2 + 0.02 + 1, rel=1e-4)
    left = fits["zh, learning rate 0.002, replay 1"]["left_out"]
    assert [row["extrapolated"] for row in left] == [True, False, False, False, True]
    assert list(fit(tmp_path, text, "ratio_rate").facts["fits"]) == [
        "en, replay 0", "en, replay 1", "zh, replay 0", "zh, replay 1",
    ]  # fmt: skip


def test_a_study_of_ratios_gives_a_law_per_set_and_predicts_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = "draws: 20\nheld_out: [0.4]\npredict: [{ratio: 0.33}]"
    text = ratio_lines([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
    made = fit(tmp_path, text, "ratio", settings)
    zh, en = made.facts["fits"]["zh"], made.facts["fits"]["en"]
    assert {k: v["value"] for k, v in zh["parameters"].items()} == pytest.approx(
        {"alpha": 0.5, "s": -0.3, "beta": 2.0}, rel=1e-4
    )
    (held_out,) = zh["held_out"]
    assert held_out["at"] == {"ratio": 0.4} and held_out["relative_error"] < 1e-6
    assert not held_out["extrapolated"]
    assert en["predictions"][0]["value"] == pytest.approx(1.5 + 0.2 * 0.33**1.5, abs=1e-6)
    page = next((tmp_path / "root" / "fit_scaling_law").glob("*/data/*.html")).read_text()
    assert "left out of the fit" in page and page.count('<svg class="plot"') == 2
    assert "at ratio 0.33: 1.53791" in capsys.readouterr().out
    assert fit(tmp_path, text, "ratio", settings).ref == made.ref


def test_a_critical_ratio_comes_out_of_runs(tmp_path: Path) -> None:
    a4, s4, b3 = TABLE_5[0][0]
    tokens = np.geomspace(5, 300, 30)
    rows = [HEADER.strip(), "0.1,zh,0,3.0", "0.1,en,0,2.0"]
    for ratio in (0.10, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.6):
        turn = ((ratio - b3) / a4) ** (1 / s4)
        a3 = -0.02 * 0.3 / 0.6 * turn ** (0.3 - 0.6)
        general = 2 + GENERAL.predict(np.array([0.02, 0.3, a3, 0.6, 0.0]), tokens[:, None])
        domain = 3 + DOMAIN.predict(np.array([-0.1, 0.2, 0.0]), tokens[:, None])
        for t, g, d in zip(tokens, general, domain, strict=True):
            rows += [f"{ratio},zh,{t!r},{d!r}", f"{ratio},en,{t!r},{g!r}"]
    text = "\n".join(rows).replace("np.float64(", "").replace(")", "") + "\n"
    settings = "draws: 20\ndomain_set: zh\ngeneral_set: en\nmultiplier: 10000000\npredict: [{tokens: 100}]"
    facts = fit(tmp_path, text, "critical_ratio", settings).facts
    predicted = facts["fits"]["critical ratio"]["predictions"][0]
    assert predicted["value"] == pytest.approx(0.298, abs=0.005) and not predicted["extrapolated"]
    assert facts["largest_feasible"] == 0.4 and not facts["ratios"][-1]["feasible"]


def test_ziya2s_law_comes_out_of_its_own_points(tmp_path: Path) -> None:
    x = ziya2_points()
    facts = fit(tmp_path, data_centric_csv(x), "data_centric").facts
    assert facts["fits"]["loss"]["notes"] == []
    found = {name: value["value"] for name, value in facts["fits"]["loss"]["parameters"].items()}
    assert found == pytest.approx(dict(zip(DATA_CENTRIC.parameters, ZIYA2, strict=True)), rel=1e-3)


def data_centric_csv(x: np.ndarray) -> str:
    losses = DATA_CENTRIC.predict(ZIYA2, x)
    rows = [",".join(map(repr, map(float, (*row, y)))) for row, y in zip(x, losses, strict=True)]
    return "\n".join(["coherence,readability,similarity,tokens,loss", *rows])


def test_an_attribute_that_never_changed_is_not_predicted_at_another_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = ziya2_points()
    x[:, 0] = 0.8
    (tmp_path / "losses.csv").write_text(data_centric_csv(x))
    point = "{coherence: 0.7, readability: 0.9, similarity: 0.8, tokens: 3.0e+10}"
    (tmp_path / "settings.yaml").write_text(f"{{extrapolate: true, predict: [{point}]}}")
    words = ["scaling-law", str(tmp_path / "losses.csv"), "--law", "data_centric"]
    given = ["--config", str(tmp_path / "settings.yaml"), "--root", f"file://{tmp_path}/root"]
    assert main([*words, *given]) == 78
    assert "predict[0]: coherence 0.7: it is 0.8 in all that was measured" in capsys.readouterr().err
    check_predict(
        Config(law="data_centric", predict=[dict(zip(INPUTS["data_centric"], x[0], strict=True))]), x
    )


def test_what_the_runs_of_a_study_cannot_tell_is_said_where_the_law_is_shown() -> None:
    x = ziya2_points()
    assert undetermined(x) == []
    together = x.copy()
    together[:, 1] = x[:, 0] / 2
    (moved,) = undetermined(together)
    assert moved.startswith("coherence, readability and similarity did not move apart")
    x[:, 0] = 0.8
    (note,) = undetermined(x)
    assert note.startswith("coherence is 0.8 in all that was measured: A is no more than")
    found: dict[str, Any] = {
        "formula": "L", "parameters": {}, "r_squared": 1.0, "largest_relative_error": None, "measured": {},
        "predictions": [], "notes": [note],
    }  # fmt: skip
    assert note in summary({"fits": {"loss": found}})
    (table,) = tables_of("loss", found)
    assert isinstance(table, Table) and note in table.note


def test_a_learning_rate_of_which_too_few_cells_ended_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = rate_lines([0.1, 0.2, 0.4, 0.6, 0.8])
    header, *lines = text.strip().split("\n")
    rate = header.split(",").index("learning_rate")
    hot = [line for line in lines if line.split(",")[rate] == "0.004"]
    kept = [line for line in lines if line not in hot[4:]]
    made = fit(tmp_path, "\n".join([header, *kept]), "ratio")
    assert [name for name in made.facts["fits"] if "0.004" in name] == []
    missing = made.facts["not_fitted"]
    assert set(missing) == {"en, learning rate 0.004", "zh, learning rate 0.004"}
    assert all("are the fewest that" in why for why in missing.values())
    assert "zh, learning rate 0.004: not fitted (ratio: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "law", "settings", "message"),
    [
        (ratio_lines([0.1, 0.2, 0.3]), "ratio", "", "zh: ratio: 3 points; 4 are the fewest"),
        ("ratio,set,loss\n", "ratio", "", "no column tokens"),
        (HEADER + "0.1,zh,x,nan\n", "ratio", "", "line 2: tokens 'x' is not a number"),
        (HEADER + "0.1,zh,x,nan\n", "ratio", "", "line 2: loss 'nan' is not a number"),
        (HEADER + "0.1,zh,5,2\n0.2,zh,6,2\n", "ratio", "", "line 2: ratio 0.1 of zh ends at 5 tokens"),
        (HEADER + "0.1,domain,5,2\n", "critical_ratio", "", "no line with tokens 0 for domain, general"),
        (
            ratio_lines([0.1, 0.2, 0.3, 0.4]),
            "ratio",
            "predict: [{ratio: 0.9}]",
            "ratio 0.9 is outside of the measured",
        ),
        (HEADER, "ratio", "predict: [{tokens: 9}]", "the inputs of ratio are ratio"),
        (HEADER, "ratio", "", "no line of a run that went to its end"),
        ("ratio,loss,set,tokens,loss\n", "ratio", "", "column loss is there twice"),
        (HEADER + "0.1,,5,2\n", "ratio", "", "line 2: set '' is no name of a validation set"),
        (HEADER + "40,zh,5,2\n", "ratio", "", "line 2: ratio '40' is above 1; it is a share"),
        (HEADER + "0.1,zh,5,0\n", "ratio", "", "line 2: loss '0' is no loss"),
        (
            HEADER + "0.1,zh,5,1e301\n",
            "ratio",
            "",
            "line 2: loss '1e301' is too near to 0, or too large, to have been",
        ),
        (HEADER + "0.1,zh,5,1e-300\n", "ratio", "", "line 2: loss '1e-300' is too near to 0"),
        (HEADER + "0.1,zh,5,1001\n", "ratio", "", "line 2: loss '1001' is no loss in nats per token"),
        (HEADER + '0.1,"z\nh",5,2\n', "ratio", "", "line 3: set 'z\\nh' is no name"),
        (HEADER + "0.1,zh,5,2\n0.1,zh,5,3\n", "ratio", "", "lines 2 and 3 measure zh at the same place"),
        ("stopped," + HEADER + "yes,0.1,zh,5,2\n", "ratio", "", "line 2: stopped 'yes' is neither 0 nor 1"),
        (ratio_lines([0.1, 0.2, 0.3, 0.4]), "ratio", "held_out: [0.5]", "nothing is measured at 0.5"),
        (
            ratio_lines([0.1, 0.2, 0.3, 0.4]),
            "ratio",
            "{extrapolate: true, predict: [{ratio: -1}]}",
            "has no value at {'ratio': -1.0}",
        ),
        (HEADER, "ratio", "[1]", "not a mapping of settings"),
        (
            "ratio,learning_rate,set,tokens,loss\n"
            + "".join(f"{ratio},{n / 1000},zh,5,{2 + ratio}\n" for ratio in (0.1, 0.2) for n in range(1, 5)),
            "ratio_rate",
            "",
            "needs three ratios and three learning rates",
        ),
        (
            rate_lines([0.1, 0.2]),
            "critical_ratio",
            "{domain_set: zh, general_set: en}",
            "runs differ in more than the ratio (en, learning rate 0.001; en, learning rate 0.002",
        ),
        (
            HEADER + "0.1,zh,0,5\n0.1,en,0,2\n0.2,zh,0,6\n",
            "critical_ratio",
            "{domain_set: zh, general_set: en}",
            "line 4: zh starts at a loss of 6, other runs at 5",
        ),
    ],
)
def test_what_cannot_be_fitted_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, law: str, settings: str, message: str
) -> None:
    (tmp_path / "losses.csv").write_text(text)
    (tmp_path / "settings.yaml").write_text(settings)
    words = ["scaling-law", str(tmp_path / "losses.csv"), "--law", law, "--root", f"file://{tmp_path}/root"]
    assert main([*words, "--config", str(tmp_path / "settings.yaml")]) in (65, 78)
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match="no CSV file in UTF-8"):
        read_measurements(b"\xff\xfe\x00", "x.csv", "ratio")
