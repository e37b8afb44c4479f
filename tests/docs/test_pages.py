"""Every command and every example of the documentation runs; both languages show the same; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from elman import cells
from elman.cli import main

from .pages import ROOT, Block, assert_same, blocks, run_page

ENGLISH = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/cells/*.md")])
ENGLISH = [page for page in ENGLISH if not page.name.endswith(".ko.md")]
LESSONS = (
    "caption",
    "classify",
    "compare",
    "conventions",
    "convert",
    "explore",
    "fill",
    "forecast",
    "forgetting",
    "gates",
    "index",
    "inspect",
    "keras",
    "language-model",
    "onnx",
    "rnn-by-hand",
    "runtime",
    "tag",
    "training",
    "transcribe",
    "translate",
)
KOREAN = {ROOT / f"docs/{name}.md": ROOT / f"docs/ko/{name}.md" for name in LESSONS}
KOREAN[ROOT / "README.md"] = ROOT / "README.ko.md"
BOOK = "".join(
    f"On day {day} the river rose by {day * 7 % 11} feet, and nobody in the village slept before dawn.\n"
    for day in range(120)
)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the reader has it: a text of his own beside the repository's examples and recipes."""
    (tmp_path / "book.txt").write_text(BOOK, encoding="utf-8")
    for folder in ("examples", "recipes"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in ENGLISH if blocks(p)], ids=_name)
def test_page_runs(page: Path, workplace: Path) -> None:
    with np.printoptions():
        run_page(page)


@pytest.mark.parametrize("english", sorted(KOREAN), ids=_name)
def test_korean_page_has_the_same_blocks(english: Path) -> None:
    shown = [
        [(block.language, block.text, block.directive) for block in blocks(page)]
        for page in (english, KOREAN[english])
    ]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("page", [*ENGLISH, *KOREAN.values()], ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{_name(page)}: {target}"
        assert not anchor or anchor in _anchors(file), f"{_name(page)}: {target}"


def _anchors(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_hello_is_the_program_of_its_page() -> None:
    program = (ROOT / "examples/hello.py").read_text(encoding="utf-8").split('"""', maxsplit=2)[2]
    page = [block.text for block in blocks(ROOT / "docs/rnn-by-hand.md") if block.language == "python"]
    shown = [line for text in page for line in text.splitlines() if line.strip()]
    lines = [line for line in program.splitlines() if line.strip()]
    assert lines == shown[: len(lines)]


def test_cell_pages_are_fresh() -> None:
    assert main(["cells", "--write", str(ROOT / "docs/cells"), "--check", "--quiet"]) == 0
    pages = {page.stem for page in ROOT.glob("docs/cells/*.md")}
    assert pages == {"index", *cells.names()}


@pytest.mark.parametrize(
    ("expected", "printed"),
    [("loss 0.302", "loss 0.304"), ("h e l o", "h e l l"), ("a\nb", "b\na"), ("step 40", "step 41")],
)
def test_a_stale_output_is_seen(expected: str, printed: str) -> None:
    with pytest.raises(AssertionError):
        assert_same(Block("text", expected, None, "here"), printed, exact=True)


def test_the_last_digit_may_differ_by_one() -> None:
    assert_same(Block("text", "[ 0.302 -0.001]", None, "here"), "noise\n[0.303 -0.000]", exact=True)
