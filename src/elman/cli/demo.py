"""Train a character model on real text within a minute, and show what it learned.

The text is the reference manual that ships inside Python (pydoc_data.topics).
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.cli._output import Output, prose, score_table
from elman.cli._parser import Parser, add_output_flags
from elman.cli.train import free_folder
from elman.errors import InputError

if TYPE_CHECKING:
    from elman.tasks.language_model import LanguageModel
    from elman.train.progress import Progress

SECONDS = 45
SAMPLE: dict[str, Any] = {"length": 200, "temperature": 0.7, "seed": 1}


def run(arguments: Sequence[str]) -> int:
    parser = Parser("demo", __doc__)
    parser.add_argument("--out", metavar="RUN", help="folder to write (default: runs/demo-1, -2, ...)")
    parser.add_argument(
        "--seconds", metavar="S", help=f"time for training (default: {SECONDS})", default=str(SECONDS)
    )
    add_output_flags(parser)
    given = parser.parse(arguments)
    try:
        seconds = float(given.seconds)
    except ValueError:
        raise InputError(f"--seconds is {given.seconds!r}, expected a number.") from None
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"--seconds is {given.seconds}, expected a number above 0.")
    out = given.out if "out" in given else free_folder("demo")
    return _show(out, seconds, Output(given))


def _show(out: str, seconds: float, output: Output) -> int:
    from elman import train
    from elman.tasks.language_model import LanguageModel

    text = manual()
    output.say(
        f"Text: the manual inside Python {sys.version_info.major}.{sys.version_info.minor}, {len(text):,} characters;"
        f" the last tenth is held out.\nModel: a GRU that reads one character after the other and guesses the next.\n"
    )
    model = LanguageModel(
        cell="gru", hidden_size=256, sequence_length=64, batch_size=32, learning_rate=4e-3, warmup_steps=20,
        evaluate_every=100, max_minutes=seconds / 60,
    )  # fmt: skip
    show = _Show(model, output, train.progress_on(prose(), quiet=output.quiet))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "python-manual.txt"
        file.write_text(text, encoding="utf-8")
        started = time.perf_counter()
        model.fit(file, out=out, progress=show)
    after = show.sample("After training")
    output.say("")
    values = {"run": out, "seconds": round(time.perf_counter() - started, 1), "scores": model.scores_}
    output.result(
        values | {"samples": {"before": show.before, "after": after}},
        f"On the held-out text:\n{score_table(model.scores_)}\n\n"
        f"It is yours: elman generate {out} --prompt 'The function '\nThe report: {Path(out) / 'report.html'}",
    )
    return 0


def manual() -> str:
    """The topics of Python's manual, one after the other; raises InputError where Python came without them."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise InputError(
            "this Python came without its manual (pydoc_data.topics), the demo's text. Train on a text of your own:"
            " elman train language-model FILE.txt"
        ) from error
    return "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"


class _Show:
    """Passes on the progress of the training, with the baselines and the samples where they belong."""

    def __init__(self, model: LanguageModel, output: Output, progress: Progress | None) -> None:
        self.model, self.output, self.progress = model, output, progress
        self.before = ""

    def start(self, items: str, score: str) -> None:
        self.output.say(f"To beat, on the held-out text:\n{score_table(self.model.baselines())}\n")
        self.before = self.sample("Before training")
        if self.progress:
            self.progress.start(items, score)

    def advance(self, status: Any) -> None:
        if self.progress:
            self.progress.advance(status)

    def evaluated(self, record: Mapping[str, Any], status: Any) -> None:
        if self.progress:
            self.progress.evaluated(record, status)
            if "sample" in record:
                self.progress.note(_quoted(f"After {record['seconds']:.0f} seconds", record["sample"]))

    def note(self, text: str) -> None:
        if self.progress:
            self.progress.note(text)

    def stop(self) -> None:
        if self.progress:
            self.progress.stop()

    def sample(self, when: str) -> str:
        text = "".join(self.model.generate(**SAMPLE))
        self.output.say(_quoted(f"{when} it writes", text))
        return text


def _quoted(title: str, text: str) -> str:
    lines = "\n".join(f"  | {line}" for line in text.strip("\n").splitlines())
    return f"{title}:\n{lines}\n"
