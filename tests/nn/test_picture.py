"""The encoders of images and of features: what they compute, and how images are changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from elman.nn.picture import Changes, Features, Picture

NORM = ("weight", "bias", "running_mean", "running_var")


def seeded(**options: object) -> Picture:
    torch.manual_seed(0)
    return Picture(9, 14, 6, channels=8, blocks=2, **options)  # type: ignore[arg-type]


def images(count: int = 3) -> torch.Tensor:
    return torch.randint(
        256, (count, 9, 14, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def lengths(picture: Picture, count: int = 3) -> torch.Tensor:
    return torch.full((count,), math.prod(picture.grid))


@pytest.mark.parametrize("training", [True, False])
def test_the_grid_is_the_documented_one(training: bool) -> None:
    picture = seeded()
    with torch.no_grad():
        for module in picture.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for values in (module.weight, module.bias, module.running_mean, module.running_var):
                    assert values is not None
                    values.copy_(torch.rand(len(values)) + 0.2)
    weights = {name: w.double() for name, w in picture.state_dict().items()}
    picture.train(training)
    assert picture.grid == (3, 4)
    memory, vector = picture(images(), lengths(picture))
    assert memory.shape == (3, 12, 6)
    x = (1 - images().double() / 255).permute(0, 3, 1, 2)
    place = 0
    for _ in range(2):
        for _ in range(2):
            x = F.conv2d(x, weights[f"blocks.{place}.weight"], padding=1)
            norm = {name: weights[f"blocks.{place + 1}.{name}"] for name in NORM}
            mean = x.mean((0, 2, 3)) if training else norm["running_mean"]
            variance = x.var((0, 2, 3), unbiased=False) if training else norm["running_var"]
            factor = norm["weight"] / (variance + 1e-5).sqrt()
            x = torch.relu((x - mean[:, None, None]) * factor[:, None, None] + norm["bias"][:, None, None])
            place += 3
        rows, columns = x.shape[2:]
        parts = [
            [x[:, :, r : r + 2, c : c + 2].amax((2, 3)) for c in range(0, columns, 2)]
            for r in range(0, rows, 2)
        ]
        x = torch.stack([torch.stack(row, 2) for row in parts], 2)
        place += 1
    cells = x.flatten(2).transpose(1, 2)
    wanted = torch.relu(cells @ weights["cells.weight"].T + weights["cells.bias"] + weights["places"])
    torch.testing.assert_close(memory.double(), wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(vector.double(), wanted.amax(1), atol=1e-4, rtol=1e-4)


def test_an_image_is_read_the_same_in_any_company() -> None:
    picture = seeded()
    picture(images(), lengths(picture))
    picture.eval()
    together, _ = picture(images(), lengths(picture))
    alone, _ = picture(images()[1:2], lengths(picture, 1))
    torch.testing.assert_close(together[1:2], alone)


def test_channels_grow_up_to_four_times() -> None:
    picture = Picture(32, 32, 4, channels=8, blocks=4)
    found = [layer.out_channels for layer in picture.blocks if isinstance(layer, torch.nn.Conv2d)]
    assert found == [8, 8, 16, 16, 32, 32, 32, 32]
    assert picture.grid == (2, 2)


def test_features_are_their_documented_form_and_padding_is_not_read() -> None:
    torch.manual_seed(0)
    features = Features(5, 4)
    x = torch.randn(2, 3, 5)
    memory, vector = features(x, torch.tensor([3, 2]))
    for row, length in ((0, 3), (1, 2)):
        scaled = (x[row] - x[row].mean(1, keepdim=True)) / (
            x[row].var(1, unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        wanted = torch.relu(scaled @ features.cells.weight.T + features.cells.bias)
        torch.testing.assert_close(memory[row], wanted)
        torch.testing.assert_close(vector[row], wanted[:length].mean(0))
    changed = x.clone()
    changed[1, 2] = 9
    torch.testing.assert_close(features(changed, torch.tensor([3, 2]))[1], vector)


# --- changes


def spot(top: int, left: int) -> torch.Tensor:
    ink = torch.zeros(1, 3, 12, 20)
    ink[:, :, top : top + 2, left : left + 2] = 1
    return ink


def centre(ink: torch.Tensor) -> tuple[float, float]:
    weights = ink[0, 0] / ink[0, 0].sum()
    rows, columns = (torch.arange(size) + 0.5 for size in weights.shape)
    return float((weights.sum(1) * rows).sum()), float((weights.sum(0) * columns).sum())


def test_nothing_changes_unless_asked() -> None:
    ink = torch.rand(2, 3, 5, 6)
    assert Changes().of(ink) is ink


def test_a_flip_mirrors_some_images() -> None:
    torch.manual_seed(0)
    ink = torch.rand(16, 3, 5, 6)
    found = Changes(flip=True).of(ink)
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(found, ink, strict=True)]
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(found, ink, strict=True)]
    assert sum(mirrored) + sum(same) == 16
    assert 3 < sum(mirrored) < 13


def test_a_shift_is_at_most_its_share_and_brings_in_white() -> None:
    torch.manual_seed(0)
    moves = []
    for _ in range(60):
        found = Changes(shift=0.25).of(spot(5, 9))
        row, column = centre(found)
        moves.append([(row - 6) / 12, (column - 10) / 20])
    assert 0.2 < np.abs(moves).max() <= 0.251
    assert np.abs(np.mean(moves, 0)).max() < 0.07
    assert float(Changes(shift=0.5).of(torch.ones(8, 3, 9, 9)).min()) == 0


def test_a_zoom_changes_the_size_in_place() -> None:
    torch.manual_seed(0)
    sizes = []
    for _ in range(40):
        ink = torch.zeros(1, 3, 30, 30)
        ink[:, :, 10:20, 10:20] = 1
        found = Changes(zoom=0.3).of(ink)
        assert centre(found) == pytest.approx((15, 15), abs=0.1)
        sizes.append(math.sqrt(float(found[0, 0].sum())) / 10)
    assert 1 / 1.31 < min(sizes) < 0.85
    assert 1.15 < max(sizes) < 1 / 0.69


def test_a_turn_keeps_distances_where_sides_differ() -> None:
    torch.manual_seed(0)
    angles = []
    for _ in range(40):
        row, column = centre(Changes(turn=30).of(spot(5, 14)))
        assert math.hypot(row - 6, column - 10) == pytest.approx(5, abs=0.25)
        angles.append(math.degrees(math.atan2(row - 6, column - 10)))
    assert max(map(abs, angles)) <= 31
    assert min(angles) < -10
    assert max(angles) > 10


def test_a_tint_scales_each_colour() -> None:
    torch.manual_seed(0)
    ink = torch.rand(9, 3, 4, 4) + 0.1
    shares = Changes(tint=0.4).of(ink) / ink
    assert torch.allclose(shares, shares[:, :, :1, :1].expand_as(shares))
    assert 0.6 <= float(shares.min()) < 0.75
    assert 1.25 < float(shares.max()) <= 1.4
    assert shares[:, :, 0, 0].unique().numel() == 27


def test_images_are_changed_in_training_only() -> None:
    picture = seeded(changes=Changes(shift=0.3))
    x, size = images(), lengths(seeded())
    torch.manual_seed(0)
    first = picture(x, size)[0]
    assert not torch.equal(first, picture(x, size)[0])
    torch.manual_seed(0)
    assert torch.equal(first, picture(x, size)[0])
    plain = seeded()
    plain.load_state_dict(picture.state_dict())
    assert torch.equal(picture.eval()(x, size)[0], plain.eval()(x, size)[0])
