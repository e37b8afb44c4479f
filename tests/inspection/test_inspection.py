"""The curves and the report: what stands in them, and that nothing in them is run or fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from elman.inspection import (
    Compared,
    Grid,
    Report,
    Section,
    Setting,
    Text,
    figure_svg,
    history_figure,
    report_page,
)
from elman.inspection.report import page as page_of

ROWS = [
    {
        "step": 10 * n,
        "epoch": n,
        "train_loss": 3.0 / n,
        "validation_loss": 3.1 / n,
        "train_accuracy": n / 9,
        "accuracy": n / 10,
    }
    for n in range(1, 8)
]


def curves(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Drawn points by label, from both axes."""
    figure = history_figure(rows, "accuracy")
    return {str(line.get_label()): list(line.get_ydata()) for axes in figure.axes for line in axes.lines}


def test_four_curves_on_two_axes() -> None:
    drawn = curves(ROWS)
    assert drawn["train loss"] == [row["train_loss"] for row in ROWS]
    assert drawn["validation loss"] == [row["validation_loss"] for row in ROWS]
    assert drawn["train accuracy"] == [row["train_accuracy"] for row in ROWS]
    assert drawn["validation accuracy"] == [row["accuracy"] for row in ROWS]
    loss, score = history_figure(ROWS, "accuracy").axes
    assert (loss.get_xlabel(), loss.get_ylabel(), score.get_ylabel()) == ("epoch", "loss", "accuracy")


def test_curves_without_held_out_data() -> None:
    rows = [{k: v for k, v in row.items() if k not in ("validation_loss", "accuracy")} for row in ROWS]
    assert set(curves(rows)) == {"train loss", "train accuracy"}


def test_several_evaluations_in_an_epoch_are_drawn_by_step() -> None:
    assert history_figure([{**row, "epoch": 1} for row in ROWS], "accuracy").axes[0].get_xlabel() == "step"


def test_less_than_two_epochs_are_drawn_by_step() -> None:
    short = history_figure([{**row, "epoch": 1 + row["step"] / 100} for row in ROWS], "accuracy")
    assert short.axes[0].get_xlabel() == "step"


def test_missing_values_and_single_evaluation() -> None:
    assert curves([{**ROWS[0], "validation_loss": None}])["train loss"] == [3.0]  # type: ignore[dict-item]
    assert curves(ROWS[:1])["validation loss"] == [3.1]


def test_svg_is_one_element_with_text() -> None:
    svg = figure_svg(history_figure(ROWS, "accuracy"))
    assert svg.startswith("<svg")
    assert svg.count("<svg") == svg.count("</svg>") == 1
    assert "validation loss" in svg
    assert figure_svg(history_figure(ROWS, "accuracy")) == svg


class Tags(HTMLParser):
    """Collects what a page contains and checks that its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in ("meta", "html", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "html":
            assert self.open.pop() == tag


@pytest.fixture
def page() -> str:
    report = Report(
        title="a <b> & c",
        summary="a model",
        curves="<svg></svg>",
        judged="the held-out part",
        scores={"model": {"loss": 1.5, "accuracy": 0.5}, "bigram": {"loss": 3.0}},
        compared=Compared("loss", "nats"),
        sections=[Section("Samples", [Text("first", "<script>alert(1)</script> ${title} $title")])],
        data={"text": "book.txt", "symbols": 1234567, "start": "\n"},
        usage=["elman generate run"],
        settings={"model": [Setting("cell", "gru", "lstm", "the cell"), Setting("size", 5, 5, "the size")]},
    )
    return report_page(report)


def test_page_is_whole_and_alone(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not {"script", "link", "iframe", "object", "img"} & tags.seen
    assert tags.links == []


def test_page_says_what_it_was_given(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", page.split("</style>")[1])
    for part in (
        "a &lt;b&gt; &amp; c",
        "1.5000",
        "3.0000",
        "held-out part",
        "book.txt",
        "1,234,567",
        "elman generate run",
    ):
        assert part in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ${title} $title" in text
    assert "model: cell = gru" in text
    assert re.search(r'class="bar" style="width:50.0%"', page)
    assert re.search(r'class="bar" style="width:100.0%"', page)


def test_columns_of_numbers_stand_to_the_right_with_their_heads() -> None:
    grid = Grid(("class", "F1", "note"), [("a", 0.5, 3), ("b", 1, "none")])
    found = page_of("title", "summary", [("Classes", [grid])])
    assert '<th>class</th><th class="number">F1</th><th>note</th>' in found
    assert '<tr><td>a</td><td class="number">0.5000</td><td class="number">3</td></tr>' in found
