"""The training loop, one for every task."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import torch

from elman.errors import InputError
from elman.runfolder import RunFolder
from elman.train import checkpoint, snapshots
from elman.train.checkpoint import Memory, Position
from elman.train.distributed import World, choose_device
from elman.train.divergence import cause
from elman.train.monitor import EVERY, Monitor
from elman.train.optimizer import Optimizer
from elman.train.options import TrainingOptions
from elman.train.problem import Loss, Problem
from elman.train.progress import Progress, Status
from elman.train.randomness import RandomStates, seed
from elman.train.schedule import Schedule
from elman.train.stops import Diverged, Interrupted, Signals
from elman.train.tensorboard import TensorBoard

PROGRESS_SECONDS = 0.2
# A sample is taken at evaluations 1, 4, 16, ... (change is fast at first) and when a limit is reached.
SAMPLE_GROWTH = 4


@dataclasses.dataclass(frozen=True)
class History:
    """What a training did: the lines of metrics.jsonl, the best of them, and why it ended."""

    records: list[dict[str, Any]]
    best_step: int
    best_loss: float
    steps: int
    seconds: float
    stopped: str  # "epochs", "max_steps", "max_minutes" or "patience"


def fit(
    problem: Problem,
    options: TrainingOptions,
    run: RunFolder,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    config: Mapping[str, Any] | None = None,
) -> History:
    """Train `problem.model`; at the end it holds the best weights, those of the lowest validation loss, or by
    `keep` the last.

    Each update follows the gradient of (sum of the losses of all items) / (number of items), over all processes
    if there are several. `run` receives metrics, best weights and checkpoints; `config` (`task`, `options`, `data`)
    is written to its config.json. With `resume` the training goes on from the last checkpoint, or from the start
    if there was none yet, and ends with the same bits as one that was never stopped (see `TrainingOptions`).

    Weights are drawn before this is called: call `train.seed(options.seed)` before the model is made.

    Raises: InputError (options; a damaged checkpoint; data or task of `run` differ on resume; disk full),
    Diverged (NaN or infinity), Interrupted (SIGINT or SIGTERM, after the checkpoint is saved).
    """
    options.check()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    world = World.here(choose_device(options.device))
    if world.first:  # alone: for the others the folder may not be ready yet
        if not resume and run.has(checkpoint.NAME):
            raise InputError(
                f"{run.path}: holds a training already; use --resume to continue it or --overwrite."
            )
        if config is not None:
            _write_config(run, config, resume)
    problem.model.to(world.device)
    with world.joined(), Signals() as signals:
        trainer = _Trainer(problem, options, run, world, signals, progress if world.first else None)
        trainer.begin(resume)
        try:
            return trainer.train()
        finally:
            trainer.end()


def _write_config(run: RunFolder, config: Mapping[str, Any], resume: bool) -> None:
    if resume:
        before, now = run.read_config(), json.loads(json.dumps(dict(config)))
        for part in ("task", "data"):
            if before[part] != now[part]:
                raise InputError(
                    f"{run.path}: its {part} is not the one given now; resume with the same {part}."
                )
    run.write_config(config)


class _Step(torch.nn.Module):
    """Model and loss as one module, so that DistributedDataParallel sees every pass."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.model = problem.model
        self.problem = problem

    def forward(self, batch: Any, carry: Any) -> Loss:
        return self.problem.loss(batch, carry)


class _Trainer:
    """One call of `fit`."""

    def __init__(
        self,
        problem: Problem,
        options: TrainingOptions,
        run: RunFolder,
        world: World,
        signals: Signals,
        progress: Progress | None,
    ) -> None:
        self.problem, self.options, self.run = problem, options, run
        self.world, self.signals, self.progress = world, signals, progress
        self.length = len(problem.batches)
        self._check_length()
        self.schedule = Schedule.of(options, self.length)
        parameters = {name: p for name, p in problem.model.named_parameters() if p.requires_grad}
        self.optimizer = Optimizer(parameters, options)
        self.compute = problem.loss
        if world.size > 1:
            self.compute = torch.nn.parallel.DistributedDataParallel(_Step(problem))
        self.precision: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if options.precision == "bfloat16":
            self.precision = torch.autocast(world.device.type, torch.bfloat16)
        self.position = Position()
        self.carry: Any = None
        self.best: dict[str, torch.Tensor] = {}
        self.best_written = True
        self.records: list[dict[str, Any]] = []
        self.board: TensorBoard | None = None
        self.rate = 0.0
        self.monitor = Monitor(problem.model, self.optimizer)
        self.seen: dict[str, float] = {}

    def _check_length(self) -> None:
        if self.length == 0:
            raise InputError(
                "no batch to train on: the data are shorter than one batch; give more or a smaller batch."
            )
        (total,) = self.world.sum(self.length)
        if total != self.length * self.world.size:
            raise ValueError(f"batches: {self.length} here, expected as many in every process.")

    # --- begin and end

    def begin(self, resume: bool) -> None:
        """From the start, or from the checkpoint, with all clocks set."""
        content = None
        if self.world.first:
            content = checkpoint.read(self.run) if resume and self.run.has(checkpoint.NAME) else None
        content = self.world.from_first(content)
        if content is None:
            seed(self.options.seed + self.world.rank)
        else:
            self._restore(content)
        if self.world.first:
            self.run.truncate_metrics(self.position.metrics_bytes)
            self.records = self.run.metrics()
            self.board = TensorBoard(self.run, self.records)
            if content is None:
                snapshots.keep(self.run, self.problem.model, self.records, self.options.snapshots)
            else:
                snapshots.thin(self.run, self.records, self.options.snapshots)
        self.records = self.world.from_first(self.records)
        now = time.perf_counter()
        self.started = now - self.position.seconds
        self.saved = self.shown = self.mark = now
        self.mark_items = self.position.items
        if self.progress:
            self.progress.start(self.problem.items, self.problem.score)
            if resume:
                self.progress.note(f"continuing {self.run.path} at step {self.position.step:,}")

    def _restore(self, content: Any) -> None:
        model = self.problem.model
        self.position, self.best, self.carry = checkpoint.restore(
            self.run, content, model, self.optimizer, self.world
        )
        if self.position.best_loss is not None and not self.best:
            self.best = _copy(model)
        self.best_written = False  # model.safetensors may be younger than the checkpoint

    def end(self) -> None:
        if self.progress:
            self.progress.stop()

    # --- the loop

    def train(self) -> History:
        self.problem.model.train()
        ended = self._ended() if self.position.evaluations else ""  # a run always has an evaluation
        if ended and self.progress:
            self.progress.note(
                f"nothing left to train: the limit {ended} was reached before; give a higher one"
            )
        if not ended:
            for batch in self._batches():
                self._update(batch)
                ended = self._after_update()
                if ended:
                    break
        if self.best:
            checkpoint.copy_into(checkpoint.weights(self.problem.model), self.best)
        self.problem.model.eval()
        position = self.position
        best_loss = math.nan if position.best_loss is None else position.best_loss
        return History(self.records, position.best_step, best_loss, position.step, position.seconds, ended)

    def _batches(self) -> Iterator[Any]:
        """Batches from the present position on, epoch after epoch; `_update` moves the position."""
        while True:
            before = self.position.epoch
            yield from self.problem.batches.epoch(before, self.position.batch)
            if self.position.epoch == before:
                raise ValueError(
                    f"batches: epoch {before} ended after {self.position.batch} of {self.length}."
                )

    def _update(self, batch: Any) -> None:
        """One step: loss, gradient, clipping, update."""
        position, optimizer, world = self.position, self.optimizer, self.world
        self.rate = self.schedule.rate(position.step, position.seconds)
        watched = self._watched()
        with self.precision, self.monitor.listening() if watched else contextlib.nullcontext():
            loss = self.compute(batch, self.carry)
        count: float = loss.count
        if world.size > 1:
            (count,) = world.sum(count)
        # DistributedDataParallel takes the mean over the processes; the sum is wanted.
        torch.autograd.backward(loss.total * (world.size / max(count, 1)))
        if watched:
            self.monitor.before()
        norm = optimizer.clip(self.options.clip_norm)
        position.clipped += 0 < self.options.clip_norm < norm
        total = loss.total.item()
        if world.size > 1:
            (total,) = world.sum(total)
        if not math.isfinite(total + norm):
            with self.precision:
                where = cause(self.problem, batch, self.carry, total / max(count, 1))
            self._diverge(f"in step {position.step + 1}: {where}")
        optimizer.step(self.rate)
        if watched:
            self.seen = self.monitor.after(norm)
        optimizer.clear()
        position.loss_sum += total
        position.items += int(count)
        position.step += 1
        position.batch += 1
        self.carry = _detached(loss.carry)
        if position.batch == self.length:
            position.epoch, position.batch, self.carry = position.epoch + 1, 0, None

    def _watched(self) -> bool:
        """Whether the monitor looks at the update that comes: the steps alone decide, not the clock."""
        position, options = self.position, self.options
        step, every = position.step + 1, options.evaluate_every
        last = max((r["step"] for r in self.records if "gradient_norm" in r), default=0)
        due = step % every == 0 if every else position.batch + 1 == self.length
        return self.world.first and step - last >= EVERY and (due or step == options.max_steps)

    def _after_update(self) -> str:
        """Evaluate, save and show what is due; gives the reason to end, or nothing."""
        now = time.perf_counter()
        position, options = self.position, self.options
        position.seconds = now - self.started
        save = now - self.saved >= options.checkpoint_seconds
        interrupted = self.signals.caught
        if self.world.size > 1:
            position.seconds, *flags = self._agree(position.seconds, save, interrupted)
            save, interrupted = map(bool, flags)
        ended = self._ended()
        due = position.step % options.evaluate_every if options.evaluate_every else position.batch
        if ended or not due:
            self._evaluate(last=bool(ended))
            ended = ended or self._ended()
            save = save or position.evaluations == 1
            if self.world.first:
                last = bool(ended) and position.best_step != position.step  # else it is the result itself
                snapshots.keep(self.run, self.problem.model, self.records, options.snapshots, last=last)
        if ended or save or interrupted:
            self._save()
        if interrupted and not ended:
            raise Interrupted(self.run.path, position.step)
        if self.progress and now - self.shown >= PROGRESS_SECONDS:
            self.shown = now
            self.progress.advance(self._status())
        return ended

    def _agree(self, seconds: float, save: bool, interrupted: bool) -> list[float]:
        """The same in all processes: the clock of the first counts, and a signal to any."""
        by_clock = (seconds, save) if self.world.first else (0, 0)
        return self.world.sum(*by_clock, interrupted)

    def _ended(self) -> str:
        position, options = self.position, self.options
        epochs = options.total_epochs()
        if epochs is not None and position.epoch >= epochs:
            return "epochs"
        if options.max_steps is not None and position.step >= options.max_steps:
            return "max_steps"
        if options.max_minutes is not None and position.seconds >= options.max_minutes * 60:
            return "max_minutes"
        if options.patience is not None and position.stale >= options.patience:
            return "patience"
        return ""

    # --- evaluation

    def _evaluate(self, last: bool) -> None:
        position = self.position
        position.evaluations += 1
        record = self.world.from_first(self._record(last) if self.world.first else None)
        loss = record.get("validation_loss", record["train_loss"])
        if not math.isfinite(loss):
            self._diverge(f"after step {position.step}: the validation loss is {loss}")
        status = self._status()
        position.loss_sum, position.items, position.clipped, self.seen = 0.0, 0, 0, {}
        position.stale += 1
        if self.options.keep == "last" or position.best_loss is None or loss < position.best_loss:
            position.best_loss, position.best_step, position.stale = loss, position.step, 0
            self.best, self.best_written = _copy(self.problem.model), False
        self.records.append(record)
        if self.world.first:
            self.run.append_metrics(record)
            if self.board:
                self.board.add(record)
        if self.progress:
            self.progress.evaluated(record, status)
        self.mark, self.mark_items = time.perf_counter(), 0

    def _record(self, last: bool) -> dict[str, Any]:
        """Validate, and sample if it is time; torch's random states stay those of the training."""
        position, problem = self.position, self.problem
        pace = self._status().items_per_second
        updates = max(1, position.step - (self.records[-1]["step"] if self.records else 0))
        gpus = [self.world.device] if self.world.device.type == "cuda" else []
        problem.model.eval()
        with torch.random.fork_rng(gpus), torch.inference_mode(), self.precision:
            scores = problem.validate()
            sample = problem.sample() if last or _is_power(position.evaluations, SAMPLE_GROWTH) else None
        problem.model.train()
        return {
            "step": position.step,
            "epoch": round(position.epoch + position.batch / self.length, 6),
            "seconds": round(position.seconds, 3),
            "train_loss": position.loss_sum / max(position.items, 1),
            **({"validation_loss": scores["loss"]} if "loss" in scores else {}),
            "learning_rate": self.rate,
            "items_per_second": round(pace, 1),
            **{name: value for name, value in scores.items() if name != "loss"},
            **({"clipped": round(position.clipped / updates, 4)} if self.options.clip_norm else {}),
            **self.seen,
            **({} if sample is None else {"sample": sample}),
        }

    def _status(self) -> Status:
        position = self.position
        fraction = self.schedule.fraction(position.step, position.seconds)
        return Status(
            step=position.step,
            epoch=position.epoch + position.batch / self.length,
            fraction=fraction,
            loss=position.loss_sum / max(position.items, 1),
            items_per_second=(position.items - self.mark_items) / max(time.perf_counter() - self.mark, 1e-9),
            seconds_left=position.seconds * (1 - fraction) / fraction if fraction else None,
        )

    # --- saving and stopping

    def _save(self) -> None:
        """Best weights, if they are new, then the checkpoint; every process takes part."""
        carry = checkpoint.change(self.carry, torch.Tensor.cpu)
        memories = self.world.to_first(Memory(RandomStates.take(self.world.device), carry))
        if self.world.first:
            self._write_best()
            self.position.metrics_bytes = self.run.metrics_size()
            older = self.best if self.position.best_step != self.position.step else {}
            checkpoint.save(self.run, self.position, self.problem.model, self.optimizer, older, memories)
        self.saved = time.perf_counter()

    def _write_best(self) -> None:
        if self.best and not self.best_written:
            arrays = {name: tensor.cpu().numpy() for name, tensor in self.best.items()}
            about = {"step": self.position.best_step, "validation_loss": self.position.best_loss}
            self.run.write_tensors(checkpoint.BEST, arrays, about)
            self.best_written = True

    def _diverge(self, what: str) -> NoReturn:
        """Stop before the weights are harmed, with the best ones so far on disk."""
        if self.world.first:
            self._write_best()
        options, kept = self.options, "no checkpoint had been saved yet"
        if self.run.has(checkpoint.NAME):
            step = self.run.read_metadata(checkpoint.NAME)["position"]["step"]
            kept = f"the checkpoint of step {step} is kept"
        clip = f"below {options.clip_norm:g}" if options.clip_norm else "of 1"
        raise Diverged(
            f"training stopped {what}; {kept}. Try a --learning-rate below {self.rate:g} or a --clip-norm {clip}."
        )


@torch.no_grad()
def _copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in checkpoint.weights(model).items()}


def _detached(carry: Any) -> Any:
    return checkpoint.change(carry, torch.Tensor.detach)


def _is_power(number: int, base: int) -> bool:
    """Whether `number` is 1, base, base^2, ..."""
    while number % base == 0:
        number //= base
    return number == 1
