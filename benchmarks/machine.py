"""Where and with what a measurement was made: processor, its measured limits, versions, commit."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

QUIET = 0.5  # load above which other work disturbs the figures
HERE = Path(__file__).parent
EXTENSIONS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "avx_vnni",
    "amx_bf16",
    "asimd",
    "bf16",
    "i8mm",
)


def processors() -> list[int]:
    """Numbers of the processors this process may use."""
    return (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )


def describe() -> dict[str, Any]:
    """Processor, processors usable by this process, memory (GiB), system, load, commit."""
    info = _cpuinfo()
    flags = (info.get("flags") or info.get("Features") or "").split()
    family = " ".join(f"{key} {info[key]}" for key in ("cpu family", "model", "stepping") if key in info)
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "family": family,
        "extensions": [name for name in EXTENSIONS if name in flags],
        "processors": len(processors()),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": commit(),
    }


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    pairs = (line.split(":", 1) for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def commit() -> str:
    """The commit that was measured; "+" behind it if files differed from it, "unknown" outside a repository."""
    if shutil.which("git") is None:
        return "unknown"
    asked = ["git", "-C", str(HERE), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def limits(threads: int) -> dict[str, Any]:
    """Multiply-add rate and read bandwidth, by `peak.cpp`; {"absent": why} without a compiler.

    >>> sorted(limits(1))  # doctest: +SKIP
    ['fma_gflops', 'read_gb_per_s', 'threads', 'vector_bits']
    """
    candidates = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    compiler = next((found for name in candidates if name and (found := shutil.which(name))), None)
    if compiler is None:
        return {"absent": "no C++ compiler found (set CXX): the machine's limits are not measured"}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        flags = ["-O3", "-march=native", "-std=gnu++17", "-pthread"]
        build = [compiler, *flags, str(HERE / "peak.cpp"), "-o", str(program)]
        built = subprocess.run(build, capture_output=True, text=True, check=False)
        if built.returncode:
            return {"absent": f"{compiler} cannot build peak.cpp: {built.stderr.strip().splitlines()[-1]}"}
        ran = subprocess.run([program, str(threads)], capture_output=True, text=True, check=True)
    return dict(json.loads(ran.stdout))


def higher(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The better of two measurements of the limits, figure by figure: the clock may rise or fall meanwhile."""
    if "absent" in one or "absent" in other:
        return one
    read = {size: max(rate, other["read_gb_per_s"][size]) for size, rate in one["read_gb_per_s"].items()}
    return one | {"fma_gflops": max(one["fma_gflops"], other["fma_gflops"]), "read_gb_per_s": read}
