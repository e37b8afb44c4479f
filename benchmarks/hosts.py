"""The processes of the tree: some libraries read their settings once per process, so each kind has one of its own.

The parent says whose turn it is, so that only one process computes at a time and the turns interleave.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

from benchmarks.cases import Arrays, Case, draw
from benchmarks.machine import processors
from benchmarks.subject import Subject

SETTLE = 0.003  # seconds; other processes' threads spin about a millisecond after their last work
WARM = 0.004  # seconds of untimed calls at the beginning of a turn
LONG = 0.05  # seconds; a longer call needs no warming, and one alone tells how long it takes


@dataclass(frozen=True)
class Host:
    """A kind of process: modules like those of `benchmarks.peers` it serves, its environment, what must be installed.

    rare: left out of a quick run ("quick"), or of every run ("always"), unless named with --peers.
    """

    name: str
    peers: tuple[str, ...]
    requires: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    rare: Literal["", "quick", "always"] = ""


PEERS = "benchmarks.peers"
HOSTS = (
    Host("torch", (f"{PEERS}.ours", f"{PEERS}.torch_nn"), ("torch",)),
    Host("torch-huge-pages", (f"{PEERS}.torch_huge_pages",), ("torch",), {"THP_MEM_ALLOC_ENABLE": "1"}),
    Host("torch-compiled", (f"{PEERS}.torch_compiled",), ("torch",), rare="always"),
    Host("jax", (f"{PEERS}.jax_scan",), ("jax",)),
    Host("keras-jax", (f"{PEERS}.keras_layers",), ("keras", "jax"), {"KERAS_BACKEND": "jax"}),
    Host(
        "keras-torch",
        (f"{PEERS}.keras_layers",),
        ("keras", "torch"),
        {"KERAS_BACKEND": "torch"},
        rare="quick",
    ),
    Host("onnxruntime", (f"{PEERS}.onnx_runtime",), ("onnxruntime", "onnx")),
    Host("openvino", (f"{PEERS}.openvino_cpu",), ("openvino", "onnx")),
)


def missing(host: Host) -> list[str]:
    """Names of the packages this host needs and this environment lacks."""
    return [name for name in host.requires if importlib.util.find_spec(name) is None]


class HostError(RuntimeError):
    """The process ended in the middle of an order; what it last said is on standard error."""


class Process:
    """A running host, seen from the parent: the methods are orders it carries out."""

    def __init__(self, host: Host, threads: int) -> None:
        self.host, self.threads = host, threads
        self._start()

    def introduce(self) -> tuple[list[str], dict[str, str]]:
        """Names of the subjects it serves, versions of their packages; waits until the libraries are loaded."""
        return self._order("introduce")  # type: ignore[no-any-return]

    def open(self, case: Case, name: str) -> tuple[Arrays, str, float] | None:
        """Build a subject: its answers, its path and the seconds of one call; None if it does not cover the case.

        Raises HostError if the library gives up on the case; the host is then started afresh.
        """
        return self._order("open", case, name)  # type: ignore[no-any-return]

    def turn(self, name: str, seconds: float, expected: float) -> float:
        """Seconds per call over some `seconds`, at least one call; a call is `expected` to take so many."""
        calls = max(1, round(seconds / expected))
        return self._order("turn", name, calls, expected < LONG)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Forget the subjects of this case."""
        self._order("close")

    def stop(self) -> None:
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.host, self.threads), daemon=True)
        with _environment(self.host, self.threads):
            self._process.start()
        theirs.close()

    def _order(self, *order: Any) -> Any:
        try:
            self._connection.send(order)
            return self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            self._start()
            raise HostError(f"{self.host.name}: the process ended at {order[0]} {order[1:]}") from None


@contextmanager
def _environment(host: Host, threads: int) -> Iterator[None]:
    """What must be set before a library is loaded is set before its process begins."""
    before = dict(os.environ)
    os.environ.update({f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")})
    os.environ.update(host.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Server:
    """A running host, seen from inside."""

    def __init__(self, host: Host, threads: int) -> None:
        modules = [importlib.import_module(peer) for peer in host.peers]
        self.threads = threads
        self.builds = {name: build for module in modules for name, build in module.SUBJECTS.items()}
        packages = {name for module in modules for name in module.VERSIONS}
        self.versions = {name: importlib.metadata.version(name) for name in sorted(packages)}
        self.open_now: dict[str, Subject] = {}

    def introduce(self) -> tuple[list[str], dict[str, str]]:
        return list(self.builds), self.versions

    def open(self, case: Case, name: str) -> tuple[Arrays, str, float] | None:
        subject = self.builds[name](case, draw(case), self.threads)
        if subject is None:
            return None
        subject.before()
        answers = subject.answers()
        self.open_now[name] = subject
        once = _seconds(subject, 1)
        return answers, subject.path, once if once > LONG else min(once, _seconds(subject, 1))

    def turn(self, name: str, calls: int, warmed: bool) -> float:
        subject = self.open_now[name]
        time.sleep(SETTLE)
        subject.before()
        begin = time.perf_counter()
        while warmed and time.perf_counter() - begin < WARM:
            subject.call()
        return _seconds(subject, calls)

    def close(self) -> None:
        self.open_now.clear()
        gc.collect()


def _seconds(subject: Subject, calls: int) -> float:
    call = subject.call
    gc.disable()
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    end = time.perf_counter()
    gc.enable()
    return (end - begin) / calls


def _serve(connection: Connection, host: Host, threads: int) -> None:
    """Carry out orders until the parent hangs up. A library that fails ends the process: the parent starts it again."""
    if hasattr(os, "sched_setaffinity"):  # JAX has no setting of its own; on Linux it counts these
        os.sched_setaffinity(0, processors()[:threads])
    server = _Server(host, threads)
    while True:
        try:
            order, *arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(server, order)(*arguments))
