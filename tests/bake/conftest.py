"""Tiny materials and bakes that the tests of the bake share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from etendue.bake.settings import BakeSettings
from etendue.device.drjit import activate
from etendue.scene.material import (
    WHITE,
    Channel,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Stack,
)

RESOLUTION = 16
TINY = BakeSettings(
    arch="2x16", resolution=RESOLUTION, steps=20, texels=64, pool=2, reuse=3, pairs=4, walks=4
)


def painted(resolution: int = RESOLUTION) -> LayeredMaterial:
    """A coat over paint whose colour differs from texel to texel."""
    rng = np.random.default_rng(0)
    data = rng.uniform(0.1, 0.9, (resolution, resolution, 3)).astype(np.float32)
    coat = Layer(LayerKind.DIELECTRIC, "coat", alpha=(0.2, 0.2))
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(Channel(0), Channel(1), Channel(2)))
    return LayeredMaterial(
        "painted",
        (coat, base),
        (Stack(WHITE, (0, 1)),),
        ParameterTexture(("r", "g", "b"), data),
        source_hash="a" * 64,
    )


def plain() -> LayeredMaterial:
    """A constant coat over constant paint."""
    coat = Layer(LayerKind.DIELECTRIC, "coat", alpha=(0.3, 0.3))
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(0.6, 0.4, 0.2))
    return LayeredMaterial("plain", (coat, base), (Stack(WHITE, (0, 1)),), source_hash="b" * 64)


def matte(albedo: float = 0.5) -> LayeredMaterial:
    """Lambert's f = albedo / pi, constant."""
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(albedo, albedo, albedo))
    return LayeredMaterial("matte", (base,), (Stack(WHITE, (0,)),), source_hash="c" * 64)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads, much slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _mitsuba() -> None:
    activate()
