"""Unbounded fields: the contraction, how rays are walked, and that surroundings are learned."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from etendue.bake.field_distill import convert
from etendue.bake.field_fit import FieldSettings
from etendue.bake.field_train import psnr, train
from etendue.core.errors import InputError
from etendue.field.data import Dataset, Photos
from etendue.field.edit import edited
from etendue.field.export import mesh
from etendue.field.file import Field, make_model, read_field
from etendue.field.march import STEP, place, render
from etendue.field.occupancy import Occupancy, survey
from etendue.field.rays import Cube, Rays, View, look_at, sphere
from etendue.field.space import FAR, bend, contract, ends, expand, stretched

SIZES = {"levels": 4, "coarsest": 8, "finest": 48, "log2_table": 12, "width": 32}


def test_what_lies_in_the_cube_fills_the_middle() -> None:
    x = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(contract(x), 0.25 + 0.5 * x)


def test_expansion_is_the_inverse_and_all_of_space_has_a_place() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2000, 3, generator=generator) * torch.logspace(-1, 2, 2000)[:, None]
    u = contract(x)
    assert u.min() > 0 and u.max() < 1
    torch.testing.assert_close(expand(u), x, rtol=1e-3, atol=1e-4)
    far = torch.tensor([[1e30, 0.5, 0.5], [-1e30, -1e30, 3.0]])
    torch.testing.assert_close(contract(far), torch.tensor([[1.0, 0.5, 0.5], [0.0, 0.0, 0.5]]))


def test_the_contraction_has_no_seam() -> None:
    """Its derivative is continuous where the cube ends, along the axis that leaves it."""
    edge = torch.tensor([[1.0, 0.6, 0.4]], dtype=torch.float64)
    h = torch.tensor([[1e-5, 0.0, 0.0]], dtype=torch.float64)
    inside, outside = (contract(edge) - contract(edge - h)), (contract(edge + h) - contract(edge))
    torch.testing.assert_close(inside[:, 0], outside[:, 0], rtol=1e-4, atol=0)


def rays(count: int = 200) -> Rays:
    generator = torch.Generator().manual_seed(2)
    d = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return Rays(0.5 + torch.randn(count, 3, generator=generator), d)


def test_steps_fill_a_ray_up_to_its_end() -> None:
    own = rays()
    found = place(own, Occupancy.full(STEP, contracted=True))
    bent = bend(own.origin, own.direction)
    whole = torch.zeros(len(own)).index_add(0, found.ray, found.dt)
    torch.testing.assert_close(whole, bent + FAR, rtol=1e-4, atol=1e-3)
    near = found.t + found.dt < bent[found.ray]
    assert found.dt[near].max() < 1.01 * STEP and found.dt[~near].max() > 50 * STEP
    torch.testing.assert_close(stretched(ends(bent), bent), bent + FAR, rtol=1e-4, atol=1e-3)
    first = found.ray == 0
    assert (found.t[first].diff() > 0).all()
    x = own.origin[0] + found.t[first][:, None] * own.direction[0]
    torch.testing.assert_close(contract(x), found.x[first])


def test_fog_everywhere_is_exponential_in_the_world(tmp_path: Path) -> None:
    """The same closed form as in a cube, over a hundred times the distance."""
    model = make_model("grid", {"size": 4})
    values = torch.zeros(64, 28)
    values[:, 0] = math.log(0.02)
    own = rays(50)
    occupancy = Occupancy.full(STEP, contracted=True)
    seen = render(model, {"values": values}, own, occupancy)
    wanted = 1 - torch.exp(-0.02 * (bend(own.origin, own.direction) + FAR))
    torch.testing.assert_close(seen.alpha, wanted, rtol=2e-3, atol=1e-3)


def world(origin: Tensor, d: Tensor) -> Tensor:
    """A checkered ball of radius 0.3 in the cube's middle, in a room 12 sides wide."""
    o = origin - 0.5
    b = (o * d).sum(-1)
    inside = b * b - (o * o).sum(-1) + 0.09
    ball = (inside > 0) & (b < 0)
    hit = o + (-b - inside.clamp(min=0).sqrt())[:, None] * d
    checks = ((hit * 6).floor().sum(-1) % 2)[:, None]
    near = torch.tensor([0.9, 0.3, 0.2]) * checks + torch.tensor([0.2, 0.3, 0.9]) * (1 - checks)
    t = ((6.0 * d.sign() - o) / torch.where(d.abs() < 1e-9, 1e-9, d)).amin(-1)
    wall = o + t[:, None] * d
    stripes = 0.5 + 0.4 * torch.sin(wall * torch.tensor([0.35, 0.25, 0.45]))
    return torch.where(ball[:, None], near, stripes)


def photos(count: int, lift: float) -> Photos:
    views, pictures = [], []
    for away in sphere(count):
        view = View(look_at(0.5 + 1.1 * away + [0, lift, 0], (0.5, 0.5, 0.5)),
                    40, 40, (20.0, 20.0), (20.0, 20.0))  # fmt: skip
        seen = view.rays(UNIT)
        rgb = world(seen.origin, seen.direction).reshape(40, 40, 3)
        views.append(view)
        pictures.append(torch.cat([rgb, torch.ones(40, 40, 1)], -1).numpy())
    return Photos(tuple(views), tuple(pictures), tuple(map(str, range(count))))


UNIT = Cube((0.5, 0.5, 0.5), 1.0)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The room learned with its surroundings, and without."""
    folder = tmp_path_factory.mktemp("room")
    data = Dataset(photos(40, 0.0), photos(5, 0.15), UNIT, 1.1)
    model, plan = make_model("hashgrid", SIZES), FieldSettings(steps=160, rays=160)
    made = {
        name: train(data, model, plan, folder / f"{name}.eta", unbounded=name == "all")
        for name in ("all", "cube")
    }
    return {"data": data, "folder": folder, **made}


def test_surroundings_are_learned(learned: dict[str, Any]) -> None:
    whole, cube = (psnr(learned[name], learned["data"].test) for name in ("all", "cube"))
    assert whole > 19 and whole > cube + 8, (whole, cube)
    again = read_field(learned["folder"] / "all.eta")
    assert again.occupancy.contracted and not learned["cube"].occupancy.contracted
    assert psnr(again, learned["data"].test) == pytest.approx(whole, abs=0.01)


def test_it_becomes_another_kind_of_field(learned: dict[str, Any]) -> None:
    model, plan = make_model("vm", {"size": 32}), FieldSettings(steps=160, rays=96)
    made = convert(learned["all"], model, plan, learned["folder"] / "vm.eta")
    assert made.occupancy.contracted
    assert made.info["psnr_teacher_db"] > 24


def test_its_mesh_is_that_of_the_cube_and_it_cannot_be_cut(learned: dict[str, Any]) -> None:
    made = mesh(learned["all"], 32, 0.05)
    assert made.vertices.min() > -0.05 and made.vertices.max() < 1.05
    with pytest.raises(InputError, match="does not know fields without bounds"):
        edited(learned["all"], "cut", [0, 0, 0, 0.5, 0.5, 0.5])


def test_the_path_tracer_sees_what_the_marcher_sees() -> None:
    import mitsuba as mi

    from etendue.device.drjit import activate
    from etendue.render.path.volume import Volume
    from etendue.render.placed import Placed

    activate()
    model = make_model("grid", {"size": 24})
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(24**3, 28, generator=generator)
    values[:, 0] = 1.5 * values[:, 0] - 5.0
    params = {"values": values}
    found = survey(lambda x: model.log_density(params, x), STEP, 0, contracted=True)
    field = Field(model, params, UNIT, found, "wild", 1.5)
    own = rays(300)
    wanted = render(model, params, own, found)
    turn = np.array([[2.0, 0, 0, 1], [0, 2.0, 0, -3], [0, 0, 2.0, 0], [0, 0, 0, 1]])
    o = 2.0 * own.origin.numpy() + turn[:3, 3]
    ray = mi.Ray3f(mi.Point3f(o.T.copy()), mi.Vector3f(own.direction.numpy().T.copy()))
    light, passed = Volume.of((Placed(field, turn),)).light(
        ray, mi.Float(np.inf), mi.Float(0.5), mi.Bool(True)
    )
    np.testing.assert_allclose(1 - np.array(passed), wanted.alpha, atol=3e-3)
    assert np.array(light).shape == (3, 300) and wanted.alpha.std() > 0.005
    half = Volume.of((Placed(field, turn),)).transmittance(
        ray, mi.Float(1.0), mi.Float(0.5), mi.Bool(True)
    )
    assert (np.array(half) >= np.array(passed) - 1e-5).all()
