"""Reference samples: pure function of (seed, index), densities, the truth of coarse levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.bake.latents import texel_uv
from etendue.bake.target import Batch, draw_levels, produce
from etendue.bsdf.base import ShadingPoint
from etendue.bsdf.layered import Layered
from etendue.bsdf.pyramid import level_sizes
from etendue.device.drjit import activate
from etendue.scene.material import LayeredMaterial

from .conftest import RESOLUTION, matte, painted, plain


def _batch(material: LayeredMaterial, count: int, **kwargs: Any) -> Batch:
    options = {"pairs": 4, "resolution": RESOLUTION, "seed": 1, "index": 0, "at_centres": False}
    options |= kwargs
    return produce(Layered(material, walks=options.pop("walks", 1)), count, **options)


def test_levels_follow_powers_of_three_quarters() -> None:
    count = 100_000
    levels = draw_levels(count, 64, np.random.default_rng(1))
    share = np.bincount(levels, minlength=7) / count
    expected = 0.75 ** np.arange(7) / (0.75 ** np.arange(7)).sum()
    deviation = np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(share - expected) < 5 * deviation).all()


def test_a_batch_is_a_function_of_seed_and_index() -> None:
    def same(a: Batch, b: Batch) -> bool:
        return all(torch.equal(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)

    first = _batch(painted(), 64)
    _batch(painted(), 64, index=5)  # nothing carries over from one call to the next
    assert same(first, _batch(painted(), 64))
    for other in ({"seed": 2}, {"index": 1}):
        different = _batch(painted(), 64, **other)
        assert not torch.equal(first.wi, different.wi) and not torch.equal(first.f, different.f)


def test_shapes_ranges_and_rows() -> None:
    batch = _batch(painted(), 100)
    assert batch.wi.shape == batch.wo.shape == batch.f.shape == (100, 4, 3)
    assert batch.pdf.shape == (100, 4) and batch.level.dtype == torch.int64
    assert bool((batch.wi[..., 2] > 0).all()) and bool((batch.wo[..., 2] > 0).all())
    for w in (batch.wi, batch.wo):
        np.testing.assert_allclose(w.norm(dim=-1).numpy(), 1, atol=1e-5)
    assert bool((batch.f >= 0).all()) and bool((batch.pdf > 0).all())
    assert int(batch.level.max()) < len(level_sizes(RESOLUTION))
    chosen = torch.tensor([3, 97, 3])
    rows = batch.rows(chosen)
    assert torch.equal(rows.f, batch.f[chosen]) and torch.equal(rows.uv, batch.uv[chosen])
    assert torch.equal(batch.directions(2).wo, batch.wo[:, :2])


def test_centres_are_texel_centres() -> None:
    batch = _batch(painted(), 500, at_centres=True)
    side = RESOLUTION >> batch.level
    offset = batch.uv * side[:, None] - 0.5
    np.testing.assert_allclose(offset.numpy(), offset.round().numpy(), atol=1e-5)
    assert len(np.unique(batch.level.numpy())) == len(level_sizes(RESOLUTION))
    one = texel_uv(torch.tensor([256]), torch.tensor([1]), RESOLUTION)
    np.testing.assert_allclose(one.numpy(), [[1 / 16, 1 / 16]])


@pytest.mark.parametrize("material", [matte(), plain(), painted()], ids=lambda m: m.name)
def test_densities_are_those_of_the_drawn_directions(material: LayeredMaterial) -> None:
    """E[g(wo) / pdf] is the integral of g over the hemisphere, here for 1 and cos theta."""
    batch = _batch(material, 50_000, pairs=2)
    for g, integral in (
        (torch.ones_like(batch.pdf), 2 * np.pi),
        (batch.wo[..., 2], np.pi),
        ((batch.wo[..., 0] > 0).float(), np.pi),
    ):
        estimate = (g / batch.pdf).double().flatten().numpy()
        error = estimate.std() / np.sqrt(estimate.size)
        assert error < 0.02 * integral
        assert abs(estimate.mean() - integral) < 4 * error


def test_lambert_values_are_exact() -> None:
    batch = _batch(matte(0.5), 200)
    expected = 0.5 / np.pi * batch.wo[..., 2:].expand(-1, -1, 3)
    np.testing.assert_allclose(batch.f.numpy(), expected.numpy(), rtol=2e-3, atol=1e-6)


def test_truth_of_a_coarse_texel_is_the_mean_of_the_finest_level() -> None:
    """f averaged over the footprint, against point evaluations at a grid of its positions."""
    import drjit as dr

    mi = activate()
    reference = Layered(painted(), walks=512)
    batch = produce(reference, 40, 2, RESOLUTION, 3, 0, at_centres=True)
    batch = batch.rows(torch.nonzero(batch.level >= 1)[:, 0])
    assert len(np.unique(batch.level.numpy())) >= 3
    points, walks = 24, 4  # per side of the footprint
    grid = (np.stack(np.meshgrid(*[np.arange(points)] * 2), -1).reshape(-1, 2) + 0.5) / points
    side = (RESOLUTION >> batch.level).numpy()
    uv = batch.uv.numpy()[:, None, None] + (grid - 0.5)[None, None] / side[:, None, None, None]
    uv = np.broadcast_to(uv, (len(side), 2, points**2, 2)).reshape(-1, 2)
    wi, wo = (
        np.repeat(w.numpy().reshape(-1, 3), points**2, 0).astype(np.float32)
        for w in (batch.wi, batch.wo)
    )
    p = ShadingPoint(
        mi.Point2f(*np.ascontiguousarray(uv.T, np.float32)),
        mi.Vector3f(*np.ascontiguousarray(wi.T)),
        dr.zeros(mi.Float, len(uv)),
    )
    rng = mi.PCG32(size=len(uv), initstate=99)
    wo = mi.Vector3f(*np.ascontiguousarray(wo.T))
    value = Layered(painted(), walks=walks).eval(p, wo, rng, mi.Bool(True))
    expected = value.numpy().T.reshape(len(side), 2, -1, 3).mean(2)
    for channel in range(3):
        a, b = batch.f[..., channel].double().numpy().ravel(), expected[..., channel].ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.99
        assert abs(a.sum() / b.sum() - 1) < 0.02


def test_levels_may_be_chosen() -> None:
    level = np.repeat([0, 2], 50)
    batch = _batch(painted(), 100, level=level)
    np.testing.assert_array_equal(batch.level.numpy(), level)
