"""The optional packages, read from elman's own metadata."""

from __future__ import annotations

import importlib.metadata
import re

_IMPORTED_AS = {"pyyaml": "yaml", "pillow": "PIL", "scikit-learn": "sklearn"}
_FOR_USERS = ("train", "serve", "audio", "image", "export")


def extras() -> dict[str, list[str]]:
    """Packages of each extra a user may want, by the extra's name."""
    found: dict[str, list[str]] = {extra: [] for extra in _FOR_USERS}
    for requirement in importlib.metadata.requires("elman") or []:
        match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?[^;]*;.*extra == [\"'](\w+)[\"']", requirement)
        if match and match[2] in found and match[1] != "elman":
            found[match[2]].append(match[1])
    return found


def imported_as(package: str) -> str:
    """The name a package is imported by."""
    return _IMPORTED_AS.get(package.lower(), package)


def extra_of(module: str) -> str | None:
    """The extra that installs a module, or None."""
    top = module.split(".")[0]
    return next((extra for extra, packages in extras().items() if top in map(imported_as, packages)), None)
