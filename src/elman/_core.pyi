"""The compiled kernels of elman; cpp/loop/call.hpp is the contract of every argument of `forward` and `backward`."""

import numpy as np
import numpy.typing as npt

def forward(
    cell: str,
    dtype: str,
    steps: int,
    batch: int,
    input: int,
    hidden: int,
    output: int,
    x: int,
    x_step: int,
    x_row: int,
    symbols: int,
    parameters: tuple[int, ...],
    h_0: int,
    c_0: int,
    lengths: int,
    out: int,
    out_step: int,
    out_row: int,
    h_n: int,
    c_n: int,
    reserve: int,
    threads: int,
    /,
) -> None:
    """One layer forward; writes out, h_n, c_n and reserve."""

def backward(
    cell: str,
    dtype: str,
    steps: int,
    batch: int,
    input: int,
    hidden: int,
    output: int,
    x: int,
    x_step: int,
    x_row: int,
    symbols: int,
    parameters: tuple[int, ...],
    lengths: int,
    grad_out: int,
    grad_out_step: int,
    grad_out_row: int,
    grad_out_feature: int,
    grad_h_n: int,
    grad_c_n: int,
    reserve: int,
    grad_x: int,
    grad_x_step: int,
    grad_x_row: int,
    grad_h_0: int,
    grad_c_0: int,
    gradients: tuple[int, ...],
    threads: int,
    /,
) -> None:
    """One layer backward; writes every gradient whose address is not 0."""

def reserve_size(
    cell: str, dtype: str, steps: int, batch: int, hidden: int, output: int, directions: int, /
) -> int:
    """Bytes of the reserve that forward fills for backward."""

def thread_count(
    cell: str, dtype: str, steps: int, batch: int, input: int, hidden: int, output: int, threads: int, /
) -> int:
    """Threads a forward call of this size takes, of at most `threads`."""

def buffer(bytes: int, /) -> npt.NDArray[np.uint8]:
    """Memory for a reserve, 64-byte aligned, reused when its array is gone."""

def cell_info(cell: str, /) -> tuple[int, int]:
    """Gates and states of a compiled cell."""

def cells() -> list[str]:
    """Names of the compiled cells."""

def compiler() -> str:
    """The compiler that built this module."""

def narrow() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, on the instruction set in use."""

def isa() -> str:
    """The instruction set in use."""

def isas() -> list[str]:
    """Instruction sets this build and processor have, the best first."""

def select_isa(name: str, /) -> None:
    """Use another instruction set from now on, in all threads."""

def pointwise(function: str, dtype: str, source: int, target: int, n: int, /) -> None:
    """sigmoid or tanh of n values (whole vectors only), for tests of their error."""

class Stream:
    """Layers with packed weights and states inside; cpp/loop/stream.hpp."""

    def __init__(
        self,
        cell: str,
        dtype: str,
        storage: str,
        layers: int,
        input: int,
        hidden: int,
        output: int,
        states: int,
        symbols: bool,
        parameters: tuple[int, ...],
        single: int,
        /,
    ) -> None: ...
    def step_vector(self, x: object, /) -> bool: ...
    def step_symbol(self, symbol: int, /) -> None: ...
    def step(self, n: int, rows: int, x: int, symbols: int, out: int, /) -> None: ...
    def get_state(self, h: int, c: int, /) -> None: ...
    def set_state(self, h: int, c: int, /) -> None: ...
