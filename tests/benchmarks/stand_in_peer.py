"""A library made for the tests: elman's reference under our name, and others that go wrong in known ways."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from benchmarks.cases import Arrays, Case, Data, expected
from benchmarks.subject import Build, Subject

VERSIONS = ("numpy",)


def _build(change: Callable[[Arrays], Arrays]) -> Build:
    def build(case: Case, data: Data, threads: int) -> Subject:
        def answers() -> Arrays:
            return change({name: array.copy() for name, array in expected(case, data).items()})

        return Subject(answers, answers)

    return build


def _two_gates_exchanged(case: Case, data: Data, threads: int) -> Subject:
    def answers() -> Arrays:
        weight = np.roll(data.params["weight_hh_l0"], case.shape.hidden, axis=0)
        return expected(case, data._replace(params=data.params | {"weight_hh_l0": weight}))

    return Subject(answers, answers)


def _one_value_off(arrays: Arrays) -> Arrays:
    name = list(arrays)[-1]
    arrays[name].flat[0] += 1e-3 * np.abs(arrays[name]).max()
    return arrays


def _not_covered(case: Case, data: Data, threads: int) -> None:
    return None


def _ends_the_process(case: Case, data: Data, threads: int) -> None:
    os._exit(3)


SUBJECTS = {
    "elman": _build(lambda arrays: arrays),
    "peer": _build(lambda arrays: arrays),
    "gates exchanged": _two_gates_exchanged,
    "one value off": _build(_one_value_off),
    "one array missing": _build(lambda arrays: dict(list(arrays.items())[1:])),
    "not a number": _build(lambda arrays: {name: array * np.nan for name, array in arrays.items()}),
    "not covered": _not_covered,
    "ends": _ends_the_process,
}
