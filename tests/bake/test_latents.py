"""The latent pyramid: bilinear lookups against a slow twin, filtered parameters, texel centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from etendue.bake.latents import lookup, parameter_pyramid, taps, texel_uv
from etendue.bsdf.pyramid import level_offsets, level_sizes

RESOLUTION = 8


def _slow(latents: np.ndarray, uv: np.ndarray, level: int) -> np.ndarray:
    """Bilinear lookup at one point of one level, both axes wrapping."""
    side, start = level_sizes(RESOLUTION)[level], level_offsets(RESOLUTION)[level]
    image = latents[start : start + side * side].reshape(side, side, -1)
    x, y = uv[0] * side - 0.5, uv[1] * side - 0.5
    total = np.zeros(latents.shape[1])
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            total += weight * image[row % side, column % side]
    return total


def _random(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    latents = rng.normal(size=(level_offsets(RESOLUTION)[-1], 8))
    return latents, rng.uniform(-1.0, 2.0, (count, 2)), rng.integers(0, 4, count)


def test_lookup_is_bilinear_and_wraps() -> None:
    latents, uv, level = _random(300)
    found = lookup(
        torch.from_numpy(latents), torch.from_numpy(uv), torch.from_numpy(level), RESOLUTION
    )
    expected = np.stack([_slow(latents, p, k) for p, k in zip(uv, level, strict=True)])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_weights_sum_to_one_and_taps_stay_on_their_level() -> None:
    _, uv, level = _random(300)
    index, weight = taps(torch.from_numpy(uv), torch.from_numpy(level), RESOLUTION)
    np.testing.assert_allclose(weight.sum(1).numpy(), 1, atol=1e-12)
    offsets = np.array(level_offsets(RESOLUTION))
    assert (index.numpy() >= offsets[level][:, None]).all()
    assert (index.numpy() < offsets[level + 1][:, None]).all()


def test_gradients_reach_the_four_texels_with_their_weights() -> None:
    latents = torch.zeros(level_offsets(RESOLUTION)[-1], 8, requires_grad=True)
    uv = torch.tensor([[0.3, 0.9]], dtype=torch.float32)
    level = torch.tensor([1])
    lookup(latents, uv, level, RESOLUTION).sum().backward()
    index, weight = taps(uv, level, RESOLUTION)
    assert latents.grad is not None
    np.testing.assert_allclose(latents.grad[index[0], 3].numpy(), weight[0].numpy(), atol=1e-7)
    assert int((latents.grad[:, 0] != 0).sum()) == 4


@pytest.mark.parametrize("resolution", [1, 8])
def test_looking_up_a_texel_centre_gives_the_texel(resolution: int) -> None:
    count = level_offsets(resolution)[-1]
    index = torch.arange(count)
    sizes = level_sizes(resolution)
    level = torch.cat([torch.full((s * s,), k) for k, s in enumerate(sizes)])
    uv = texel_uv(index, level, resolution)
    latents = torch.arange(count, dtype=torch.float64)[:, None].repeat(1, 8)
    found = lookup(latents, uv.double(), level, resolution)
    np.testing.assert_allclose(found[:, 0].numpy(), np.arange(count), atol=1e-9)


def test_encoder_inputs_are_block_means_and_deviations() -> None:
    rng = np.random.default_rng(2)
    data = rng.gamma(2.0, size=(RESOLUTION, RESOLUTION, 3)).astype(np.float32)
    rows = parameter_pyramid(data)
    assert rows.shape == (level_offsets(RESOLUTION)[-1], 7) and rows.dtype == np.float32
    scaled = (data - data.mean((0, 1))) / data.std((0, 1))
    for k, side in enumerate(level_sizes(RESOLUTION)):
        block = RESOLUTION // side
        start = level_offsets(RESOLUTION)[k]
        for y in range(side):
            for x in range(side):
                texels = scaled[y * block : (y + 1) * block, x * block : (x + 1) * block]
                row = rows[start + y * side + x]
                np.testing.assert_allclose(row[:3], texels.mean((0, 1)), atol=1e-4)
                np.testing.assert_allclose(row[3:6], texels.std((0, 1)), atol=2e-3)
                assert row[6] == pytest.approx(k / 3)


def test_a_channel_without_variation_stays_finite() -> None:
    assert np.isfinite(parameter_pyramid(np.full((4, 4, 2), 0.25, np.float32))).all()
