"""Options: written once as dataclass fields; Python keyword, YAML key and command-line flag follow from the field.

>>> @dataclasses.dataclass(kw_only=True)
... class Example:
...     hidden_size: int = option(128, "units of each layer", minimum=1)
>>> check(Example(hidden_size=0))
Traceback (most recent call last):
    ...
elman.errors.InputError: hidden_size is 0, expected at least 1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from elman.errors import InputError, check_choice


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    metavar: str | None = None,
    steering: bool = False,
) -> Any:
    """A dataclass field with its one-line documentation (effect, unit, range) and its allowed values.

    steering: may be another when a run is resumed: how long and where it trains, not what is trained.
    """
    metadata = {
        "help": help,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
        "metavar": metavar,
        "steering": steering,
    }
    return dataclasses.field(default=default, metadata=metadata)


def check(options: Any) -> None:
    """Raise InputError for the first field of `options` outside its choices or its range."""
    for field in dataclasses.fields(options):
        value, rule = getattr(options, field.name), field.metadata
        if value is None or "help" not in rule:
            continue
        if rule["choices"]:
            check_choice(field.name, value, rule["choices"])
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{field.name} is {value}, expected a finite number.")
        if rule["minimum"] is not None and value < rule["minimum"]:
            raise InputError(f"{field.name} is {value}, expected at least {rule['minimum']}.")
        if rule["maximum"] is not None and value > rule["maximum"]:
            raise InputError(f"{field.name} is {value}, expected at most {rule['maximum']}.")
