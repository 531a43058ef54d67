"""One rank of a training run: ``python -m steps.train.rank SPEC.json`` with RANK and WORLD_SIZE in the environment.

The step's own process (step.py) starts the ranks, watches them and uploads what they write; a rank touches no store.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")  # Megatron-Core's notes that Transformer Engine and Apex are missing
sys.modules["mlflow"] = None  # type: ignore[assignment]  # DeepSpeed's autotuner would import it: two seconds

from steps.train.gang import DIVERGED, PROGRESS, STOP, STOPPED, checkpoint_folder, die_with_parent  # noqa: E402

if __name__ == "__main__":
    die_with_parent()  # before the imports, which take seconds

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

from steps.train.clock import Ahead  # noqa: E402
from steps.train.engine import Trainer, build, leave, start_ranks  # noqa: E402
from steps.train.outputs import write_model, write_probe  # noqa: E402
from steps.train.schedule import learning_rate  # noqa: E402
from steps.train.spec import Spec  # noqa: E402
from steps.train.stability import Taken, action, hopeless, judge  # noqa: E402
from steps.train.state import MASTER, Record, Saver, load_state, set_masters, state_files  # noqa: E402
from steps.train.weights import TensorFiles  # noqa: E402
from steps.train.windows import EMPTY, Batch, TokenFile, Windows, batch_windows, micro_batches  # noqa: E402

GIB = 1 << 30


class Rank:
    """This rank's share of one stage."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.config = spec, spec.config
        ranks = start_ranks(spec.config, spec.rendezvous, torch.cuda.is_available())
        self.windows = self.open(spec.windows)
        self.heldout = {name: self.open(files) for name, files in sorted(spec.heldout.items())}
        self.trainer, self.record = prepare(spec, ranks)
        self.saver = Saver(ranks.world)
        self.ahead: Ahead[Batch] = Ahead(self.batches, spec.steps)
        self.saved = spec.resume

    def open(self, files: list[TokenFile]) -> Windows:
        return Windows(files, self.spec.sequence_length)

    def run(self) -> int:
        """Train from where the spec says to the last step, to a hopeless loss, or to a request to stop."""
        spec, record = self.spec, self.record
        if record.step == 0 and not self.measure():
            return DIVERGED
        while record.step < spec.steps:
            if not self.step():
                return DIVERGED
            last = record.step == spec.steps
            if last or record.step % self.config.evaluate_every == 0:
                if not self.measure():
                    return DIVERGED
                last = last or self.is_hopeless()
            stop = self.compare() and not last
            if stop or (not last and record.step % self.config.checkpoint_every == 0):
                self.saved = checkpoint_folder(spec.out, record.step)
                self.saver.save(self.trainer, self.saved, record)
            if stop:
                self.saver.wait()
                return STOPPED
            if last:
                break
        self.finish()
        return 0

    def finish(self) -> None:
        final = self.spec.out / "final"
        self.saver.save(self.trainer, final, self.record)
        self.saver.wait()
        write_model(self.trainer, final, self.config.layout.pipeline)
        write_probe(self.trainer, self.spec, final, self.heldout, self.windows)

    def batches(self, step: int) -> list[Batch]:
        """This replica's micro-batches of a step."""
        chosen = batch_windows(self.windows, step, self.config.batch_windows)
        replica, replicas = self.trainer.ranks.data, self.config.layout.data
        return list(micro_batches(self.windows, chosen, self.config.micro_batch, replica, replicas))

    def step(self) -> bool:
        """Consume one batch: take its optimizer step, or pass it over; False ends the run."""
        config, record = self.config, self.record
        rate = learning_rate(config, record.step, self.spec.steps)
        self.trainer.set_learning_rate(rate)
        chosen = batch_windows(self.windows, record.step, config.batch_windows)
        tokens = int(self.windows.targets[chosen[chosen != EMPTY]].sum())
        seen = record.train[-config.stability.window :]
        past = [Taken(entry["loss"], entry["gradient_norm"], entry["tokens"]) for entry in seen]
        verdict = lambda loss, norm: judge(Taken(loss, norm, tokens), past, config.stability)  # noqa: E731
        batches = self.ahead.take(record.step)
        loss, norm = self.trainer.train(batches, lambda loss, norm: verdict(loss, norm) is None)
        record.step += 1
        entry = {
            "step": record.step,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "tokens": tokens,
        }
        if (found := verdict(loss, norm)) is not None:
            return self.pass_over(found, entry)
        record.adam_step += 1
        record.tokens += tokens
        record.train.append(entry)
        return True

    def pass_over(self, found: str, entry: dict[str, float]) -> bool:
        """Record a step that was not taken, and go back to the last checkpoint where the recipe says so."""
        what = action(found, len(self.record.events), self.config.stability)
        if what == "roll_back" and self.saved is None:
            what = "skip"  # nothing to go back to yet
        event: dict[str, Any] = {"step": entry["step"], "found": found, "action": what}
        # as text: JSON has no NaN
        event |= {"loss": repr(entry["loss"]), "gradient_norm": repr(entry["gradient_norm"])}
        if what == "roll_back" and self.saved is not None:
            event["back_to"] = self.roll_back(self.saved)
        self.record.events.append(event)
        self.report({"kind": "event", **event})
        return what != "stop"

    def roll_back(self, folder: Path) -> int:
        """Restore weights and moments of the last checkpoint; the data order goes on. Returns its step."""
        self.saver.wait()
        dist.barrier()
        before = Record.read(folder)
        load_state(self.trainer, TensorFiles(state_files(folder)), before.adam_step)
        record = self.record
        record.adam_step, record.tokens = before.adam_step, before.tokens
        return before.step

    def measure(self) -> bool:
        """Held-out loss per set, the mean over its tokens. False, and told, where one is not finite."""
        layout, size = self.config.layout, self.config.micro_batch
        for name, windows in self.heldout.items():
            unit = size * layout.data
            count = -(-len(windows) // unit)
            chosen = batch_windows(windows, 0, count * unit)
            batches = micro_batches(windows, chosen, size, self.trainer.ranks.data, layout.data)
            loss = self.trainer.evaluate(batches, count)
            if not math.isfinite(loss):
                self.report({"kind": "diverged", "step": self.record.step, "set": name, "loss": repr(loss)})
                return False
            entry = {
                "step": self.record.step,
                "tokens": self.record.tokens,
                "set": name,
                "loss": loss,
                "set_tokens": int(windows.targets.sum()),
            }
            self.record.heldout.append(entry)
            self.report({"kind": "heldout", **entry})
        return True

    def is_hopeless(self) -> bool:
        """Whether a held-out loss just measured ends the stage (`stop_above`); it is recorded then."""
        found = hopeless(self.record.heldout, self.config.stop_above)
        if found is not None:
            self.record.stopped_early = found
            self.report({"kind": "stopped_early", **found})
        return found is not None

    def compare(self) -> bool:
        """Tell all ranks this one's times and whether it was asked to stop; report the step; True if one was."""
        clock, device = self.trainer.clock, self.trainer.device
        mine = [float((self.spec.out / STOP).exists()), clock.seconds, clock.own, clock.stall, memory_gib()]
        sent = torch.tensor(mine, dtype=torch.float64, device=device)
        everyone = [torch.empty_like(sent) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, sent)
        table = torch.stack(everyone).cpu()
        seconds, own, stall, memory = (table[:, column] for column in range(1, 5))
        step = self.record.step - 1
        chosen = batch_windows(self.windows, step, self.config.batch_windows)
        positions = len(chosen) * self.spec.sequence_length
        flops = self.spec.model.flops(positions, int(self.windows.areas[chosen[chosen != EMPTY]].sum()))
        taken = float(seconds.max())
        if self.record.train and self.record.train[-1]["step"] == self.record.step:
            speed = {
                "seconds": taken,
                "tokens_per_second": positions / taken,
                "tflops_per_rank": flops / taken / len(everyone) / 1e12,
                "stall_share": float((stall / seconds).max()),
                # the slowest rank's own work against the middle one's
                "straggler": float(own.max() / own.median().clamp(min=1e-9)),
                "memory_gib": float(memory.max()),
            }
            self.report({"kind": "train", **self.record.train[-1], **speed})
        return bool(table[:, 0].max() > 0)

    def report(self, line: dict[str, Any]) -> None:
        """Tell the step's process, which logs it and sends it to MLflow."""
        if self.trainer.ranks.world == 0:
            with (self.spec.out / PROGRESS).open("a") as file:
                file.write(json.dumps(line) + "\n")


def memory_gib() -> float:
    """The most memory that this rank has held: allocated on its GPU, or resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / GIB
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(None, 1)[0]) * 1024 / GIB


def prepare(spec: Spec, ranks: Any) -> tuple[Trainer, Record]:
    """The engine and the record, resumed from a checkpoint, or at the start of a stage."""
    state = state_files(spec.resume) if spec.resume else spec.previous_state
    source = TensorFiles(state or spec.weights)
    trainer = build(spec.config, spec.model, ranks, source, MASTER if state else "", spec.settings)
    if spec.resume:
        record = Record.read(spec.resume)
        load_state(trainer, source, record.adam_step)
        if spec.resumed_layout:
            record.layouts.append({**spec.resumed_layout, "until_step": record.step})
        return trainer, record
    if not state:
        return trainer, Record()
    if spec.config.optimizer_state == "continue":
        load_state(trainer, source, spec.previous_steps)
        return trainer, Record(adam_step=spec.previous_steps)
    set_masters(trainer, source)
    return trainer, Record()


def main(path: Path) -> None:
    spec = Spec.read(path)
    torch.set_num_threads(spec.config.threads_per_rank)
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    # otherwise every buffer that an engine reserves would be written, and so take real memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    leave(Rank(spec).run())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
