"""Many trainings that differ in some options, as one table and one picture: what `elman compare` does.

Every setting is trained by a process of its own, a few at a time; what is finished is kept, so that a comparison that
was stopped goes on where it stood.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elman import api
from elman.errors import InputError
from elman.inspection import Compared, Curve, comparison_figure, comparison_page, figure_svg
from elman.inspection.comparison import Inside, verdict
from elman.runfolder import RunFolder, finite, replace
from elman.settings import flags

FILES = ("compare.json", "compare.png", "report.html")
FOLDERS = ("runs", "results")
REACHES = ("gradient_steps", "memory_steps")
"""How far back a trained network reaches, as columns of the table."""
_POLL = 0.1  # seconds between two looks at the processes


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived, and every training has saved its checkpoint."""


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Args:
        task: its name.
        data: files or folders, as for `elman train`.
        grid: the values of each option that has several.
        options: the options that have one value.
        recipe: YAML file of options for all.

    >>> [setting["cell"] for setting in Comparison("language-model", ["a.txt"], {"cell": ["rnn", "gru"]}).settings()]
    ['rnn', 'gru']
    """

    task: str
    data: Sequence[str]
    grid: Mapping[str, Sequence[Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | None = None

    def settings(self) -> list[dict[str, Any]]:
        """Every combination of the values of the grid."""
        return [
            dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())
        ]

    def check(self) -> None:
        """Raise InputError for a combination that no estimator would take, before anything is trained."""
        if not self.grid:
            raise InputError(
                "nothing to compare: give several values to an option, as in --cells rnn,gru,lstm."
            )
        for setting in self.settings():
            try:
                api.estimator(self.task, {**self.options, **setting}, recipe=self.recipe).check()
            except InputError as error:
                raise InputError(f"{describe(setting)}: {error}") from error

    def identity(self) -> dict[str, Any]:
        """What must be the same when a comparison goes on; the grid may have grown."""
        return {
            "task": self.task,
            "data": list(self.data),
            "options": dict(self.options),
            "recipe": self.recipe,
        }


def describe(setting: Mapping[str, Any]) -> str:
    """A setting in words.

    >>> describe({"cell": "gru", "hidden_size": 64})
    'cell gru, hidden size 64'
    """
    return ", ".join(f"{name.replace('_', ' ')} {str(value).lower()}" for name, value in setting.items())


def compare(
    comparison: Comparison,
    out: str | Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train every setting and write compare.json, compare.png and report.html into `out`; returns compare.json.

    Args:
        jobs: trainings at a time, each with its share of the cores; None: as many as there are cores.
        resume: go on with the comparison in `out`; finished settings are not trained again.
        overwrite: replace the comparison in `out`.
        tell: takes a line of progress.

    Raises:
        InputError: a setting is wrong, `out` is not empty, or no training succeeded (the first one's message).
        Stopped: by a signal; call again with `resume`.
    """
    comparison.check()
    folder = Path(out)
    _open(folder, comparison, resume, overwrite)
    settings = comparison.settings()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = min(jobs or cores, len(settings))
    failures = _train_all(comparison, settings, folder, jobs, max(1, cores // jobs), tell or _silent)
    rows = [_row(folder, setting, failures) for setting in settings]
    _look_inside(comparison, folder, rows, tell or _silent)
    if all("failed" in row for row in rows):
        raise InputError(f"every training failed; the first one: {rows[0]['failed']}")
    result = {**comparison.identity(), "grid": {k: list(v) for k, v in comparison.grid.items()}, "rows": rows}
    _write(folder, result)
    _draw(folder, result)
    return result


def summary(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """The table of a comparison: head and rows. Settings that differ in the seed alone are one row, with their means.

    seconds are those of one training, per epoch in the column after it; +- is the standard deviation over the seeds.
    """
    score = _compared(result).score
    names = [name for name in result["grid"] if name != "seed"]
    seeds = len(result["grid"].get("seed", ()))
    measured = ["parameters", "steps", "seconds", "seconds_per_epoch", "train_loss", "validation_loss"]
    measured += [score] if score != "loss" else []
    measured += [name for name in REACHES if any(name in row for row in result["rows"])]
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in result["rows"]:
        groups.setdefault(tuple(row["setting"][name] for name in names), []).append(row)
    rows = []
    for key, members in groups.items():
        done = [row for row in members if "failed" not in row]
        means = [
            statistics.fmean(_measured(row, name) for row in done) if done else math.nan for name in measured
        ]
        spread = [statistics.stdev(_measured(row, score) for row in done) if len(done) > 1 else math.nan]
        failed = [f"{len(members) - len(done)} failed" if len(done) < len(members) else ""]
        rows.append([*key, *means, *(spread if seeds > 1 else []), *failed])
    head = [*names, *measured, *(["+-"] if seeds > 1 else []), ""]
    if all(not row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return [name.replace("_", " ") for name in head], rows


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """How far back each training learns, a sentence each, those with the best score first."""
    compared = _compared(result)
    rows = [row for row in result["rows"] if "inside" in row]
    rows.sort(key=lambda row: _measured(row, compared.score), reverse=compared.higher_is_better)
    score = compared.score.replace("_", " ")
    return [
        verdict(
            describe(row["setting"]),
            Inside.of(row["inside"]),
            f"{score} {_measured(row, compared.score):.4g}",
        )
        for row in rows
    ]


def _measured(row: Mapping[str, Any], name: str) -> float:
    """A number of a finished training; NaN for a score that its setting does not have."""
    return _number(row[name] if name in row else row["scores"]["model"].get(name))


def _silent(text: str) -> None:
    """Takes a line of progress and shows it to no one."""


# --- the folder


def _open(folder: Path, comparison: Comparison, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise InputError("resume continues a comparison and overwrite replaces it: give one of them.")
    present = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if present and not (folder / "compare.json").is_file():
        raise InputError(f"{folder}: exists and is not a comparison; choose another folder.")
    if present and not (resume or overwrite):
        raise InputError(f"{folder}: holds a comparison already; use --resume to continue it or --overwrite.")
    if resume:
        if not present:
            raise InputError(f"{folder}: no comparison to go on with.")
        before = RunFolder(folder).read_json("compare.json")
        for name, now in comparison.identity().items():
            if not isinstance(before, dict) or before.get(name) != now:
                told = before.get(name) if isinstance(before, dict) else None
                raise InputError(
                    f"{folder}: its {name} was {told!r}, now it is {now!r}; resume with the same."
                )
    elif present:
        for name in FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write(folder, {**comparison.identity(), "grid": dict(comparison.grid), "rows": []})


def _write(folder: Path, result: Mapping[str, Any]) -> None:
    RunFolder(folder).write_json("compare.json", finite(result))


def _name(setting: Mapping[str, Any]) -> str:
    """A setting as the name of a file."""
    words = (f"{name.replace('_', '-')}-{str(value).lower()}" for name, value in setting.items())
    return "_".join(words).replace("/", "-")


def _row(folder: Path, setting: dict[str, Any], failures: Mapping[str, str]) -> dict[str, Any]:
    name = _name(setting)
    if name in failures:
        return {"setting": setting, "failed": failures[name]}
    told = RunFolder(folder / "results").read_json(f"{name}.json")
    compared = told["compared"]["score"]
    seconds, epochs = told["seconds"], told["epoch"]
    return {
        "setting": setting,
        "run": str(Path("runs") / name),
        "parameters": told["parameters"],
        "steps": told["step"],
        "seconds": seconds,
        "seconds_per_epoch": seconds / epochs if epochs else math.nan,
        "train_loss": told["train_loss"],
        "validation_loss": _number(told.get("validation_loss")),
        compared: _number(told["scores"]["model"][compared]),
        "compared": told["compared"],
        "scores": told["scores"],
    }


def _compared(result: Mapping[str, Any]) -> Compared:
    return Compared(**next(row["compared"] for row in result["rows"] if "failed" not in row))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _look_inside(
    comparison: Comparison, folder: Path, rows: Sequence[dict[str, Any]], tell: Callable[[str], None]
) -> None:
    """Add to each row how far back its network reaches on the data, where its task can be inspected.

    What was measured once is kept."""
    for row in rows:
        name = _name(row["setting"])
        kept = RunFolder(folder / "results")
        if "failed" in row:
            continue
        if not (kept.path / f"{name}.inside.json").is_file():
            try:
                measured = api.examine(folder / row["run"], list(comparison.data))
            except InputError as error:
                tell(f"{describe(row['setting'])}: not looked inside: {error}")
                return
            kept.write_json(f"{name}.inside.json", finite(measured))
        row["inside"] = kept.read_json(f"{name}.inside.json")
        inside = Inside.of(row["inside"])
        row |= {"gradient_steps": inside.gradient.length(), "memory_steps": inside.memory.length()}


# --- the processes


def _train_all(
    comparison: Comparison,
    settings: Sequence[dict[str, Any]],
    folder: Path,
    jobs: int,
    threads: int,
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Train what is not finished; returns the messages of those that failed, by name."""
    from elman.train.stops import Signals

    left = [setting for setting in settings if not (folder / "results" / f"{_name(setting)}.json").is_file()]
    if len(left) < len(settings):
        tell(f"{len(settings) - len(left)} of {len(settings)} trainings are finished already")
    running: dict[str, tuple[subprocess.Popen[bytes], dict[str, Any], float]] = {}
    failures: dict[str, str] = {}
    with Signals() as signals:
        while left or running:
            while left and len(running) < jobs and not signals.caught:
                setting = left.pop(0)
                running[_name(setting)] = (
                    _start(comparison, setting, folder, threads),
                    setting,
                    time.perf_counter(),
                )
            time.sleep(_POLL)
            if signals.caught:
                _stop(process for process, *_ in running.values())
                raise Stopped
            for name, (process, setting, began) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                message = _end(folder, name, process.returncode)
                if message:
                    failures[name] = message
                done = len(settings) - len(left) - len(running)
                told = message or f"{time.perf_counter() - began:,.0f} s"
                tell(f"{done}/{len(settings)}  {describe(setting)}: {told}")
    return failures


def _start(
    comparison: Comparison, setting: Mapping[str, Any], folder: Path, threads: int
) -> subprocess.Popen[bytes]:
    name = _name(setting)
    options = {"threads": threads, **comparison.options, **setting}
    run = folder / "runs" / name
    words = [sys.executable, "-m", "elman", "train", comparison.task, *comparison.data, "--out", str(run)]
    words += ["--json", "--quiet", *flags(options)]
    words += ["--recipe", comparison.recipe] if comparison.recipe else []
    words += ["--resume"] if (run / "config.json").is_file() else []
    out, err = folder / "results" / f"{name}.part", folder / "results" / f"{name}.log"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        # a session of its own: Ctrl-C reaches it once, from here
        return subprocess.Popen(words, stdout=stdout, stderr=stderr, start_new_session=True)


def _end(folder: Path, name: str, code: int) -> str:
    """Keep what a finished training said; returns the message of one that failed."""
    results = folder / "results"
    if code == 0:
        os.replace(results / f"{name}.part", results / f"{name}.json")
        (results / f"{name}.log").unlink()
        return ""
    lines = (results / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return (lines[-1].removeprefix("elman: ") if lines else "") or f"ended with code {code}"


def _stop(processes: Iterator[subprocess.Popen[bytes]]) -> None:
    """Ask every training to save its checkpoint, and wait until all have."""
    asked = list(processes)
    for process in asked:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    for process in asked:
        process.wait()


# --- the picture


def _draw(folder: Path, result: Mapping[str, Any]) -> None:
    compared = _compared(result)
    names = [name for name in result["grid"] if name != "seed"]
    curves = [
        Curve(
            describe({name: row["setting"][name] for name in names}) or "all",
            RunFolder(folder / row["run"]).metrics(),
            row["setting"],
            _measured(row, compared.score),
            Inside.of(row["inside"]) if "inside" in row else None,
        )
        for row in result["rows"]
        if "failed" not in row
    ]
    baselines = next(row["scores"] for row in result["rows"] if "failed" not in row)
    beside = {who: scores[compared.score] for who, scores in baselines.items() if compared.score in scores}
    beside.pop("model")
    figure = comparison_figure(curves, compared, beside)
    figure.savefig(folder / "compare.png", dpi=150)
    head, rows = summary(result)
    failed = [(describe(row["setting"]), row["failed"]) for row in result["rows"] if "failed" in row]
    page = comparison_page(
        f"compare {result['task']}: {', '.join(name.replace('_', ' ') for name in result['grid'])}",
        f"{len(result['rows'])} trainings on {', '.join(map(str, result['data']))}",
        (head, rows),
        figure_svg(figure),
        failed,
        verdicts(result),
    )
    replace(folder / "report.html", page.encode())
