"""The page of conventions says what the cells say."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman import cells

DOCS = Path(__file__).parents[2] / "docs"
BIASES = {
    "conventions.md": {
        "two": "two: input and recurrent apart",
        "one": "one: their sum",
        "concatenated": "one vector, input bias first",
        "stacked": "one (2, G*H) matrix",
    },
    "ko/conventions.md": {
        "two": "두 개: 입력과 순환을 따로",
        "one": "한 개: 둘의 합",
        "concatenated": "벡터 한 개, 입력 편향이 먼저",
        "stacked": "(2, G*H) 행렬 한 개",
    },
}


@pytest.mark.parametrize("page", BIASES)
def test_the_table_is_that_of_the_cells(page: str) -> None:
    expected = [
        f"| `{name}` | {system} | `{layout.operator}` | {' '.join(layout.gates)}"
        f" | {'(features, G*H)' if layout.columns else '(G*H, features)'} | {BIASES[page][layout.biases]} |"
        for name in cells.names()
        for system, layout in cells.get(name).layouts.items()
    ]
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    systems = {system for name in cells.names() for system in cells.get(name).layouts}
    found = [
        line
        for line in lines
        if line.startswith("| `") and line.split(" | ")[1:2] and line.split(" | ")[1] in systems
    ]
    assert found == expected
