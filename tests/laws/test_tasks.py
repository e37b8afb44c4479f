"""The laws of a task, for every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from elman import tasks
from elman.testing import laws_tasks


@pytest.mark.parametrize("law", laws_tasks.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", tasks.names())
def test_task(name: str, law: Callable[[str, Path], None], tmp_path: Path) -> None:
    law(name, tmp_path)


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_is_named_as_its_module(name: str) -> None:
    assert tasks.get(name).name == name
