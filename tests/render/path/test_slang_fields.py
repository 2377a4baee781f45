"""Radiance fields in the shaders: as the Dr.Jit path tracer shows them, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.core.errors import InputError
from etendue.core.ztest import z_test
from etendue.device.slang import SlangDevice
from etendue.field.file import Field, make_model
from etendue.field.march import STEP
from etendue.field.occupancy import survey
from etendue.field.rays import Cube
from etendue.render.path.slang_scene import extract
from etendue.render.placed import Placed

from .slang_support import needs, render
from .volume_support import room

TURN = np.array([[0, 0, 2.0, -1], [0, 2.0, 0, -1], [-2.0, 0, 0, 1], [0, 0, 0, 1]])
SIZES = {
    "grid": {"size": 9},
    "hashgrid": {"levels": 5, "coarsest": 4, "finest": 24, "log2_table": 9, "width": 24},
}


def placed(kind: str, scale: float = 1.0, *, lit: bool = False, contracted: bool = False) -> Placed:
    """A cloud with colours that change with the direction."""
    model: Any = make_model(kind, SIZES.get(kind))
    generator = torch.Generator().manual_seed(5)
    params = model.init(generator)
    if kind == "grid":
        params["values"] = 1.5 * torch.randn(params["values"].shape, generator=generator)
    elif kind == "hashgrid":
        params["table"] = 2.0 * torch.randn(params["table"].shape, generator=generator)
    found = survey(lambda x: model.log_density(params, x), STEP, 0, contracted=contracted)
    field = Field(model, params, Cube((0.0, 0.0, 0.0), 2.0), found, "cloud", 1.5)
    return Placed(field, TURN, scale, lit)


def agree(mi: Any, device: SlangDevice, fields: tuple[Placed, ...], **options: Any) -> None:
    from etendue.render.path.drjit import render as twin

    scene = room(mi, 24)
    ours = render(device, scene, fields=fields, spp=16, seed=1, max_depth=3, **options)
    theirs = twin(scene, fields=fields, spp=96, seed=77, max_depth=3)
    assert ours.invalid == 0
    result = z_test(ours.rgb, theirs.rgb, ours.variance(), theirs.variance())
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)
    bare = twin(scene, spp=32, seed=5, max_depth=3)
    assert np.abs(bare.rgb - theirs.rgb).mean() > 0.02, "they are there to be seen"


@pytest.mark.parametrize("kind", SIZES)
def test_a_field_looks_the_same(mi: Any, vulkan: SlangDevice, kind: str) -> None:
    agree(mi, vulkan, (placed(kind),), tracer="bvh")


def test_two_fields_in_one_place(mi: Any, vulkan: SlangDevice) -> None:
    agree(mi, vulkan, (placed("grid", 0.5), placed("hashgrid")))


def test_in_the_pipeline_of_kernels(mi: Any, vulkan: SlangDevice) -> None:
    needs(vulkan, "bvh")
    agree(mi, vulkan, (placed("grid"),), tracer="bvh", kernel="wavefront")


def test_one_ray_to_the_bit_of_rounding(mi: Any, vulkan: SlangDevice) -> None:
    """Without light but its own, and no surface: the mean over equal camera rays is the same."""
    from etendue.render.path.drjit import render as twin

    look = mi.ScalarTransform4f().look_at([2.5, 1.6, 3.4], [0, 0, 0], [0, 1, 0])
    film = {"type": "hdrfilm", "width": 12, "height": 12, "rfilter": {"type": "box"}}
    scene = mi.load_dict({
        "type": "scene",
        "sensor": {"type": "perspective", "to_world": look, "fov": 50.0, "film": film},
    })  # fmt: skip
    for kind in SIZES:
        options = {"fields": (placed(kind),), "spp": 8, "seed": 3, "max_depth": 2}
        ours, theirs = render(vulkan, scene, tracer="bvh", **options), twin(scene, **options)
        np.testing.assert_allclose(ours.rgb, theirs.rgb, atol=2e-3)


def test_what_shaders_lack_is_named(mi: Any, vulkan: SlangDevice) -> None:
    scene = room(mi, 24)
    for field, told in (
        (placed("vm"), "field cloud: is of a kind that shaders lack; got vm"),
        (placed("grid", lit=True), "is lit by the scene, which shaders cannot do"),
        (placed("grid", contracted=True), "has no bounds, which shaders cannot do"),
    ):
        with pytest.raises(InputError, match=told):
            extract(scene, None, (field,))
    with pytest.raises(InputError, match="aov depth: does not see radiance fields here"):
        render(vulkan, scene, fields=(placed("grid"),), spp=1, aovs=("depth",))
