"""Tell what elman finds on this machine, and check in a second that it computes right."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import time
from collections.abc import Sequence
from typing import Any

from elman.cli._extras import extras, imported_as
from elman.cli._output import Output, table
from elman.cli._parser import Parser, add_output_flags

_LIMIT = 1e-5  # largest error of a float32 state of a short sequence against float64


def run(arguments: Sequence[str]) -> int:
    parser = Parser("doctor", __doc__)
    add_output_flags(parser)
    output = Output(parser.parse(arguments))
    facts = _system() | _core() | _torch()
    packages = {name: _version(name) for names in extras().values() for name in names}
    checks = _check(facts["torch"] is not None)
    healthy = all(check["error"] < _LIMIT for check in checks)
    text = "\n\n".join(
        (
            table(
                ("", ""),
                [(name, "missing" if value is None else str(value)) for name, value in facts.items()],
            ).lstrip(),
            _extras_text(packages),
            _checks_text(checks),
        )
    )
    output.result({**facts, "packages": packages, "checks": checks, "healthy": healthy}, text)
    return 0 if healthy else 1


def _system() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "elman": importlib.metadata.version("elman"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processors": usable,
        "numpy": _version("numpy"),
    }


def _core() -> dict[str, Any]:
    """The compiled core: part of the package, but the doctor has to tell of a broken installation too."""
    if importlib.util.find_spec("elman._core") is None:
        return {"compiled core": None}
    from elman import _core

    return {"compiled core": f"{_core.isa()} instructions"}


def _torch() -> dict[str, Any]:
    if importlib.util.find_spec("torch") is None:
        return {"torch": None}
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "gpu": gpu}


def _version(package: str) -> str | None:
    if importlib.util.find_spec(imported_as(package)) is None:
        return None
    return importlib.metadata.version(package)


def _check(torch: bool) -> list[dict[str, Any]]:
    """Every cell on one short sequence: the layers of `elman.nn` against the NumPy reference."""
    if not torch:
        return []
    import numpy as np

    import elman.nn
    from elman import cells, reference

    torch_module = importlib.import_module("torch")
    x = np.random.default_rng(0).standard_normal((3, 20, 8))
    checks = []
    for name in cells.names():
        layer = elman.nn.Recurrent(name, 8, 16)
        start = time.perf_counter()
        with torch_module.no_grad():
            output, _ = layer(torch_module.from_numpy(x).float())
        seconds = time.perf_counter() - start
        params = {key: value.detach().double().numpy() for key, value in layer.state_dict().items()}
        expected, _ = reference.forward(name, params, x)
        error = float(np.abs(output.numpy() - expected).max())
        checks.append({"cell": name, "error": error, "milliseconds": 1000 * seconds})
    return checks


def _extras_text(packages: dict[str, str | None]) -> str:
    rows = []
    for extra, names in extras().items():
        missing = [name for name in names if packages[name] is None]
        found = "complete" if not missing else f"missing {', '.join(missing)}: pip install 'elman[{extra}]'"
        rows.append((f"extra {extra}", found))
    return table(("", ""), rows).lstrip()


def _checks_text(checks: list[dict[str, Any]]) -> str:
    rows = [
        (check["cell"], f"{check['error']:.1e}", "right" if check["error"] < _LIMIT else "WRONG")
        for check in checks
    ]
    return (
        table(("cell", "error", "against the float64 reference"), rows)
        if rows
        else "No torch: no layers to check."
    )
