"""What the report of a transcriber shows: the worst sounds, words taken for others, a sound as the network hears it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data import Vocabulary
from elman.inspection import Grid, Picture, Section, figure_svg
from elman.tasks._transcribe_listening import Transcript
from elman.tasks._transcribe_scores import confusions, word_errors

_LISTED = 30
_SYMBOLS = 12  # with a curve of their own


def error_sections(places: Sequence[str], said: Sequence[str], heard: Sequence[str]) -> list[Section]:
    """The sounds with the most wrong words, and which words were taken for which."""
    errors = [word_errors(a, b) for a, b in zip(said, heard, strict=True)]
    worst = sorted(range(len(said)), key=lambda row: -errors[row])[:_LISTED]
    rows = [(places[row], said[row], heard[row], errors[row]) for row in worst if errors[row]]
    if not rows:
        return []
    taken = confusions(said, heard)[:_LISTED]
    return [
        Section("Worst sounds", [Grid(("sound", "said", "heard", "wrong words"), rows)]),
        Section("What was taken for what", [Grid(("said", "heard", "times"), taken)]),
    ]


def hearing_section(
    title: str,
    frames: NDArray[np.float32],
    logs: NDArray[np.float32],
    found: Transcript,
    vocabulary: Vocabulary,
    seconds: float,
) -> Section:
    """A sound: its mel bands over time, and the probability of each symbol at each step below.

    frames: (T, F); logs: (S, K + 1); seconds: from one frame to the next.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    above.imshow(
        frames.T, aspect="auto", origin="lower", cmap="magma", interpolation="nearest",
        extent=(0, len(frames) * seconds, 0, frames.shape[1]),
    )  # fmt: skip
    above.set(ylabel="mel band")
    shares = np.exp(logs)
    times = (np.arange(len(logs)) + 0.5) * (len(frames) * seconds / max(1, len(logs)))
    likely = np.argsort(-shares[:, :-1].max(0), kind="stable")[:_SYMBOLS]
    for symbol in sorted(likely.tolist()):
        if shares[:, symbol].max(initial=0) > 0.1:
            below.plot(times, shares[:, symbol], lw=1.4, label=_label(vocabulary, symbol))
    below.plot(times, shares[:, -1], lw=1, color="0.75", label="blank")
    below.set(xlabel="seconds", ylabel="probability", ylim=(-0.02, 1.02))
    below.legend(frameon=False, fontsize="small", ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return Section("A sound as it is heard", [Picture(_svg(figure), f"{title}: {found.text or '(nothing)'}")])


def _label(vocabulary: Vocabulary, symbol: int) -> str:
    text = vocabulary.decode([symbol])
    return text if text.strip() else repr(text)


def _svg(figure: Any) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from"
        )  # measured only: the page's own font draws it
        return figure_svg(figure)
