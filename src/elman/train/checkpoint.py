"""The checkpoint: all a training needs to go on as if it had never stopped, in one safetensors file.

Tensors `model/*`, `optimizer/*`, `best/*` (only when the best weights are older ones) and, for each process r,
`process{r}/random/*` and `process{r}/carry/*`; the rest is JSON in the metadata. See docs/format.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch

from elman.errors import InputError
from elman.runfolder import RunFolder, check_tensors
from elman.train.distributed import World
from elman.train.optimizer import Optimizer
from elman.train.randomness import RandomStates

NAME = "checkpoint/last.safetensors"
BEST = "model.safetensors"


@dataclasses.dataclass
class Position:
    """Where a training stands, in numbers."""

    step: int = 0  # updates done
    epoch: int = 0  # epochs finished
    batch: int = 0  # batches of the present epoch done
    seconds: float = 0.0  # time spent in training, over all its sessions
    loss_sum: float = 0.0  # loss over the items since the last evaluation, and their number
    items: int = 0
    clipped: int = 0  # updates since then whose gradient was shortened
    evaluations: int = 0
    best_step: int = 0  # step of the lowest validation loss; meaningless while best_loss is None
    best_loss: float | None = None
    stale: int = 0  # evaluations since then
    metrics_bytes: int = 0  # size of metrics.jsonl


@dataclasses.dataclass
class Memory:
    """What one process carries from step to step besides weights."""

    random: RandomStates
    carry: Any


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of the model's state dict; one that is shared (tied) appears once, under its first name."""
    unique: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        unique.setdefault(id(tensor), (name, tensor))
    return {name: tensor.detach() for name, tensor in unique.values()}


def load_weights(model: torch.nn.Module, run: RunFolder, name: str = BEST) -> None:
    """Read the best weights of a run into `model`; InputError unless names, shapes and dtypes are the model's."""
    own = weights(model)
    shapes = {key: tuple(tensor.shape) for key, tensor in own.items()}
    dtypes = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in own.items()}
    arrays = run.read_tensors(name, shapes, dtypes)
    copy_into(own, {key: torch.from_numpy(array) for key, array in arrays.items()})


@torch.no_grad()
def copy_into(tensors: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Copy `values` into the tensors of the same names."""
    for name, tensor in tensors.items():
        tensor.copy_(values[name])


def save(
    run: RunFolder,
    position: Position,
    model: torch.nn.Module,
    optimizer: Optimizer,
    best: Mapping[str, torch.Tensor],
    memories: list[Memory],
) -> None:
    """Write the checkpoint; `best` is empty where the present weights are the best."""
    parts = {"model": weights(model), "optimizer": optimizer.tensors(), "best": best}
    arrays = {f"{part}/{name}": _array(t) for part, tensors in parts.items() for name, t in tensors.items()}
    values = []
    for rank, memory in enumerate(memories):
        random, numbers = memory.random.arrays()
        arrays |= {f"process{rank}/random/{name}": array for name, array in random.items()}
        values.append({"random": numbers, "carry": _flatten(memory.carry, f"process{rank}/carry", arrays)})
    metadata = {"position": dataclasses.asdict(position), "method": optimizer.method, "processes": values}
    run.write_tensors(NAME, arrays, metadata)


def read(run: RunFolder) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    return run.read_tensors(NAME), run.read_metadata(NAME)


def restore(
    run: RunFolder,
    content: tuple[dict[str, np.ndarray], dict[str, Any]],
    model: torch.nn.Module,
    optimizer: Optimizer,
    world: World,
) -> tuple[Position, dict[str, torch.Tensor], Any]:
    """Put a checkpoint's content into model, optimizer and random states; gives position, best weights and carry.

    The best weights are those of `save`: empty if they are the model's own. Nothing is changed if anything is wrong.
    """
    arrays, metadata = content
    where = run.path / NAME
    try:
        position, method, memories = (
            _position(metadata["position"]),
            metadata["method"],
            metadata["processes"],
        )
        if method != optimizer.method:
            raise InputError(
                f"{where}: was saved with --optimizer {method}, not {optimizer.method}; resume with that."
            )
        if len(memories) != world.size:
            raise InputError(
                f"{where}: was saved by {len(memories)} processes, not {world.size}; resume with as many."
            )
        own, best = _places(arrays, model, optimizer)
        found = {name: (*array.shape, str(array.dtype)) for name, array in arrays.items()}
        check_tensors(where, found, {name: _kind(tensor) for name, tensor in own.items()}, partly=True)
        values, prefix = memories[world.rank], f"process{world.rank}/random/"
        carry = change(_unflatten(values["carry"], arrays), lambda tensor: tensor.to(world.device))
        random = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
        RandomStates.of_arrays(random, values["random"]).put_back(world.device)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise InputError(f"{where}: damaged, its metadata do not fit ({error!r}).") from error
    copy_into(own, {name: torch.from_numpy(arrays[name]) for name in own})
    return position, best, carry


def _places(
    arrays: Mapping[str, np.ndarray], model: torch.nn.Module, optimizer: Optimizer
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors a checkpoint's arrays are copied into, by their names there; and new ones for the best weights."""
    now = weights(model)
    older = any(name.startswith("best/") for name in arrays)
    best = {name: torch.empty_like(tensor) for name, tensor in now.items()} if older else {}
    parts = {"model": now, "optimizer": optimizer.tensors(), "best": best}
    return {f"{part}/{name}": t for part, tensors in parts.items() for name, t in tensors.items()}, best


def _position(values: dict[str, Any]) -> Position:
    position = Position(**values)
    for field in dataclasses.fields(Position):
        value, default = values[field.name], cast(Any, field.default)
        if field.name == "best_loss":
            fits = value is None or isinstance(value, float)
        else:
            fits = type(value) is type(default) and (isinstance(value, float) or value >= 0)
        if not fits:
            raise ValueError(f"{field.name} is {value!r}")
    return position


def _kind(tensor: torch.Tensor) -> tuple[Any, ...]:
    return (*tensor.shape, str(tensor.dtype).removeprefix("torch."))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _flatten(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON of a nested value; its tensors go into `arrays` under names that start with `name`."""
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        half = value.dtype == torch.bfloat16  # which NumPy lacks
        arrays[name] = _array(value.view(torch.int16) if half else value)
        return {"tensor": name, "bfloat16": half}
    if isinstance(value, dict):
        return {"dict": {key: _flatten(item, f"{name}/{key}", arrays) for key, item in value.items()}}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_flatten(item, f"{name}/{i}", arrays) for i, item in enumerate(value)]}
    raise TypeError(
        f"carry: {type(value).__name__}, expected None, a tensor, or dicts, lists and tuples of them."
    )


def _unflatten(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None:
        return None
    if "tensor" in value:
        tensor = torch.from_numpy(arrays[value["tensor"]].copy())
        return tensor.view(torch.bfloat16) if value["bfloat16"] else tensor
    if "dict" in value:
        return {key: _unflatten(item, arrays) for key, item in value["dict"].items()}
    kind = tuple if "tuple" in value else list
    return kind(_unflatten(item, arrays) for item in value[kind.__name__])


def change(carry: Any, function: Any) -> Any:
    """The same nesting with `function` applied to every tensor."""
    if carry is None:
        return None
    if isinstance(carry, torch.Tensor):
        return function(carry)
    if isinstance(carry, dict):
        return {key: change(item, function) for key, item in carry.items()}
    return type(carry)(change(item, function) for item in carry)
