"""Every recipe is read and trains two updates on its task's example."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman import api, tasks
from elman.settings import read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))


def test_there_are_recipes() -> None:
    assert {"korean-sentence", "tiny-shakespeare-3min", "tiny-shakespeare-20min", "wikitext2-words"} <= {
        path.stem for path in RECIPES
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_trains(recipe: Path, tmp_path: Path) -> None:
    settings = read_recipe(recipe)
    files, reading = tasks.get(settings["task"]).example(tmp_path)
    told = {"max_steps": 2, **reading}
    model = api.estimator(settings["task"], told, recipe=recipe)
    assert all(
        getattr(model, name) == value for name, value in settings.items() if name not in ("task", *told)
    )
    model.fit(files)
    assert model._fitted().metrics()[-1]["step"] == 2
