"""What a decoder looks at when it tells a picture: the cells of a convolutional grid, or feature vectors as given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.dropout import Dropout

_MOST = 4  # times as many channels as in the first block, at the most


@dataclass(frozen=True)
class Changes:
    """How images are changed at random, each in its own way; all 0: not at all.

    shift: by up to this share of height and width; zoom: larger or smaller by up to this share; turn: by up to these
    degrees; tint: the ink of each colour stronger or weaker by up to this share; flip: left and right change places in
    every other image. What comes in from outside is white.

    >>> Changes(flip=True).of(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([2, 3, 4, 5])
    """

    shift: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    tint: float = 0.0
    flip: bool = False

    def of(self, ink: Tensor) -> Tensor:
        """Images (B, C, H, W) whose white is 0, changed as torch's generator draws."""
        batch, channels, height, width = ink.shape
        if self.tint:
            ink = ink * (1 + self.tint * self._drawn(batch, channels, 1, 1).to(ink))
        if not (self.shift or self.zoom or self.turn or self.flip):
            return ink
        scale = 1 + self.zoom * self._drawn(batch)
        angle = math.radians(self.turn) * self._drawn(batch)
        mirror = 1 - 2.0 * torch.randint(2, (batch,)) if self.flip else torch.ones(batch)
        moved = 2 * self.shift * self._drawn(batch, 2)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        rows = [
            cos * mirror,
            -sin * height / width,
            moved[:, 0],
            sin * mirror * width / height,
            cos,
            moved[:, 1],
        ]
        where = torch.stack(rows, 1).view(batch, 2, 3).to(ink)
        return F.grid_sample(
            ink, F.affine_grid(where, list(ink.shape), align_corners=False), align_corners=False
        )

    @staticmethod
    def _drawn(*shape: int) -> Tensor:
        return 2 * torch.rand(shape) - 1


class Picture(nn.Module):
    """An image as a grid of cells that can be looked at, and as one vector; learned with whatever reads them.

    Block k: x = max over 2 x 2 of relu(norm(conv(x))), twice convolved, of 3 x 3, with min(2^k, 4) times `channels`.
    Cell s of the grid that is left: m_s = relu(W x_s + p_s), p_s a learned vector of its place; each feature of the
    vector is the largest of all m_s.

    The norm is that of each channel over all places of a batch (Ioffe and Szegedy, Batch Normalization, 2015); outside
    of training, where its mean and variance are those that training saw, an image is read the same in any company.

    Args:
        height, width: H, W of the images, in pixels.
        size: E, features of a cell.
        channels: of the first block.
        blocks: each halves height and width, rounded up.
        dropout: probability in [0, 1) on the cells; variational: drop the same features in all cells of an image.
        changes: of the images in training.

    Shapes: images (B, H, W, 3), from 0 to 255; lengths (B,), S each, are not read: a picture has no padding.
    Returns the memory (B, S, E), row by row from the top left, and vectors (B, E).

    >>> picture = Picture(36, 36, 16, channels=8, blocks=2)
    >>> memory, vector = picture(torch.zeros(2, 36, 36, 3, dtype=torch.uint8), torch.tensor([81, 81]))
    >>> picture.grid, memory.shape, vector.shape
    ((9, 9), torch.Size([2, 81, 16]), torch.Size([2, 16]))
    """

    def __init__(
        self,
        height: int,
        width: int,
        size: int,
        *,
        channels: int = 32,
        blocks: int = 3,
        dropout: float = 0.0,
        variational: bool = False,
        changes: Changes | None = None,
    ) -> None:
        super().__init__()
        self.size, self.changes = size, changes or Changes()
        self.grid = -(-height // 2**blocks), -(-width // 2**blocks)
        layers: list[nn.Module] = []
        read = 3
        for number in range(blocks):
            written = channels * min(2**number, _MOST)
            for inputs in (read, written):
                convolution = nn.Conv2d(inputs, written, 3, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(written), nn.ReLU()]
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            read = written
        self.blocks = nn.Sequential(*layers)
        self.cells = nn.Linear(read, size)
        self.places = nn.Parameter(0.3 * torch.randn(math.prod(self.grid), size))
        self.output_dropout = Dropout(dropout, variational)

    def forward(self, images: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        ink = 1 - images.to(self.places.dtype).permute(0, 3, 1, 2) / 255
        if self.training:
            ink = self.changes.of(ink)
        found = self.blocks(ink).flatten(2).transpose(1, 2)
        memory = self.output_dropout(torch.relu(self.cells(found) + self.places))
        return memory, memory.amax(1)


class Features(nn.Module):
    """Feature vectors, one or several of each row, as a memory: m_s = relu(W norm(x_s) + b), and their mean.

    The norm is over the features of one vector (Ba, Kiros and Hinton, Layer Normalization, 2016).

    Args:
        features: F, of a vector as it is given.
        size: E, features of the memory.
        dropout: probability in [0, 1) on the memory; variational: drop the same features in all vectors of a row.

    Shapes: x (B, S, F), of which row b has `lengths[b]` vectors. Returns the memory (B, S, E) and its means (B, E).

    >>> memory, vector = Features(7, 4)(torch.ones(2, 3, 7), torch.tensor([3, 1]))
    >>> memory.shape, vector.shape
    (torch.Size([2, 3, 4]), torch.Size([2, 4]))
    """

    def __init__(self, features: int, size: int, *, dropout: float = 0.0, variational: bool = False) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(features)
        self.cells = nn.Linear(features, size)
        self.output_dropout = Dropout(dropout, variational)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.output_dropout(torch.relu(self.cells(self.norm(x))))
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        total = (memory * inside[:, :, None]).sum(1)
        return memory, total / lengths[:, None].clamp(min=1)
