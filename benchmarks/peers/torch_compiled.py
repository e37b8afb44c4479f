"""torch.compile over torch.nn. It unrolls the steps and compiles for minutes: measured only when asked for."""

from __future__ import annotations

import torch
import torch._dynamo

from benchmarks.cases import Case, Data
from benchmarks.peers.torch_nn import layered
from benchmarks.subject import Subject

VERSIONS = ("torch",)


def compiled(case: Case, data: Data, threads: int) -> Subject | None:
    torch._dynamo.config.allow_rnn = True
    return layered(case, data, threads, packed=case.shape.ragged, finish=torch.compile)


SUBJECTS = {"torch.nn, compiled": compiled}
