"""The laws of every cell."""

from __future__ import annotations

import pytest

from elman import cells
from elman.testing import laws_cells


@pytest.mark.parametrize("law", laws_cells.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", cells.names())
def test_cell(name, law):
    law(name)
