"""The random states of Python, NumPy and torch: set from a seed, taken and put back."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import torch


def seed(number: int) -> None:
    """Seed Python, NumPy and torch (all devices); call it before the weights of a model are drawn."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


@dataclasses.dataclass(frozen=True)
class RandomStates:
    """All random states of a process at one moment; those of a GPU when `device` is one."""

    python: Any
    numpy: Any
    cpu: torch.Tensor
    gpu: torch.Tensor | None

    @classmethod
    def take(cls, device: torch.device) -> RandomStates:
        on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(random.getstate(), np.random.get_state(legacy=True), torch.get_rng_state(), on_gpu)

    def put_back(self, device: torch.device) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.gpu is not None and device.type == "cuda":
            torch.cuda.set_rng_state(self.gpu, device)

    def arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """As arrays and JSON, for a checkpoint."""
        version, words, spare = self.python
        _, keys, position, has_spare, numpy_spare = self.numpy
        arrays = {"python": np.array(words, np.uint32), "numpy": keys, "cpu": self.cpu.numpy()}
        if self.gpu is not None:
            arrays["gpu"] = self.gpu.numpy()
        return arrays, {"python": [version, spare], "numpy": [position, has_spare, numpy_spare]}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> RandomStates:
        version, spare = values["python"]
        gpu = torch.from_numpy(arrays["gpu"].copy()) if "gpu" in arrays else None
        return cls(
            (version, tuple(arrays["python"].tolist()), spare),
            ("MT19937", arrays["numpy"], *values["numpy"]),
            torch.from_numpy(arrays["cpu"].copy()),
            gpu,
        )
