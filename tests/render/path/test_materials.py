"""The own layered materials and a neural one: the picture does not depend on the strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.ztest import z_test

MATERIALS = Path(__file__).parents[3] / "assets" / "materials"
NAMES = ("car_paint", "glazed_ceramic", "lacquered_brushed_metal", "pearl_candy", "varnished_wood")


@pytest.fixture(autouse=True)
def default_variant() -> None:
    """Other files of the same worker may have left `scalar_rgb` active."""
    from etendue.device.drjit import activate

    activate()


def carrier(mi: Any, inline: Any) -> Any:
    """A Mitsuba BSDF that carries `inline`."""
    from etendue.bsdf.plugin import plugin

    return plugin("Carrier", lambda props: inline)(mi.Properties("carrier"))


def blocks(film: Any) -> tuple[np.ndarray, np.ndarray]:
    """Means over 4 x 4 pixels and their variances: closer to normal than single pixels."""
    shape = (film.rgb.shape[0] // 4, 4, film.rgb.shape[1] // 4, 4, 3)
    mean = film.rgb.astype(np.float64).reshape(shape).mean((1, 3))
    return mean, film.variance().reshape(shape).sum((1, 3)) / 256


def strategies_agree(mi: Any, room: Any, inline: Any) -> None:
    """z-test of light-only and BSDF-only sampling against both combined."""
    from etendue.render.path.drjit import render

    big = {"type": "sphere", "center": [-3, 4, 1], "radius": 1.8, "light": {"type": "area"}}
    side = {"type": "sphere", "center": [3, 3, 3], "radius": 1, "light": {"type": "area"}}
    floor = {"type": "twosided", "b": {"type": "diffuse"}}
    # no sky: light-only sampling of it finds the peaks of a clear coat too rarely for a z-test
    scene = room(carrier(mi, inline), floor, lamp=big, sky=side)
    both, variance = blocks(render(scene, spp=512, seed=1, max_depth=2))
    for strategy in ("light", "bsdf"):
        film = render(scene, spp=1024, seed=2, max_depth=2, strategy=strategy)
        assert film.invalid == 0
        one, other = blocks(film)
        result = z_test(one, both, other, variance)
        assert result.passed and abs(result.mean_z) < 4, (strategy, result)


@pytest.mark.parametrize("name", NAMES)
def test_layered_strategies_agree(name: str, mi: Any, room: Any) -> None:
    from etendue.bsdf.layered import Layered
    from etendue.scene.materialx import load_material

    strategies_agree(mi, room, Layered(load_material(MATERIALS / f"{name}.mtlx", None, 64)))


def test_neural_strategies_agree(mi: Any, room: Any) -> None:
    import torch

    from etendue.artifact import Artifact
    from etendue.bake.network import init_params
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.pyramid import level_offsets

    generator, rng = torch.Generator().manual_seed(4), np.random.default_rng(4)
    tensors = {k: v.numpy() for k, v in init_params("2x32", "2x16", generator).items()}
    tensors["latents"] = rng.normal(size=(level_offsets(16)[-1], 8)).astype(np.float16)
    tensors["energy"] = np.ones((33, 3), np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    header = {"kind": "material", "lod": {"resolution": 16}}
    strategies_agree(mi, room, NeuralBSDF(Artifact(header, tensors)))
