"""The child that holds lm-evaluation-harness: ``python -m steps.benchmark.harness_child PARENT``.

One JSON object per line comes in: first the folder of tasks and data sets, then one request per benchmark and model;
one goes out for each: null, or what is wrong. Results are written to the file that the request names. The child's
folder is that of the data sets, so that ``dataset_path: cais/mmlu`` finds the copy that lies there.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steps.core.child import die_with

if __name__ == "__main__":
    die_with(int(sys.argv[1]))  # before the imports, which take seconds

import datasets
import evaluate
import torch
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from steps.core.config import CodeLimits
from steps.core.errors import StepError
from steps.core.sandbox import run_all

TASKS = "tasks"  # folder of own task files
KEPT = ("results", "groups", "group_subtasks", "versions", "n-shot", "n-samples", "higher_is_better")
CODE_METRIC = "code_eval"


class SandboxedCodeMetric:
    """Stands in for Hugging Face's ``code_eval``, which would run programs in this process's own children.

    Same call and same answer: pass@k as in Chen et al. 2021 (arXiv 2107.03374), §2.1.
    """

    def __init__(self, limits: CodeLimits) -> None:
        self.limits = limits
        self.outcomes: dict[str, str] = {}  # by program
        self.users: set[str] = set()  # modules that asked for this metric

    def compute(
        self, references: list[str], predictions: list[list[str]], k: Any = (1, 10, 100), **_: Any
    ) -> tuple[dict[str, float], dict[int, list[str]]]:
        """(pass@k by name, outcomes by item) of candidate programs, each followed by its item's tests."""
        programs = [
            [_program(candidate, test) for candidate in tried]
            for test, tried in zip(references, predictions, strict=True)
        ]
        outcomes = iter(run_all([program for tried in programs for program in tried], self.limits))
        found = {number: [next(outcomes) for _ in tried] for number, tried in enumerate(programs)}
        for number, tried in enumerate(programs):
            self.outcomes.update(zip(tried, found[number], strict=True))
        wanted = [k] if isinstance(k, int) else list(k)
        return {
            f"pass@{size}": sum(pass_at(size, said) for said in found.values()) / len(found)
            for size in wanted
            if all(len(said) >= size for said in found.values())
        }, found


def _program(candidate: str, test: str) -> str:
    return f"{candidate}\n{test}"


def texts_of(value: Any) -> Iterator[str]:
    """All texts in a data set's record, from top to bottom."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_of(inner)


def pass_at(k: int, outcomes: list[str]) -> float:
    """Unbiased estimate of the chance that one of ``k`` programs passes."""
    tried, passed = len(outcomes), outcomes.count("passed")
    return 1.0 - math.comb(tried - passed, k) / math.comb(tried, k)


class Harness:
    """The harness with one model at a time in memory."""

    def __init__(self, limits: CodeLimits) -> None:
        self.code = SandboxedCodeMetric(limits)
        self._managers: dict[bool, TaskManager] = {}
        self._model: tuple[str, HFLM] | None = None
        load = evaluate.load

        def load_metric(path: str, *args: Any, **named: Any) -> Any:
            if path != CODE_METRIC:
                return load(path, *args, **named)
            self.code.users.add(sys._getframe(1).f_globals["__name__"])
            return self.code

        evaluate.load = load_metric

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the harness found: its results, and one record per item and answer filter."""
        name = request["task"]
        manager = self._manager(name)
        tasks = manager.load([name])
        self._refuse_unheld(tasks["tasks"])
        self.code.outcomes.clear()
        found = simple_evaluate(
            model=self._load(request["model"], request["batch_size"]),
            tasks=[name],
            num_fewshot=request["fewshot"],
            limit=request["limit"],
            task_manager=manager,
            batch_size=request["batch_size"],
            random_seed=request["seed"],
            numpy_random_seed=request["seed"],
            torch_random_seed=request["seed"],
            fewshot_random_seed=request["seed"],
            confirm_run_unsafe_code=True,  # _refuse_unheld has seen that it runs in the sandbox
        )
        items = [
            self._item(task, sample)
            for task, samples in sorted(found["samples"].items())
            for sample in samples
        ]
        return {**{key: found[key] for key in KEPT if key in found}, "items": items}

    def _manager(self, name: str) -> TaskManager:
        """The index of tasks: of the own ones, or, where ``name`` is none of them, of the harness' too."""
        own = [TASKS] if os.path.isdir(TASKS) else []
        for defaults in (False, True):
            if defaults not in self._managers:
                self._managers[defaults] = TaskManager(include_path=own, include_defaults=defaults)
            if name in self._managers[defaults].all_tasks:
                return self._managers[defaults]
        raise LookupError(f"neither the harness nor {TASKS}/ has a task {name!r}")

    def _load(self, folder: str, batch_size: int) -> HFLM:
        if self._model is None or self._model[0] != folder:
            self._model = None  # the memory of the last one is needed
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._model = (
                folder,
                HFLM(pretrained=folder, dtype="auto", device=device, batch_size=batch_size),
            )
        return self._model[1]

    def _refuse_unheld(self, tasks: dict[str, Any]) -> None:
        """Raise where a task runs generated code by other means than the metric that this child replaces."""
        for name, task in tasks.items():
            if getattr(task, "UNSAFE_CODE", False):
                # the harness keeps a function's __call__
                metrics = [getattr(metric, "__self__", metric) for metric in task._metric_fn_list.values()]
                modules = {getattr(metric, "__module__", "") for metric in metrics}
                if not modules <= self.code.users:
                    raise PermissionError(
                        f"task {name} runs generated code by means of its own, which no sandbox would hold; only "
                        f"tasks that score it with the metric {CODE_METRIC} can run"
                    )

    def _item(self, task: str, sample: dict[str, Any]) -> dict[str, Any]:
        scores = {name: sample[name] for name in sample["metrics"]}
        answers = sample["filtered_resps"]
        tried = answers[0] if answers and isinstance(answers[0], list) else answers
        programs = [_program(text, sample["target"]) for text in tried]
        return {
            "task": task,
            "item": sample["doc_id"],
            "item_sha256": sample["doc_hash"],
            "filter": sample["filter"],
            "prompt": str(sample["arguments"][0][0]),
            "target": str(sample["target"]),
            "record": "\n".join(texts_of(sample["doc"])),
            "responses": sample["resps"],
            "answers": answers,
            "outcomes": [self.code.outcomes[text] for text in programs if text in self.code.outcomes],
            "scores": scores,
        }


def explain(error: Exception) -> str:
    """What a person must know of an exception that came through the harness."""
    # a KeyError shows its message in quotes
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())[:500]
    missing = (datasets.exceptions.DatasetNotFoundError, ConnectionError, FileNotFoundError)
    if isinstance(error, missing) or "offline" in text.lower():
        return (
            f"a data set is not in the recipe's benchmark sources ({text}); put a copy of its repository there, "
            "under its name"
        )
    if isinstance(error, (StepError, LookupError, PermissionError)):
        return text
    return f"the harness failed ({type(error).__name__}: {text})"


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    hello = json.loads(sys.stdin.readline())
    os.chdir(hello["folder"])
    harness = Harness(CodeLimits.model_validate(hello["code"]))
    for line in sys.stdin:
        request = json.loads(line)
        said = None
        try:
            found = harness.run(request)
            Path(request["out"]).write_text(json.dumps(found, default=str, ensure_ascii=False))
        except Exception as error:
            import traceback

            traceback.print_exc()
            said = explain(error)
        answers.write(json.dumps({"error": said}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
