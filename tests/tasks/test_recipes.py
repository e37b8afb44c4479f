"""Every recipe is read and trains two updates on a toy text."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman import api
from elman.settings import read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))


def test_there_are_recipes() -> None:
    assert {"korean-sentence", "tiny-shakespeare-3min", "tiny-shakespeare-20min", "wikitext2-words"} <= {
        path.stem for path in RECIPES
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_trains(recipe: Path, tmp_path: Path) -> None:
    text = tmp_path / "toy.txt"
    words = ["강", "바다", "river", "sea", "the", "and", "물", "a"]
    text.write_text(
        "".join(f"{words[i % 8]} {words[i * i % 7]}{'.' * (i % 3)}\n" for i in range(600)), encoding="utf-8"
    )
    settings = read_recipe(recipe)
    model = api.estimator(settings["task"], {"max_steps": 2}, recipe=recipe)
    assert all(
        getattr(model, name) == value for name, value in settings.items() if name not in ("task", "max_steps")
    )
    model.fit(text)
    assert model._fitted().metrics()[-1]["step"] == 2
