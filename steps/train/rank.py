"""One rank of a training run: ``python -m steps.train.rank SPEC.json`` with RANK and WORLD_SIZE in the environment.

The step's own process (step.py) starts the ranks, watches them and uploads what they write; a rank touches no store.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")  # Megatron-Core's notes that Transformer Engine and Apex are missing
sys.modules["mlflow"] = None  # type: ignore[assignment]  # DeepSpeed's autotuner would import it: two seconds

from steps.train.gang import DIVERGED, DONE, PROGRESS, STOP, STOPPED, die_with_parent  # noqa: E402

if __name__ == "__main__":
    die_with_parent()  # before the imports, which take seconds

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

from steps.train.architecture import Architecture  # noqa: E402
from steps.train.config import Config  # noqa: E402
from steps.train.engine import Ranks, Trainer, build, leave, set_learning_rate, start_ranks  # noqa: E402
from steps.train.outputs import write_model, write_probe  # noqa: E402
from steps.train.schedule import learning_rate  # noqa: E402
from steps.train.state import MASTER, load_state, read_record, save_state, set_masters  # noqa: E402
from steps.train.weights import TensorFiles  # noqa: E402
from steps.train.windows import EMPTY, TokenFile, Windows, batch_windows, micro_batches  # noqa: E402


@dataclass
class Spec:
    """What the step's process tells its ranks."""

    config: Config
    model: Architecture
    settings: dict[str, Any]
    sequence_length: int
    steps: int
    windows: list[TokenFile]
    heldout: dict[str, list[TokenFile]]
    weights: list[Path]
    previous_state: list[Path] | None
    previous_steps: int
    resume: Path | None
    out: Path
    rendezvous: Path

    @classmethod
    def read(cls, path: Path) -> Spec:
        raw = json.loads(path.read_text())
        files = lambda rows: [TokenFile(Path(tokens), Path(table), dtype) for tokens, table, dtype in rows]  # noqa: E731
        previous = raw["previous_state"]
        return cls(
            config=Config.model_validate(raw["config"]),
            model=Architecture(**raw["model"]),
            settings=raw["settings"],
            sequence_length=raw["sequence_length"],
            steps=raw["steps"],
            windows=files(raw["windows"]),
            heldout={name: files(rows) for name, rows in raw["heldout"].items()},
            weights=[Path(p) for p in raw["weights"]],
            previous_state=None if previous is None else [Path(p) for p in previous],
            previous_steps=raw["previous_steps"],
            resume=None if raw["resume"] is None else Path(raw["resume"]),
            out=Path(raw["out"]),
            rendezvous=Path(raw["rendezvous"]),
        )


@dataclass
class Record:
    """What a run has measured so far; it is saved with every checkpoint."""

    step: int = 0
    adam_step: int = 0
    tokens: int = 0
    train: list[dict[str, float]] = field(default_factory=list)
    heldout: list[dict[str, Any]] = field(default_factory=list)


def main(path: Path) -> None:
    """Train from where the spec says to the last step, or to the first step after a request to stop."""
    spec = Spec.read(path)
    torch.set_num_threads(spec.config.threads_per_rank)
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    # otherwise every buffer that an engine reserves would be written, and so take real memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    ranks = start_ranks(spec.config, spec.rendezvous, torch.cuda.is_available())
    windows = Windows(spec.windows, spec.sequence_length)
    heldout = {name: Windows(files, spec.sequence_length) for name, files in sorted(spec.heldout.items())}
    trainer, record = prepare(spec, ranks)

    if record.step == 0:
        measure(trainer, spec, heldout, record)
    while record.step < spec.steps:
        train_step(trainer, spec, windows, record)
        last = record.step == spec.steps
        if last or record.step % spec.config.evaluate_every == 0:
            measure(trainer, spec, heldout, record)
        stop = not last and asked_to_stop(spec)
        if stop or (not last and record.step % spec.config.checkpoint_every == 0):
            checkpoint(trainer, spec, record)
        if stop:
            leave(STOPPED)

    save_state(trainer, spec.out / "final", vars(record))
    write_model(trainer, spec.out / "final", spec.config.layout.pipeline)
    write_probe(trainer, spec.out / "final", heldout, windows, spec.config.probe_windows)
    leave(0)


def prepare(spec: Spec, ranks: Ranks) -> tuple[Trainer, Record]:
    """The engine and the record, resumed from a checkpoint, or at the start of a stage."""
    state = sorted(spec.resume.glob("state-*.safetensors")) if spec.resume else spec.previous_state
    source = TensorFiles(state or spec.weights)
    trainer = build(spec.config, spec.model, ranks, source, MASTER if state else "", spec.settings)
    if spec.resume:
        record = Record(**read_record(spec.resume))
        load_state(trainer, source, record.adam_step)
        return trainer, record
    if not state:
        return trainer, Record()
    if spec.config.optimizer_state == "continue":
        load_state(trainer, source, spec.previous_steps)
        return trainer, Record(adam_step=spec.previous_steps)
    set_masters(trainer, source)
    return trainer, Record()


def train_step(trainer: Trainer, spec: Spec, windows: Windows, record: Record) -> None:
    """One optimizer step over ``batch_windows`` windows; stops the run if the loss is not finite."""
    config, layout = spec.config, spec.config.layout
    rate = learning_rate(
        record.step, spec.steps, config.learning_rate, config.final_learning_rate, config.warmup_ratio
    )
    set_learning_rate(trainer, rate)
    chosen = batch_windows(windows, record.step, config.batch_windows)
    batches = micro_batches(windows, chosen, config.micro_batch, trainer.ranks.data, layout.data)
    loss = float(trainer.engine.train_batch(batches))
    norm = float(trainer.engine.get_global_grad_norm())
    record.step += 1
    record.adam_step += 1
    tokens = int(windows.targets[chosen[chosen != EMPTY]].sum())
    record.tokens += tokens
    entry = {
        "step": record.step,
        "loss": loss,
        "learning_rate": rate,
        "gradient_norm": norm,
        "tokens": tokens,
    }
    record.train.append(entry)
    report(trainer, spec, {"kind": "train", **entry})
    if not (math.isfinite(loss) and math.isfinite(norm)):
        report(
            trainer,
            spec,
            {"kind": "error", "message": f"step {record.step}: loss {loss}, gradient norm {norm}"},
        )
        leave(DIVERGED)


def measure(trainer: Trainer, spec: Spec, heldout: dict[str, Windows], record: Record) -> None:
    """Held-out loss per set, the mean over its tokens."""
    layout, size = spec.config.layout, spec.config.micro_batch
    for name, windows in heldout.items():
        unit = size * layout.data
        count = -(-len(windows) // unit)
        chosen = batch_windows(windows, 0, count * unit)
        batches = micro_batches(windows, chosen, size, trainer.ranks.data, layout.data)
        loss = float(trainer.engine.eval_batch(batches, num_micro_batches=count))
        trainer.engine.train()
        entry = {"step": record.step, "set": name, "loss": loss, "tokens": int(windows.targets.sum())}
        record.heldout.append(entry)
        report(trainer, spec, {"kind": "heldout", **entry})


def asked_to_stop(spec: Spec) -> bool:
    """Whether the step's process wants to stop; all ranks hear the same answer."""
    wish = torch.tensor([float((spec.out / STOP).exists())])
    if torch.cuda.is_available():
        wish = wish.cuda()
    dist.all_reduce(wish)
    return bool(wish.item() > 0)


def checkpoint(trainer: Trainer, spec: Spec, record: Record) -> None:
    """Write a checkpoint; its DONE file appears when every rank has written its share."""
    folder = spec.out / f"checkpoint-{record.step:08d}"
    save_state(trainer, folder, vars(record))
    dist.barrier()
    if trainer.ranks.world == 0:
        (folder / DONE).touch()


def report(trainer: Trainer, spec: Spec, line: dict[str, Any]) -> None:
    """Tell the step's process, which logs it and sends it to MLflow."""
    if trainer.ranks.world == 0:
        with (spec.out / PROGRESS).open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
