"""Fields that the scene lights: fog as Mitsuba's `volpath` has it, solids as its diffuse shapes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.core.color import srgb_to_linear
from etendue.core.errors import InputError
from etendue.core.ztest import z_test
from etendue.field.file import write_field
from etendue.field.march import STEP
from etendue.render.path.volume import Volume
from etendue.render.placed import Placed

from .volume_support import grid

BOX = np.array([[2.0, 0, 0, -1], [0, 2.0, 0, -1], [0, 0, 2.0, -1], [0, 0, 0, 1]])
LOGIT = 0.4
ALBEDO = float(srgb_to_linear(np.array(1 / (1 + math.exp(-LOGIT)))))


def lit(log_sigma: Any, size: int) -> Placed:
    return Placed(grid(log_sigma, LOGIT, size), BOX, 1.0, True)


def fog(sigma: float) -> Placed:
    return lit(lambda p: torch.full((len(p),), math.log(sigma)), 5)


def ball(radius: float, size: int = 64) -> Placed:
    """A solid one: sigma grows from nothing to 4000 per side within two voxels."""

    def log_sigma(p: torch.Tensor) -> torch.Tensor:
        inside = radius - (p - 0.5).norm(dim=-1)
        return (math.log(1 / STEP) + 200 * inside).clamp(-8.0, 8.3)

    return lit(log_sigma, size)


def scene(mi: Any, side: int = 32, sky: float = 0.0, **more: Any) -> Any:
    look = mi.ScalarTransform4f().look_at([2.5, 1.6, 3.4], [0, 0, 0], [0, 1, 0])
    film = {"type": "hdrfilm", "width": side, "height": side, "rfilter": {"type": "box"}}
    return mi.load_dict({
        "type": "scene",
        "sensor": {"type": "perspective", "to_world": look, "fov": 45.0, "film": film},
        "lamp": {"type": "point", "position": [1.5, 3.0, 2.8], "intensity": 20.0},
        **({"sky": {"type": "constant", "radiance": sky}} if sky else {}),
        **more,
    })  # fmt: skip


def test_fog_is_a_medium_that_scatters_once(mi: Any) -> None:
    from etendue.render.path.drjit import render as trace

    ours = trace(scene(mi, sky=0.3), fields=(fog(1.5),), spp=512, seed=1, max_depth=2)
    medium = {"type": "homogeneous", "sigma_t": 1.5 / 2.0, "albedo": ALBEDO}
    theirs = scene(mi, sky=0.3, cube={"type": "cube", "bsdf": {"type": "null"}, "interior": medium})
    integrator = mi.load_dict({"type": "volpath", "max_depth": 2})
    pictures = [
        np.array(mi.render(theirs, integrator=integrator, spp=64, seed=k)) for k in range(40)
    ]
    mean, variance = np.mean(pictures, 0), np.var(pictures, 0, ddof=1) / len(pictures)
    result = z_test(ours.rgb, mean[..., :3], ours.variance(), variance[..., :3])
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)
    dark = trace(scene(mi, sky=0.3), fields=(fog(1.5),), spp=64, seed=1, max_depth=1)
    assert (ours.rgb - dark.rgb).max() > 0.02, "max_depth 1 shows no scattered light"


def test_a_solid_ball_is_a_diffuse_one(mi: Any) -> None:
    from etendue.render.path.drjit import render as trace

    diffuse = {"type": "diffuse", "reflectance": {"type": "rgb", "value": ALBEDO}}
    sphere = {"type": "sphere", "radius": 0.7, "bsdf": diffuse}
    wanted = trace(scene(mi, sphere=sphere), spp=64, max_depth=2).rgb[..., 0]
    found = trace(scene(mi), fields=(ball(0.35),), spp=256, max_depth=2).rgb[..., 0]
    bright = wanted > 0.3 * wanted.max()
    assert bright.sum() > 60
    assert np.abs(found - wanted)[bright].mean() < 0.08 * wanted[bright].mean()
    assert found[bright].mean() == pytest.approx(wanted[bright].mean(), rel=0.05)


def test_its_own_shadow_and_that_of_shapes_fall_on_it(mi: Any) -> None:
    from etendue.render.path.drjit import render as trace

    alone = trace(scene(mi), fields=(ball(0.35),), spp=64, max_depth=2).rgb
    shade = {"type": "sphere", "center": [0.75, 1.5, 1.4], "radius": 0.5}
    shaded = trace(scene(mi, shade=shade), fields=(ball(0.35),), spp=64, max_depth=2).rgb
    assert shaded[16, 16].mean() < 0.1 * alone[16, 16].mean()


def test_two_lit_fields_are_lit_once_each(mi: Any) -> None:
    """Two equal fogs in one place are one fog of twice the density."""
    from etendue.render.path.drjit import render as trace

    both = trace(scene(mi), fields=(fog(1.0), fog(1.0)), spp=256, seed=3, max_depth=2)
    one = trace(scene(mi), fields=(fog(2.0),), spp=256, seed=4, max_depth=2)
    result = z_test(both.rgb, one.rgb, both.variance(), one.variance())
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)


def test_a_lit_field_in_the_dark_gives_off_nothing(mi: Any) -> None:
    ray = mi.Ray3f(mi.Point3f(0, 0, 5), mi.Vector3f(0, 0, -1))
    light, passed = Volume.of((fog(3.0),)).light(ray, mi.Float(100.0), mi.Float(0.5), mi.Bool(True))
    assert float(light.x[0]) == 0.0
    assert float(passed[0]) == pytest.approx(math.exp(-3.0), abs=1e-4)


XML = """<scene version="3.0.0"><emitter type="constant"/>
  <sensor type="perspective"><transform name="to_world">
    <lookat origin="0,0,4" target="0,0,0" up="0,1,0"/></transform></sensor>
  <volume type="field" id="cloud"><string name="filename" value="cloud.eta"/>{more}</volume>
</scene>"""


def test_lit_in_files_and_beside_them(tmp_path: Path) -> None:
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    write_field(tmp_path / "cloud.eta", fog(3.0).field)
    path = tmp_path / "s.xml"
    path.write_text(XML.format(more='<boolean name="lit" value="true"/>'))
    built = build(load_scene(path, fields=(tmp_path / "cloud.eta",)))
    assert [field.lit for field in built.fields] == [True, False]
    path.write_text(XML.format(more=""))
    built = build(load_scene(path, fields=(tmp_path / "cloud.eta",), lit=True))
    assert [field.lit for field in built.fields] == [False, True]
    path.write_text(XML.format(more='<boolean name="glowing" value="true"/>'))
    with pytest.raises(InputError, match="has no such parameter"):
        build(load_scene(path))


def test_auxiliary_images_see_a_solid_field_as_its_shape(mi: Any) -> None:
    """Depth, position, normal and albedo of the ball; where it is not, what lies behind."""
    from etendue.render.path.drjit import render as trace

    names = ("depth", "position", "normal", "albedo", "shape_id", "alpha")
    diffuse = {"type": "diffuse", "reflectance": {"type": "rgb", "value": ALBEDO}}
    wall = {"type": "rectangle", "to_world": mi.ScalarTransform4f().translate([0, 0, -3])
            @ mi.ScalarTransform4f().scale(20)}  # fmt: skip
    sphere = {"type": "sphere", "radius": 0.7, "bsdf": diffuse}
    wanted = trace(scene(mi, wall=wall, sphere=sphere), spp=16, aovs=names).aovs
    found = trace(scene(mi, wall=wall), fields=(ball(0.35),), spp=16, aovs=names).aovs
    inside = wanted["shape_id"] == wanted["shape_id"][16, 16]
    outside = ~inside & (wanted["shape_id"] >= 0)
    middle = np.zeros_like(inside)
    middle[14:18, 14:18] = True
    assert inside[middle].all()
    np.testing.assert_allclose(found["depth"][middle], wanted["depth"][middle], atol=0.05)
    np.testing.assert_allclose(found["position"][middle], wanted["position"][middle], atol=0.06)
    assert (found["normal"] * wanted["normal"]).sum(-1)[middle].min() > 0.9
    np.testing.assert_allclose(found["albedo"][middle], ALBEDO, atol=1e-3)
    assert (found["shape_id"][middle] == -1).all() and (found["alpha"][middle] > 0.99).all()
    corner = np.zeros_like(inside)
    corner[:4, :4] = True
    assert outside[corner].all()
    for name in ("depth", "position", "normal", "albedo", "alpha"):
        np.testing.assert_array_equal(found[name][corner], wanted[name][corner], err_msg=name)


def test_auxiliary_images_of_fog_are_means(mi: Any) -> None:
    """The mean distance at which light is taken, where nothing lies behind: a closed form."""
    from etendue.render.path.volume_event import seen

    ray = mi.Ray3f(mi.Point3f(0.1, 0.2, 5.0), mi.Vector3f(0, 0, -1))
    n = 1 << 16
    rng = mi.PCG32(size=n)
    found = seen(Volume.of((fog(3.0),)), ray, mi.Float(np.full(n, 100.0, np.float32)), rng)
    hit, t = np.array(found.hit), np.array(found.t) - 4.0
    share = 1 - math.exp(-3.0)
    assert hit.mean() == pytest.approx(share, abs=5 * 0.5 / math.sqrt(n))
    mean = 1 / 1.5 - 2.0 * math.exp(-3.0) / share
    assert t[hit].mean() == pytest.approx(mean, rel=0.01)
    assert np.abs(np.array(found.normal)).max() == 0
