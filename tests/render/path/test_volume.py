"""Radiance fields in the path tracer: closed forms, the torch marcher, Mitsuba's `volpath`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.core.color import srgb_to_linear
from etendue.core.errors import DeviceError, InputError
from etendue.core.ztest import z_test
from etendue.field.export import sigma_grid
from etendue.field.file import Field, make_model, write_field
from etendue.field.march import STEP, render
from etendue.field.occupancy import Occupancy
from etendue.field.rays import Cube, Rays, sphere
from etendue.render.path.volume import Volume
from etendue.render.placed import Placed

from .volume_support import grid, room

TURN = np.array([[0, 0, 2.0, -1], [0, 2.0, 0, -1], [-2.0, 0, 0, 1], [0, 0, 0, 1]])  # side 2, turned


def fog(sigma: float, color: float = 0.0) -> Field:
    """As dense everywhere, per side."""
    return grid(lambda p: torch.full((len(p),), math.log(sigma)), color, 5)


def blob(p: torch.Tensor) -> torch.Tensor:
    """A soft ball off the middle."""
    return 3.0 - 40 * (p - torch.tensor([0.45, 0.5, 0.55])).square().sum(-1)


def placed(field: Field, scale: float = 1.0, turn: np.ndarray = TURN) -> Placed:
    return Placed(field, turn, scale)


@pytest.mark.parametrize("sigma", [0.5, 3.0, 7.0])
def test_a_slab_lets_through_what_it_should(mi: Any, sigma: float) -> None:
    """exp(-sigma t), and light that fills up to the colour's radiance."""
    ray = mi.Ray3f(mi.Point3f(0.3, -5.0, 0.1), mi.Vector3f(0, 1, 0))
    light, passed = Volume.of((placed(fog(sigma, 0.4), 0.5),)).light(
        ray, mi.Float(100.0), mi.Float(0.2), mi.Bool(True)
    )
    assert float(passed[0]) == pytest.approx(math.exp(-sigma), abs=1e-4)
    value = float(srgb_to_linear(np.array(0.5 / (1 + math.exp(-0.4)))))
    assert float(light.x[0]) == pytest.approx((1 - math.exp(-sigma)) * value, rel=1e-4)
    half = Volume.of((placed(fog(sigma)),)).transmittance(
        ray, mi.Float(5.0), mi.Float(0.2), mi.Bool(True)
    )
    assert float(half[0]) == pytest.approx(math.exp(-sigma / 2), abs=1e-4), "half of it"


def test_two_fields_dim_each_other(mi: Any) -> None:
    apart = TURN.copy()
    apart[1, 3] += 1.0  # they share half of their ways
    volume = Volume.of((placed(fog(2.0)), placed(fog(1.0), turn=apart)))
    ray = mi.Ray3f(mi.Point3f(0.3, -5.0, 0.1), mi.Vector3f(0, 1, 0))
    jitter = mi.Float((np.arange(64, dtype=np.float32) + 0.5) / 64)
    passed = volume.transmittance(ray, mi.Float(100.0), jitter, mi.Bool(True))
    assert -np.log(np.array(passed)).mean() == pytest.approx(3.0, rel=1e-3)


def test_turned_fields_look_as_the_marcher_sees_them(mi: Any) -> None:
    field = grid(blob, 0.7)
    generator = torch.Generator().manual_seed(0)
    origin = 0.5 + 1.4 * torch.from_numpy(sphere(300)).float()
    to = torch.rand(300, 3, generator=generator)
    rays = Rays(origin, torch.nn.functional.normalize(to - origin, dim=-1))
    wanted = render(field.model, field.params, rays, field.occupancy)
    o = TURN[:3, :3] @ rays.origin.numpy().T + TURN[:3, 3:]
    d = TURN[:3, :3] @ rays.direction.numpy().T / 2.0
    ray = mi.Ray3f(mi.Point3f(o.astype(np.float32)), mi.Vector3f(d.astype(np.float32)))
    light, passed = Volume.of((placed(field),)).light(
        ray, mi.Float(100.0), mi.Float(0.5), mi.Bool(True)
    )
    np.testing.assert_allclose(1 - np.array(passed), wanted.alpha, atol=2e-3)
    alpha = np.maximum(wanted.alpha.numpy()[:, None], 1e-6)
    linear = alpha * srgb_to_linear(wanted.rgb.numpy() / alpha)
    np.testing.assert_allclose(np.array(light).T, linear, atol=2e-3)
    assert float(wanted.alpha.max()) > 0.9 > 0.1 > float(wanted.alpha.min())


def test_a_dark_field_is_an_absorbing_medium_of_mitsuba(mi: Any) -> None:
    """The same density in a grid medium: what is seen through it, its shadow, its insides."""
    from etendue.render.path.drjit import render as trace

    field = grid(blob, size=33)
    turn = np.array([[2.0, 0, 0, -1], [0, 2.0, 0, -1], [0, 0, 2.0, -1], [0, 0, 0, 1]])
    ours = trace(room(mi), fields=(placed(field, 0.0, turn),), spp=512, seed=1, max_depth=4)
    box = mi.ScalarTransform4f().translate([-1, -1, -1]) @ mi.ScalarTransform4f().scale(2)
    sigma = sigma_grid(field, 96).transpose(2, 1, 0)[..., None]  # x fastest there
    volume = {"type": "gridvolume", "grid": mi.VolumeGrid(np.ascontiguousarray(sigma)),
              "to_world": box, "raw": True}  # fmt: skip
    medium = {"type": "heterogeneous", "sigma_t": volume, "albedo": 0.0, "scale": 0.5}
    scene = room(mi, cube={"type": "cube", "bsdf": {"type": "null"}, "interior": medium,
                             "to_world": mi.ScalarTransform4f().scale(0.9999)})  # fmt: skip
    integrator = mi.load_dict({"type": "volpath", "max_depth": 12})
    pictures = [
        np.array(mi.render(scene, integrator=integrator, spp=64, seed=k)) for k in range(12)
    ]
    mean, variance = np.mean(pictures, 0), np.var(pictures, 0, ddof=1) / len(pictures)
    result = z_test(ours.rgb, mean[..., :3], ours.variance(), variance[..., :3])
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)
    without = trace(room(mi), spp=16, seed=1, max_depth=4)
    assert (without.rgb - ours.rgb).max() > 0.2, "it is there to be seen"


def test_alpha_counts_fields(mi: Any) -> None:
    from etendue.render.path.drjit import render as trace

    film = trace(room(mi), fields=(placed(grid(blob)),), spp=4, aovs=("alpha", "depth"))
    bare = trace(room(mi), spp=4, aovs=("alpha", "depth"))
    assert (film.aovs["alpha"] >= bare.aovs["alpha"] - 1e-6).all()
    assert film.aovs["alpha"].sum() > bare.aovs["alpha"].sum()
    hidden = film.aovs["alpha"] > bare.aovs["alpha"] + 0.2
    assert hidden.any() and (film.aovs["depth"] != bare.aovs["depth"])[hidden].any()


XML = """<scene version="3.0.0">
  <sensor type="perspective"><film type="hdrfilm">
    <integer name="width" value="24"/><integer name="height" value="24"/></film>
    <transform name="to_world"><lookat origin="0,0,4" target="0,0,0" up="0,1,0"/></transform>
  </sensor>
  <emitter type="constant"/>
  <volume type="field" id="cloud"><string name="filename" value="cloud.eta"/>
    {more}</volume>
</scene>"""


def test_fields_of_files(tmp_path: Path) -> None:
    """In XML with a transform, beside any scene by its own place, and what is refused."""
    from etendue.render.build import build
    from etendue.render.job import Options, Watching, sampled
    from etendue.scene.scene import load_scene

    write_field(tmp_path / "cloud.eta", fog(3.0))
    scene = tmp_path / "s.xml"
    scene.write_text(XML.format(more='<float name="scale" value="0.5"/><transform '
                                'name="to_world"><scale value="3"/></transform>'))  # fmt: skip
    built = build(load_scene(scene, fields=(tmp_path / "cloud.eta",)))
    first, second = built.fields
    assert first.scale == 0.5 and second.scale == 1.0
    np.testing.assert_allclose(
        first.to_world,
        np.diag([6.0, 6, 6, 1])
        - 3 * np.eye(4, k=3)
        - 3 * np.array([[0] * 4, [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4]),
    )
    np.testing.assert_allclose(second.to_world[:3], [[2, 0, 0, -1], [0, 2, 0, -1], [0, 0, 2, -1]])
    with pytest.raises(DeviceError, match="need --backend drjit or slang; got mitsuba"):
        sampled("mitsuba", load_scene(scene), built, Options(spp=1), Watching())
    for more, message in (
        ('<transform name="to_world"><scale x="2"/></transform>', "cloud: is bent or mirrored"),
        ('<float name="scale" value="-1"/>', "cloud: has a scale that cannot be"),
        ('<float name="glow" value="1"/>', "cloud: has no such parameter; got glow"),
    ):
        scene.write_text(XML.format(more=more))
        with pytest.raises(InputError, match=message):
            build(load_scene(scene))
    scene.write_text(XML.format(more="").replace("cloud.eta", "rain.eta"))
    with pytest.raises(InputError, match=r"names a file that is not there; got rain\.eta"):
        build(load_scene(scene))


def test_an_empty_field_changes_nothing(mi: Any) -> None:
    from etendue.render.path.drjit import render as trace

    empty = Field(make_model("grid", {"size": 4}), {"values": torch.zeros(64, 28)},
                  Cube((0.0, 0.0, 0.0), 2.0), Occupancy(torch.zeros(32**3), 32, STEP))  # fmt: skip
    bare = trace(room(mi), spp=512, seed=2)
    assert not Volume() and Volume.of((placed(empty),))
    film = trace(room(mi), fields=(placed(empty),), spp=512, seed=3)
    result = z_test(film.rgb, bare.rgb, film.variance(), bare.variance())
    assert result.passed
