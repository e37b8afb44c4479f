"""What every task shares: options, and the verbs fit, predict, evaluate, save and load."""

from __future__ import annotations

import io
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar, cast

from elman import cells
from elman.errors import InputError
from elman.inspection import (
    Compared,
    Inspected,
    Report,
    Section,
    Setting,
    figure_svg,
    history_figure,
    report_page,
)
from elman.inspection.advice import grid, of_training
from elman.runfolder import RunFolder
from elman.settings import from_text, option_groups
from elman.tasks._inputs import Answer
from elman.tasks._options import DataOptions, ModelOptions, check_fractions
from elman.train.options import TrainingOptions

if TYPE_CHECKING:
    import torch

    from elman.train.problem import Problem
    from elman.train.progress import Progress

_Network = TypeVar("_Network", bound="torch.nn.Module")

_STATES = ("h", "c")  # that a graph's layers have inputs for, whatever a cell calls them

Data: TypeAlias = Any
"""A file or folder, a list of them, or, for tasks that read tables, a dataframe or a mapping of columns."""
Scores: TypeAlias = dict[str, float]
Opening: TypeAlias = Callable[[RunFolder, Mapping[str, int]], Any]


@dataclass(kw_only=True)
class NoOptions:
    """A verb without options of its own."""


@dataclass(kw_only=True)
class Task(DataOptions, ModelOptions, TrainingOptions, ABC):
    """One kind of problem with sequences: from files to a trained model, its scores and what it must beat.

    The constructor stores options only; `fit` learns and returns the estimator itself. After `fit` or `load`, `run_` is
    the run folder; after `fit`, `scores_` holds scores by who made them: "model" first, then the baselines, and
    `parameters_` the number of weights.
    """

    name: ClassVar[str]
    compared: ClassVar[Compared]
    """The score that is compared with the baselines, and between trainings."""
    evaluating: ClassVar[type[Any]] = NoOptions
    """Options of `evaluate`, as a dataclass: its keywords, and the flags of `elman evaluate`."""
    predicting: ClassVar[type[Any]] = NoOptions
    """Options of `answers`, as a dataclass: its keywords, and the flags of `elman predict`."""
    needs_input: ClassVar[bool] = True
    """Whether `answers` has nothing to say without any input."""

    # --- what a task defines

    @classmethod
    @abstractmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Write a small made-up data set into a folder; returns the files to `fit`, and the options that read them."""

    @abstractmethod
    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """What `elman predict` says to the words of its command line (texts, files, `-`), one after the other."""

    @abstractmethod
    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores of the fitted model on data of the kind it was trained on."""

    @classmethod
    def remarks(cls) -> list[str]:
        """What must be told beside the scores, such as how exactly they are defined."""
        return []

    @abstractmethod
    def baselines(self) -> dict[str, Scores]:
        """Scores of simple predictors fitted to the training part, on the data that are held out."""

    @abstractmethod
    def _prepare(self, sources: list[Any]) -> Problem:
        """Read the data and build the model."""

    @abstractmethod
    def _facts(self, sources: list[Any]) -> dict[str, Any]:
        """What config.json records of the data: the fingerprint, and numbers the report shows."""

    @abstractmethod
    def _save(self, run: RunFolder) -> None:
        """Write what the model needs beside its weights: vocabularies, and the rest in task.json."""

    @abstractmethod
    def _restore(self, run: RunFolder) -> None:
        """Build the model from the options and from what `_save` wrote, and load the weights."""

    @abstractmethod
    def _final_scores(self, run: RunFolder) -> Scores:
        """Scores of the best weights on the data that are held out, or else on the training data."""

    @abstractmethod
    def _judged(self) -> str:
        """What `_final_scores` are scores on, in words."""

    @abstractmethod
    def _sections(self) -> list[Section]:
        """What the report shows of this task: samples, errors, pictures."""

    @abstractmethod
    def _usage(self, run: RunFolder) -> list[str]:
        """Commands and code that use the run."""

    def _compared(self) -> Compared:
        """The score that counts for what was learned here."""
        return self.compared

    def inspected(self, inputs: Sequence[str]) -> Inspected:  # noqa: ARG002
        """How the network reads the words of a command line, a few rows of them: for `elman inspect`."""
        raise InputError(f"elman inspect does not know the task {self.name} yet.")

    def _finish(self, run: RunFolder) -> None:
        """After training, with the best weights in the model: what is learned from held-out data."""

    # --- what all tasks share

    def fit(
        self,
        data: Data,
        *,
        validation: float | str | Path | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Train on data; the estimator then holds the weights of the lowest validation loss.

        Args:
            data: one or several files or folders; where a task reads tables, a dataframe or a mapping of columns too.
            validation: in place of the option of that name.
            out: run folder to write; none: a temporary one, gone with the estimator unless `save`d.
            resume: go on with the run in `out` where its checkpoint stands.
            overwrite: replace the run in `out`.
            progress: told what happens, such as `elman.train.progress_on()`; none: silent.

        Raises:
            InputError: options, data or `out` are wrong, and nothing was written; or the disk is full.
            Diverged, Interrupted: see `elman.train.fit`.
        """
        from elman import train
        from elman.train import checkpoint

        given = sources(data)
        if validation is not None:
            self.validation = str(validation) if isinstance(validation, Path) else validation
        self.check()
        _check_folder_words(out, resume, overwrite)
        train.choose_device(self.device)
        train.seed(self.seed)
        problem = self._prepare(given)
        config = {"task": self.name, "options": self.options(), "data": self._facts(given)}
        first = train.World.here().first
        run = self._folder(out, resume, overwrite) if first else RunFolder(out or "")
        if first:
            if not resume:
                run.write_config(config)
            if not run.has(checkpoint.NAME):  # also where a run was killed before there was one
                self._save(run)
            self._describe(run, problem.model)
        train.fit(problem, self, run, resume=resume, progress=progress, config=config)
        self.run_ = run
        if first:
            self._finish(run)
            self._conclude(problem, run)
        return self

    def save(self, path: str | Path) -> None:
        """Copy the run to a new folder, from where `load` brings the estimator back."""
        shutil.copytree(self._fitted().path, RunFolder.create(path).path, dirs_exist_ok=True)

    @classmethod
    def load(cls, path: str | Path, *, step: int | None = None, network: Opening | None = None) -> Self:
        """The estimator of a run folder, with its best weights, or with those that it had after `step` updates.

        Thresholds and the like that were found with the best weights stay as they are.

        network: makes `network_`, of the run and the sizes its outputs must have by name; None: it is torch's.
        """
        run = RunFolder.open(path)
        task = cls(**stored_options(cls, run))
        task._opened_by(network, step)
        try:
            task.check()
        except InputError as error:
            raise InputError(f"{run.path / 'config.json'}: {error}") from error
        task._restore(run)
        task.run_ = run
        return task

    def options(self) -> dict[str, Any]:
        """All options by name."""
        return {
            field.name: getattr(self, field.name) for _, group in option_groups(type(self)) for field in group
        }

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        cells.get(self.cell)
        check_fractions(self.validation, self.train_fraction)
        if self.variational and not self.dropout:
            raise InputError("variational says how outputs are dropped, but dropout is 0; give --dropout.")

    def _fitted(self) -> RunFolder:
        run: RunFolder | None = getattr(self, "run_", None)
        if run is None:
            raise InputError(
                f"this {type(self).__name__} has learned nothing yet: call fit first, or load a run."
            )
        return run

    def _with_weights(self, network: _Network, run: RunFolder) -> _Network:
        """A network with the weights `load` asks for, ready for use: on a GPU if there is one and `device` allows."""
        from elman import train
        from elman.train import snapshots

        train.load_weights(network, run, snapshots.file_of(run, self._step))
        return network.to(train.choose_device("cpu" if self.device == "cpu" else "auto")).eval()

    def _opened_by(self, network: Opening | None, step: int | None) -> None:
        self._opening, self._step = network, step

    def _network(self, run: RunFolder, build: Callable[[], _Network], **sizes: int) -> _Network:
        """For `_restore`: the network with weights of a run, the one `build` makes or what `load` was told to
        open. sizes: of the last axes of its outputs, by name."""
        if self._opening is None:
            return self._with_weights(build(), run)
        return cast(_Network, self._opening(run, sizes))

    def _describe(self, run: RunFolder, network: torch.nn.Module) -> None:
        """Write graph.json, where the network can say what it computes."""
        from elman.graph.store import STRUCTURE, encode, structure
        from elman.nn.described import Described

        if isinstance(network, Described) and len(cells.get(self.cell).states) <= len(_STATES):
            run.write_bytes(STRUCTURE, encode(structure(network.graph(), network.state_dict())))

    def _folder(self, out: str | Path | None, resume: bool, overwrite: bool) -> RunFolder:
        """The folder to train into; on resume its options must be these, but for those that steer the training."""
        if out is None:
            folder = tempfile.mkdtemp(prefix="elman-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            return RunFolder.create(folder)
        if not resume:
            return RunFolder.create(out, overwrite=overwrite)
        run = RunFolder.open(out)
        steering = {f.name for _, group in option_groups(type(self)) for f in group if f.metadata["steering"]}
        for name, before in stored_options(type(self), run).items():
            now = getattr(self, name)
            if name not in steering and now != before:
                raise InputError(f"{run.path}: {name} was {before}, now it is {now}; resume with the same.")
        return run

    def _conclude(self, problem: Problem, run: RunFolder) -> None:
        """Scores of the best weights beside the baselines, the curves and the report."""
        self.scores_ = {"model": self._final_scores(run), **self.baselines()}
        rows, score = run.metrics(), problem.score.removeprefix("train_")
        figure = history_figure(rows, score)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=150)
        found = of_training(rows, self.clip_norm)
        run.write_bytes("history.png", picture.getvalue())
        self.parameters_ = sum(parameter.numel() for parameter in problem.model.parameters())
        report = Report(
            title=f"{self.name}: {run.path.name}",
            summary=f"{self.cell}, {self.num_layers} x {self.hidden_size} units, {self.parameters_:,} weights; "
            f"{rows[-1]['step']:,} updates in {rows[-1]['seconds']:,.1f} seconds",
            curves=figure_svg(figure),
            judged=self._judged(),
            scores=self.scores_,
            compared=self._compared(),
            sections=[*self._sections(), *([Section("Advice", [grid(found)])] if found else [])],
            data=_flat(run.read_config()["data"]),
            usage=self._usage(run),
            settings={
                title: [Setting(f.name, getattr(self, f.name), f.default, f.metadata["help"]) for f in group]
                for title, group in option_groups(type(self))
            },
        )
        run.write_bytes("report.html", report_page(report).encode())


def stored_options(task: type[Task], run: RunFolder) -> dict[str, Any]:
    """The options a run was trained with; one that config.json lacks, for it came later, has its default.

    Raises InputError for an unknown option, or a value of another type.
    """
    config, where = run.read_config(), run.path / "config.json"
    if config["task"] != task.name:
        raise InputError(f"{where}: a run of the task {config['task']!r}, expected {task.name!r}.")
    fields = [f for _, group in option_groups(task) for f in group if not f.metadata["steering"]]
    stored = from_text(task, config["options"], lambda name: f"{where}: {name}")
    return {**{f.name: f.default for f in fields}, **stored}


def sources(data: Data) -> list[Any]:
    """The data given to a verb as a list: paths, or one dataframe or mapping of columns."""
    if isinstance(data, str | Path):
        return [data]
    if isinstance(data, list | tuple | set | Iterator):
        return list(data)
    return [data]


def _check_folder_words(out: str | Path | None, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise InputError("resume continues a run and overwrite replaces it: give one of them.")
    if out is None and (resume or overwrite):
        raise InputError("resume and overwrite need the run they act on: say which with out (--out RUN).")


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """The record of the data as a list of facts: one entry a file, then the numbers."""
    facts: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            files = value.get("files", [])
            facts[name] = "; ".join(
                f"{f['name']}, {f['size']:,} bytes, sha256 {f['sha256'][:12]}" for f in files
            )
        else:
            facts[name.replace("_", " ")] = value
    return facts
