"""Every kind of field: shapes, gradients against finite differences, slow twins."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from etendue.core.errors import InputError
from etendue.field import base
from etendue.field.base import density, spherical_harmonics
from etendue.field.file import MODELS, make_model
from etendue.field.hashgrid import HashGrid
from etendue.field.lowrank import VectorMatrix, Vectors
from etendue.field.mlp import encode

SMALL: dict[str, dict[str, int]] = {
    "mlp": {"width": 16, "depth": 4, "bands": 3},
    "hashgrid": {"levels": 4, "coarsest": 3, "finest": 24, "log2_table": 8},
    "vm": {"size": 9, "density_rank": 3, "color_rank": 4},
    "cp": {"size": 9, "density_rank": 5, "color_rank": 6},
    "hashvm": {
        "levels": 2,
        "coarsest": 8,
        "finest": 24,
        "log2_table": 9,
        "width": 16,
        "size": 9,
        "density_rank": 3,
        "color_rank": 4,
    },
    "grid": {"size": 7},
}


def made(kind: str, seed: int = 0) -> tuple[Any, dict[str, torch.Tensor]]:
    """A small model and parameters in double precision that are no longer fresh."""
    model = make_model(kind, SMALL[kind])
    generator = torch.Generator().manual_seed(seed)
    params = {n: v.double() for n, v in model.init(generator).items()}
    noise = {n: torch.randn(v.shape, generator=generator, dtype=v.dtype) for n, v in params.items()}
    return model, {n: v + 0.2 * noise[n] for n, v in params.items()}


def points(count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    d = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return x, torch.nn.functional.normalize(d, dim=-1)


def test_kinds_are_all_here() -> None:
    assert SMALL.keys() == MODELS.keys()
    with pytest.raises(InputError, match="model: is unknown; got nerf"):
        make_model("nerf")
    with pytest.raises(InputError, match="has no such size; got depth"):
        make_model("grid", {"depth": 3})
    with pytest.raises(InputError, match="out of range"):
        make_model("grid", {"size": 0})


@pytest.mark.parametrize("kind", MODELS)
def test_what_a_query_gives(kind: str) -> None:
    model, params = made(kind)
    x, d = points(50)
    rgb, log_sigma = model.query(params, x, d)
    assert rgb.shape == (50, 3) and log_sigma.shape == (50,)
    assert 0 < rgb.min() and rgb.max() < 1 and rgb.std() > 1e-3
    torch.testing.assert_close(model.log_density(params, x), log_sigma)
    if model.has_features:
        features = model.features(params, x)
        assert features.shape == (50, base.FEATURES)
        torch.testing.assert_close(features[:, 0], log_sigma)
        torch.testing.assert_close(base.head(params, features, d), rgb)
    else:
        with pytest.raises(InputError, match="has no features"):
            model.features(params, x)
    again, _ = made(kind)
    fresh = [again.init(torch.Generator().manual_seed(3)) for _ in range(2)]
    assert all(torch.equal(fresh[0][n], fresh[1][n]) for n in params)


@pytest.mark.parametrize("kind", MODELS)
def test_gradients_are_finite_differences(kind: str) -> None:
    model, params = made(kind)
    x, d = points(20)
    generator = torch.Generator().manual_seed(9)
    weight = torch.randn(20, 4, generator=generator, dtype=torch.float64)

    def value(p: dict[str, torch.Tensor]) -> torch.Tensor:
        rgb, log_sigma = model.query(p, x, d)
        return (weight * torch.cat([rgb, log_sigma[:, None]], -1)).sum()

    leaves = {n: v.clone().requires_grad_(True) for n, v in params.items()}
    value(leaves).backward()
    step = 1e-6
    for name, leaf in leaves.items():
        along = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        moved = [value({**params, name: params[name] + s * step * along}) for s in (1, -1)]
        expected = float(moved[0] - moved[1]) / (2 * step)
        assert leaf.grad is not None
        assert float((leaf.grad * along).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-6), name


def test_hash_grid_equals_its_formula() -> None:
    """One point at a time, in plain Python (Müller et al. 2022, Eq. 2 to 4)."""
    model = HashGrid(**SMALL["hashgrid"])
    x, _ = points(12)
    index, weight = model.lookup(x)
    for n, point in enumerate(x.tolist()):
        for level, cells in enumerate(model.resolutions):
            found: dict[int, float] = {}
            for bits in itertools.product((0, 1), repeat=3):
                low = [min(int(p * cells), cells - 1) for p in point]
                at = [a + b for a, b in zip(low, bits, strict=True)]
                w = math.prod(
                    (p * cells - a) if b else 1 - (p * cells - a)
                    for p, a, b in zip(point, low, bits, strict=True)
                )
                if (cells + 1) ** 3 <= 256:
                    row = at[0] + (cells + 1) * (at[1] + (cells + 1) * at[2])
                else:
                    row = (at[0] ^ at[1] * 2654435761 ^ at[2] * 805459861) % 256
                found[level * 256 + row] = found.get(level * 256 + row, 0.0) + w
            ours: dict[int, float] = {}
            for row, w in zip(index[n, level].tolist(), weight[n, level].tolist(), strict=True):
                ours[row] = ours.get(row, 0.0) + w
            assert ours.keys() == found.keys()
            assert all(ours[row] == pytest.approx(found[row]) for row in ours)
    assert 0 < (model.resolutions[0] + 1) ** 3 <= 256 < (model.resolutions[-1] + 1) ** 3


def _interpolated(values: np.ndarray, at: list[float]) -> np.ndarray:
    """Multilinear interpolation of (size, ..., c) at coordinates in [0, 1]."""
    for p in at:
        place = p * (len(values) - 1)
        low = min(int(place), len(values) - 2)
        values = values[low] * (1 - (place - low)) + values[low + 1] * (place - low)
    return values


def test_vector_matrix_equals_its_sum() -> None:
    model: VectorMatrix = make_model("vm", SMALL["vm"])  # type: ignore[assignment]
    _, params = made("vm")
    x, _ = points(10)
    got = model.log_density(params, x)
    n = model.size
    for point, value in zip(x.tolist(), got.tolist(), strict=True):
        total = 0.0
        for k, (a, b, c) in enumerate(((0, 1, 2), (0, 2, 1), (1, 2, 0))):
            plane = params[f"density.plane{k}"].numpy().reshape(n, n, -1)
            line = params[f"density.line{k}"].numpy()
            total += float(
                (_interpolated(plane, [point[a], point[b]]) * _interpolated(line, [point[c]])).sum()
            )
        assert value == pytest.approx(total)


def test_vectors_equal_their_sum_and_the_grid_its_interpolation() -> None:
    cp: Vectors = make_model("cp", SMALL["cp"])  # type: ignore[assignment]
    _, params = made("cp")
    x, _ = points(10)
    grid, values = made("grid")
    cube = values["values"].numpy().reshape(*[grid.size] * 3, -1)
    lines = [params[f"density.line{k}"].numpy() for k in range(3)]
    for point, a, b in zip(
        x.tolist(), cp.log_density(params, x), grid.log_density(values, x), strict=True
    ):
        parts = [_interpolated(line, [p]) for line, p in zip(lines, point, strict=True)]
        assert float(a) == pytest.approx(float(np.prod(parts, 0).sum()))
        assert float(b) == pytest.approx(float(_interpolated(cube, point)[0]))


def test_harmonics_are_orthonormal() -> None:
    """Over the sphere, by a product of Gauss's rule and an even one, which is exact here."""
    z, w = np.polynomial.legendre.leggauss(8)
    phi = np.arange(16) * np.pi / 8
    r = np.sqrt(1 - z * z)[:, None]
    d = np.stack([r * np.cos(phi), r * np.sin(phi), z[:, None] + 0 * phi], -1).reshape(-1, 3)
    weight = np.repeat(w, 16) * np.pi / 8
    values = spherical_harmonics(torch.from_numpy(d), 4).numpy()
    np.testing.assert_allclose((values * weight[:, None]).T @ values, np.eye(16), atol=1e-12)


def test_encoding_of_positions() -> None:
    x = torch.tensor([[0.5, 0.75, 0.0]], dtype=torch.float64)
    got = encode(x, 2)[0]
    y = [0.0, 0.5, -1.0]
    sines = [math.sin(math.pi * 2**k * v) for k in range(2) for v in y]
    cosines = [math.cos(math.pi * 2**k * v) for k in range(2) for v in y]
    torch.testing.assert_close(got, torch.tensor([*y, *sines, *cosines], dtype=torch.float64))


def test_density_comes_back_from_where_its_gradient_would_overflow() -> None:
    x = torch.tensor([-3.0, 2.0, 100.0], requires_grad=True)
    value = density(x)
    value.sum().backward()
    assert value[:2].tolist() == pytest.approx([math.exp(-3), math.exp(2)])
    assert x.grad is not None and torch.isfinite(x.grad).all() and torch.isfinite(value).all()
    assert x.grad[:2].tolist() == pytest.approx(value[:2].tolist())
