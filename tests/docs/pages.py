"""A documentation page as the list of its fenced blocks, and how a block is run.

What is run: every ```python block (one namespace per page, top to bottom) and every ```sh block (bash, in a folder
that holds `book.txt`, a short text, and the repository's examples and recipes). A ```text block right behind one of
them is what it prints: words must be equal, numbers equal to one unit of their last printed digit behind a python
block and any number behind a sh block, whose numbers are those of one machine.

A comment right above a block changes that: `<!-- test: with ARGUMENTS -->` adds the arguments to every `elman train`
and `elman compare` of the block, to shorten it; `<!-- test: not run: REASON -->` leaves it alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
DIRECTIVE = re.compile(r"<!-- test: (with|not run:) (.+) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language ("" if none), its text, the directive above it, and where it stands."""

    language: str
    text: str
    directive: tuple[str, str] | None
    where: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    above = language = ""
    inside: list[str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if inside is None and line.startswith("```"):
            language, inside = line[3:].strip(), []
        elif inside is not None and line == "```":
            match = DIRECTIVE.fullmatch(above)
            directive = (match[1], match[2]) if match else None
            where = f"{page.relative_to(ROOT)}:{number - len(inside)}"
            found.append(Block(language, "\n".join(inside), directive, where))
            inside, above = None, ""
        elif inside is not None:
            inside.append(line)
        elif line.strip():
            above = line
    assert inside is None, f"{page}: a fence is not closed"
    return found


def run_page(page: Path) -> None:
    """Run the blocks of a page from top to bottom in the present folder and compare what they print."""
    namespace: dict[str, Any] = {"__name__": "page"}
    found = blocks(page)
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.language not in ("python", "sh") or (block.directive and block.directive[0] == "not run:"):
            continue
        printed = _python(block, namespace) if block.language == "python" else _shell(block)
        if after and after.language == "text":
            assert_same(after, printed, exact=block.language == "python")


def assert_same(expected: Block, printed: str, exact: bool) -> None:
    """Every line of `expected` is printed, in order; "..." alone on a line stands for lines left out."""
    lines = iter(printed.splitlines())
    for line in expected.text.splitlines():
        if line.strip() in ("", "..."):
            continue
        assert any(_line_matches(line, other, exact) for other in lines), (
            f"{expected.where}: no line like {line!r} in what was printed:\n{printed}"
        )


def _line_matches(expected: str, printed: str, exact: bool) -> bool:
    if NUMBER.sub(" # ", expected).split() != NUMBER.sub(" # ", printed).split():
        return False
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(printed), strict=True)
    return not exact or all(_close(a, b) for a, b in pairs)


def _close(expected: str, printed: str) -> bool:
    decimals = len(expected.partition(".")[2])
    return abs(float(expected) - float(printed)) < (1.5 * 10**-decimals if decimals else 0.5)


def _python(block: Block, namespace: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.where, "exec"), namespace)
    return printed.getvalue()


def _shell(block: Block) -> str:
    text = block.text.replace("\\\n", " ")
    if block.directive:
        text = re.sub(
            r"^(.*\belman (?:train|compare) .*)$", rf"\1 {block.directive[1]}", text, flags=re.MULTILINE
        )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        env={**os.environ, "PATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, (
        f"{block.where}: exit code {done.returncode}\n{text}\n{done.stdout}{done.stderr}"
    )
    return done.stdout + done.stderr
