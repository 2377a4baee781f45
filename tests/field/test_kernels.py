"""Fields in Dr.Jit kernels against the torch models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.device.drjit import activate
from etendue.field.base import harmonics, spherical_harmonics
from etendue.field.file import MODELS, Field, make_model
from etendue.field.kernels import kernel
from etendue.field.march import STEP
from etendue.field.occupancy import Occupancy
from etendue.field.rays import Cube

SMALL: dict[str, dict[str, int]] = {
    "mlp": {"width": 24, "depth": 4, "bands": 3},
    "hashgrid": {"levels": 4, "coarsest": 3, "finest": 48, "log2_table": 9, "width": 16},
    "vm": {"size": 9, "density_rank": 3, "color_rank": 10},
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


def made(kind: str) -> Field:
    """A field whose parameters are no longer fresh."""
    model = make_model(kind, SMALL[kind])
    generator = torch.Generator().manual_seed(3)
    params = {
        n: v + 0.3 * torch.randn(v.shape, generator=generator)
        for n, v in model.init(generator).items()
    }
    return Field(model, params, Cube((0.0, 0.0, 0.0), 1.0), Occupancy.full(STEP))


@pytest.mark.parametrize("kind", MODELS)
def test_kernels_equal_the_models(kind: str) -> None:
    mi: Any = activate()
    field = made(kind)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(512, 3, generator=generator)
    x[:6] = torch.tensor([[0, 0, 0], [1, 1, 1], [0, 1, 0.5], [1, 0, 0], [0.5, 0.5, 1], [1, 0, 1]])
    d = torch.nn.functional.normalize(torch.randn(512, 3, generator=generator), dim=-1)
    with torch.no_grad():
        rgb, log_sigma = field.model.query(field.params, x, d)
    asked = kernel(mi, field)
    place, direction = mi.Point3f(x.numpy().T), mi.Vector3f(d.numpy().T)
    colors, thick = asked.query(tuple(place), tuple(direction))
    thin = asked.log_density(tuple(place))
    assert float(log_sigma.std()) > 0.1
    np.testing.assert_allclose(np.array(thick), log_sigma, atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(np.array(thin), log_sigma, atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(np.stack([np.array(c) for c in colors], -1), rgb, atol=2e-5)


def test_harmonics_of_plain_numbers_are_those_of_tensors() -> None:
    d = torch.nn.functional.normalize(torch.tensor([[0.3, -0.5, 0.8]]), dim=-1)
    plain = harmonics(*d[0].tolist(), 4)
    np.testing.assert_allclose(plain, spherical_harmonics(d, 4)[0], rtol=1e-5)
