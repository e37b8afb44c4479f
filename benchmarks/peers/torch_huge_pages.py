"""torch.nn with its tensors on huge pages (THP_MEM_ALLOC_ENABLE=1, read once per process: hence one of its own)."""

from __future__ import annotations

from benchmarks.peers.torch_nn import eager, padded

VERSIONS = ("torch",)
SUBJECTS = {"torch.nn, huge pages": eager, "torch.nn, padded, huge pages": padded}
