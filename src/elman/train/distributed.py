"""The processes of one training: alone, or several started by torchrun, which then share gradients.

Alone every method here is trivial and costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed

from elman.errors import InputError

# The other processes wait while the first one validates.
PATIENCE = timedelta(hours=6)
CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class World:
    """This process among all: `rank` from 0 to `size - 1`; rank 0 writes files and validates."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @classmethod
    def here(cls, device: torch.device = CPU) -> World:
        """As torchrun's environment variables say; alone without them."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")), device)

    @property
    def first(self) -> bool:
        return self.rank == 0

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Connect the processes (NCCL on GPUs, gloo on CPUs), unless that was done before."""
        if self.size == 1 or torch.distributed.is_initialized():
            yield
            return
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        backend = "nccl" if self.device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, timeout=PATIENCE)
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all processes, in float64."""
        if self.size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(shared)
        return shared.tolist()

    def from_first(self, value: Any) -> Any:
        """Rank 0's value, everywhere."""
        if self.size == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, device=self.device)
        return box[0]

    def to_first(self, value: Any) -> list[Any]:
        """On rank 0 the values of all processes in order; elsewhere an empty list."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size if self.first else []
        torch.distributed.gather_object(value, values if self.first else None)
        return values


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; under torchrun each process takes its own GPU."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device is cuda, but torch finds no GPU; give --device cpu or auto.")
    if name == "cpu" or not available:
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise InputError(
            f"process {number} of this machine has no GPU of its own, there are {count}; start as many processes."
        )
    return torch.device("cuda", number)
