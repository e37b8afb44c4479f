"""How close is equal: the only table of tolerances. No test loosens one; a new law adds a row with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Law = Literal["exact", "torch", "reference", "split", "narrow"]


@dataclass(frozen=True)
class Tolerance:
    """Largest difference allowed, relative to the largest expected value (or to the scale given, if larger)."""

    value: float
    reason: str


TOLERANCES: dict[tuple[Law, str], Tolerance] = {
    ("exact", "float64"): Tolerance(0.0, "integers add and multiply without rounding, in any order"),
    ("exact", "float32"): Tolerance(0.0, "the same operations in the same order"),
    ("torch", "float64"): Tolerance(1e-12, "torch adds the same products in another order"),
    ("torch", "float32"): Tolerance(
        1e-6, "about 8 units in the last place: sums in another order, other tanh and exp"
    ),
    ("reference", "float64"): Tolerance(
        1e-10, "the reference sums gradients step by step, kernels over all steps"
    ),
    ("reference", "float32"): Tolerance(
        1e-5, "rounded inputs and weights: errors grow with the number of steps"
    ),
    ("narrow", "float32"): Tolerance(
        2.0**-6,
        "operands of products rounded to bfloat16, 2^-9 of each, step after step; sums and gates exact",
    ),
    ("split", "float64"): Tolerance(
        1e-12, "pieces of a sequence or batch are summed in blocks of another size"
    ),
    ("split", "float32"): Tolerance(
        1e-6, "pieces of a sequence or batch are summed in blocks of another size"
    ),
}


def assert_close(law: Law, actual: Any, expected: Any, what: str, scale: float = 1.0) -> None:
    """Fail with the place and size of the largest difference unless `actual` equals `expected` as `law` asks.

    Both may be arrays or tensors; the dtype of `actual` picks the row of the table. NaN equals nothing.
    scale: size of the numbers that were added up, where they cancel and the sum does not show it.

    >>> assert_close("split", np.array([1.0, 2.0]), np.array([1.0, 2.0]), "output")
    """
    found, wanted = _array(actual), _array(expected)
    if found.shape != wanted.shape:
        raise AssertionError(f"{what}: shape {found.shape}, expected {wanted.shape}")
    if not found.size:
        return
    allowed = TOLERANCES[law, found.dtype.name].value * max(scale, float(np.abs(wanted).max()))
    difference = np.abs(found.astype(np.float64) - wanted)
    worst = np.unravel_index(np.argmax(np.where(np.isnan(difference), np.inf, difference)), difference.shape)
    if not difference[worst] <= allowed:
        raise AssertionError(
            f"{what}: {found[worst]!r} at {tuple(map(int, worst))}, expected {wanted[worst]!r};"
            f" difference {difference[worst]:.3g}, law {law!r} allows {allowed:.3g}"
        )


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
