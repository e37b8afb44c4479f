"""Settings from text: the types of the options, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elman.errors import InputError
from elman.settings import from_text, option_groups, read_recipe
from elman.tasks.language_model import LanguageModel


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("hidden_size", "20", 20),
        ("learning_rate", "1e-3", 0.001),
        ("epochs", "none", None),
        ("epochs", None, None),
        ("jamo", "true", True),
        ("jamo", False, False),
        ("embedding", "64", 64),
        ("embedding", "one-hot", "one-hot"),
        ("validation", "0.2", 0.2),
        ("validation", "held-out.txt", "held-out.txt"),
        ("cut", "windows", "windows"),
    ],
)
def test_typed(name: str, text: Any, value: Any) -> None:
    found = from_text(LanguageModel, {name: text}, str)[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hidden_size", "1.5", "hidden_size is '1.5', expected a whole number"),
        ("learning_rate", "nan", "expected a number"),
        ("jamo", "perhaps", "expected true or false"),
        ("epochs", "many", "expected a whole number or none"),
        ("hiden_size", "3", "unknown option. Did you mean hidden_size?"),
    ],
)
def test_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        from_text(LanguageModel, {name: text}, str)


def test_groups_hold_every_option_once() -> None:
    groups = dict(option_groups(LanguageModel))
    assert list(groups) == [
        "language model options",
        "row options",
        "symbol options",
        "data options",
        "model options",
        "training options",
    ]
    names = [field.name for fields in groups.values() for field in fields]
    assert sorted(names) == sorted(LanguageModel().options())
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hidden_size: 3", "is no recipe"),
        ("- a\n- b", "is no recipe"),
        ("task: [", "is not a YAML file"),
        ("task: !!python/object:os.system {}", "is not a YAML file"),
        (b"\xff\xfe", "is not a YAML file"),
    ],
)
def test_bad_recipe(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_recipe(path)
