"""Settings from text: what a flag, a recipe file or a form field says, as the value the option's type asks for."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from elman.errors import InputError

_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    types.NoneType: "none",
    str: "a text",
}


def option_groups(options: type[Any]) -> Iterator[tuple[str, list[dataclasses.Field[Any]]]]:
    """The options of a dataclass by the class that declares them, as ("model options", fields)."""
    fields = {field.name: field for field in dataclasses.fields(options) if "help" in field.metadata}
    for owner in options.__mro__:
        own = [fields.pop(name) for name in inspect.get_annotations(owner) if name in fields]
        if own:
            words = re.findall("[A-Z][a-z]*", owner.__name__)
            yield " ".join(word.lower() for word in words if word != "Options") + " options", own


def from_text(options: type[Any], values: Mapping[str, Any], where: Callable[[str], str]) -> dict[str, Any]:
    """Typed values of the named options; raises InputError for an unknown name or a value of another type.

    where: how a message calls the option of that name: its flag, or its line in a file.

    >>> @dataclasses.dataclass
    ... class Example:
    ...     size: int | None = dataclasses.field(default=1, metadata={"help": "size"})
    >>> from_text(Example, {"size": "20"}, str), from_text(Example, {"size": "none"}, str)
    ({'size': 20}, {'size': None})
    """
    hints = typing.get_type_hints(options)
    known = [field.name for _, fields in option_groups(options) for field in fields]
    for name in values:
        if name not in known:
            raise InputError(f"{where(name)}: unknown option.{nearest(name, known)}")
    return {name: _typed(hints[name], value, where(name)) for name, value in values.items()}


def flag(name: str) -> str:
    """The flag of an option.

    >>> flag("hidden_size")
    '--hidden-size'
    """
    return f"--{name.replace('_', '-')}"


def flags(options: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line.

    >>> flags({"hidden_size": 64, "jamo": False, "max_steps": None})
    ['--hidden-size', '64', '--no-jamo', '--max-steps', 'none']
    """
    return [word for name, value in options.items() for word in _words(name, value)]


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [flag(name) if value else flag(f"no_{name}")]
    return [flag(name), "none" if value is None else str(value)]


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The settings of a recipe, a YAML file of one mapping from option to value, and `task`."""
    import yaml

    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "task" not in content:
        raise InputError(
            f"{path} is no recipe: expected one `option: value` a line, and `task: NAME` among them."
        )
    return {str(name).replace("-", "_"): value for name, value in content.items()}


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as one of the types of `hint`: the first that its text can be read as."""
    if typing.get_origin(hint) is typing.Literal:
        return str(value)
    members = typing.get_args(hint) or (hint,)
    text = "none" if value is None else str(value)
    for member in sorted(members, key=list(_NAMES).index):
        try:
            return _READ[member](text)
        except ValueError:
            continue
    expected = " or ".join(_NAMES[member] for member in members)
    raise InputError(f"{where} is {text!r}, expected {expected}.")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _choice(words: Mapping[str, Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]

    return read


_READ: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: _number,
    bool: _choice({"true": True, "yes": True, "false": False, "no": False}),
    str: str,
    types.NoneType: _choice({"none": None}),
}
