"""Scatterers of scenes: radar cross sections, spreading, walls, mirrors and moving shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.device.drjit import activate
from etendue.render.radar.cast import Deforming, Moves, Pose, Rigid
from etendue.render.radar.link import Link
from etendue.render.radar.material import MATERIALS, Material
from etendue.render.radar.scatter import Casting, Look, joined, scatterers_of, thinned
from etendue.render.radar.sensor import Radar
from etendue.render.radar.signal import Points, scatterers

EVEN = Radar(link=Link(azimuth=1e5, elevation=1e5))  # the same gain wherever a test looks
LAMBDA = EVEN.waveform.wavelength
CONDUCTOR = Material(1.0, 1e9, opaque=True)
TABLE = {**MATERIALS, "metal": CONDUCTOR, "plasterboard": CONDUCTOR}
ALL = 10**6


def scene(**shapes: dict[str, Any]) -> Any:
    return activate().load_dict({"type": "scene", **shapes})


def plate(at: Any, toward: Any, sides: tuple[float, float]) -> dict[str, Any]:
    """A rectangle whose normal looks in a direction; its second side is as upright as can be."""
    transform = activate().ScalarTransform4f
    up = [0, 0, 1] if abs(np.asarray(toward)[2]) < 0.9 else [0, 1, 0]
    frame = transform().look_at(origin=list(at), target=list(np.add(at, toward)), up=up)
    return {
        "type": "rectangle",
        "to_world": frame @ transform().scale([sides[0] / 2, sides[1] / 2, 1]),
    }


def ball(at: Any, radius: float) -> dict[str, Any]:
    return {"type": "sphere", "center": list(at), "radius": radius}


def look(scene: Any, moves: Moves | None = None, **more: Any) -> Look:
    return Look(scene, EVEN, Pose(), moves, **{"table": TABLE, **more})


def rays(half: float, count: int, **more: Any) -> Casting:
    """A square of rays out to so many radians to either side."""
    angle = float(2 * np.degrees(half))
    return Casting((count, count), angle, angle, **{"layers": 1, "most": ALL, **more})


def echo(points: Points) -> complex:
    """What the middle of the array gets at the middle of the band."""
    out = np.linalg.norm(points.there.places, axis=1)
    back = np.linalg.norm((points.back or points.there).places, axis=1)
    return complex(np.sum(points.amplitudes * np.exp(2j * np.pi * (out + back) / LAMBDA)))


def cross_section(points: Points, distance: float) -> float:
    """The RCS (m^2) that a point at this distance would need for the same echo."""
    ahead = np.array([[distance, 0, 0]])
    return float((abs(echo(points)) / EVEN.link.received(LAMBDA, ahead, ahead)[0]) ** 2)


def decibel(a: float, b: float) -> float:
    return float(10 * np.log10(a / b))


@pytest.mark.parametrize("radius", [0.05, 0.1, 0.3])
def test_sphere(radius: float) -> None:
    """pi a^2, for a sphere that is much larger than the wavelength."""
    here = look(scene(metal=ball([10 + radius, 0, 0], radius)))
    found = scatterers_of(here, rays(1.1 * radius / 10, 150))
    assert abs(decibel(cross_section(found, 10.0), np.pi * radius**2)) < 1


@pytest.mark.parametrize("sides", [(0.05, 0.05), (0.2, 0.1), (0.1, 0.3)])
def test_plate(sides: tuple[float, float]) -> None:
    """4 pi A^2 / lambda^2, from far away."""
    far = 100.0
    found = scatterers_of(look(scene(metal=plate([far, 0, 0], [-1, 0, 0], sides))),
                          rays(0.6 * max(sides) / far, 120))  # fmt: skip
    wanted = 4 * np.pi * (sides[0] * sides[1]) ** 2 / LAMBDA**2
    assert abs(decibel(cross_section(found, far), wanted)) < 1


@pytest.mark.parametrize("degrees", [0.5, 1.0, 1.5, 3.1])
def test_turned_plate(degrees: float) -> None:
    """(sin x / x)^2 with x = k L sin(angle): two lobes and what lies between them."""
    side, far, angle = 0.05, 50.0, np.radians(degrees)
    toward = [-np.cos(angle), np.sin(angle), 0.0]
    found = scatterers_of(look(scene(metal=plate([far, 0, 0], toward, (side, side)))),
                          rays(0.6 * side / far, 150))  # fmt: skip
    full = 4 * np.pi * side**4 / LAMBDA**2
    lobes = (np.cos(angle) * np.sinc(2 * side * np.sin(angle) / LAMBDA)) ** 2
    assert cross_section(found, far) / full == pytest.approx(lobes, abs=0.02)


def test_dihedral() -> None:
    """8 pi a^2 b^2 / lambda^2 for two plates at a right angle, by their double bounce alone."""
    side, far = 0.1, 60.0
    s = np.sqrt(0.5)
    middle = far - side * s / 2  # of both plates, whose common edge is at `far`
    both = scene(
        metal_a=plate([middle, side * s / 2, 0], [-s, -s, 0], (side, side)),
        metal_b=plate([middle, -side * s / 2, 0], [-s, s, 0], (side, side)),
    )
    found = scatterers_of(look(both), rays(0.8 * side / far, 200, bounces=1))
    wanted = 8 * np.pi * side**4 / LAMBDA**2
    assert abs(decibel(cross_section(found, far), wanted)) < 1
    alone = scatterers_of(look(both), rays(0.8 * side / far, 200))
    assert cross_section(alone, far) < 1e-3 * wanted


def test_power_falls_with_the_fourth_power_of_the_distance() -> None:
    powers = []
    for far in (5.0, 10.0, 20.0):
        here = look(scene(metal=ball([far + 0.1, 0, 0], 0.1)))
        powers.append(abs(echo(scatterers_of(here, rays(0.12 / far, 100)))) ** 2)
    assert decibel(powers[0], powers[1]) == pytest.approx(40 * np.log10(2), abs=0.5)
    assert decibel(powers[1], powers[2]) == pytest.approx(40 * np.log10(2), abs=0.5)


def test_a_rough_plate_scatters_as_lambert_does() -> None:
    """Its mean power is 4 rho A cos^2, from any side."""
    table = {**TABLE, "metal": Material(1.0, 1e9, roughness=5e-3, opaque=True)}
    for angle in (0.0, np.radians(50)):
        toward = [-np.cos(angle), np.sin(angle), 0.0]
        here = look(scene(metal=plate([3, 0, 0], toward, (0.3, 0.3))), table=table)
        powers = [cross_section(scatterers_of(here, rays(0.06, 40, seed=seed)), 3.0)
                  for seed in range(60)]  # fmt: skip
        wanted = 4 * 0.09 * np.cos(angle) ** 2
        assert np.mean(powers) == pytest.approx(wanted, rel=4 / np.sqrt(60))


def through_wall(**wall: Any) -> tuple[float, float]:
    """Amplitude and distance of a sphere behind a wall, as parts of those without it."""
    target = ball([4.1, 0, 0], 0.1)
    free = scatterers_of(look(scene(metal=target)), rays(0.03, 120))
    shapes = wall.pop("shapes")
    here = look(scene(metal=target, **shapes), **wall)
    behind = scatterers_of(here, rays(0.03, 120, layers=4))
    far = np.linalg.norm(behind.there.places, axis=1)
    late = np.flatnonzero(far > 3.5)
    part = Points(behind.there.chosen(late), behind.amplitudes[late])
    nearest = np.linalg.norm(free.there.places, axis=1).min()
    return abs(echo(part)) / abs(echo(free)), float(far[late].min() - nearest)


def test_walls_weaken_and_delay() -> None:
    """(1 - Gamma^2)^2 and the loss inside, twice; n - 1 times the thickness of delay."""
    wood = Material(2.0, 0.0005, 1.0)
    f, d = EVEN.waveform.centre, 0.05
    left, longer = wood.through(f, np.array(d))
    wanted = (1 - wood.reflected(f) ** 2) ** 2 * left**2
    sheet = {"shapes": {"wood": plate([2, 0, 0], [-1, 0, 0], (2, 2))},
             "table": {**TABLE, "wood": Material(2.0, 0.0005, 1.0, thickness=d)}}  # fmt: skip
    thin = activate().ScalarTransform4f().translate([2, 0, 0]).scale([d / 2, 1, 1])
    box = {"shapes": {"wood": {"type": "cube", "to_world": thin}}, "table": {**TABLE, "wood": wood}}
    for wall in (sheet, box):
        amplitude, delay = through_wall(**wall)
        assert amplitude == pytest.approx(wanted, rel=0.05)
        assert delay == pytest.approx(longer, rel=0.1)


def test_nothing_comes_through_metal() -> None:
    here = look(scene(a=ball([4.1, 0, 0], 0.1), metal=plate([2, 0, 0], [-1, 0, 0], (2, 2))))
    found = scatterers_of(here, rays(0.03, 60, layers=4))
    assert np.linalg.norm(found.there.places, axis=1).max() < 2.1


def test_a_mirror_shows_a_sphere_twice() -> None:
    """Behind a metal wall as if it stood there, and halfway between with the way straight back."""
    wall = plate([3, 1.0, 0], [0, -1, 0], (6, 2))
    here = look(scene(metal=wall, ball_metal=ball([3, 0, 0], 0.1)))
    wide = Casting((700, 80), 100, 8, layers=1, bounces=1, most=ALL)
    found = scatterers_of(here, wide)
    assert found.back is not None
    out, back = (np.linalg.norm(t.places, axis=1) for t in (found.there, found.back))
    mirrored = np.array([3, 2.0, 0])
    ghost = np.linalg.norm(found.there.places - mirrored, axis=1) < 0.11
    both_ways = ghost & (np.abs(out - back) < 1e-9)
    assert both_ways.any()
    part = Points(found.there.chosen(np.flatnonzero(both_ways)), found.amplitudes[both_ways])
    there = mirrored[None] * (1 - 0.1 / np.linalg.norm(mirrored))
    wanted = abs(EVEN.link.received(LAMBDA, there, there)[0]) * np.sqrt(np.pi) * 0.1
    assert abs(2 * decibel(abs(echo(part)), wanted)) < 1
    one_way = np.abs(out - back) > 0.3
    lengths = (out + back)[one_way & (ghost | (out < 3.2))]
    assert lengths.min() >= 2.9 + np.linalg.norm(mirrored) - 0.11
    swapped = np.sort(out[one_way]) - np.sort(back[one_way])
    assert np.abs(swapped).max() < 1e-9, "there and back may be exchanged"


def test_moving_shapes() -> None:
    moves = {"metal": Rigid((0.3, 0, 0), (0, 0, 2.0), (3.1, 0, 0))}
    found = scatterers_of(look(scene(metal=ball([3.1, 0, 0], 0.1)), moves), rays(0.03, 40))
    arm = found.there.places - [3.1, 0, 0]
    turned = np.stack([-2 * arm[:, 1], 2 * arm[:, 0], 0 * arm[:, 0]], -1)
    np.testing.assert_allclose(found.there.velocities, turned + np.array([0.3, 0, 0]), atol=1e-5)
    inward = np.stack([-4 * arm[:, 0], -4 * arm[:, 1], 0 * arm[:, 0]], -1)
    np.testing.assert_allclose(found.there.accelerations, inward, atol=1e-5)


def test_a_deforming_mesh_moves_where_its_vertices_do(tmp_path: Any) -> None:
    import trimesh

    mesh = trimesh.creation.box((0.2, 0.4, 0.4))
    mesh.apply_translation([2.1, 0, 0])
    path = tmp_path / "box.ply"
    mesh.export(path)
    here = scene(metal={"type": "ply", "filename": str(path)})
    vertices = np.array(activate().traverse(here)["metal.vertex_positions"]).reshape(-1, 3)
    move = Deforming(vertices * [0, 1.0, -2.0], np.full_like(vertices, 0.5))
    found = scatterers_of(look(here, {"metal": move}), rays(0.08, 30))
    np.testing.assert_allclose(found.there.velocities, found.there.places * [0, 1, -2], atol=1e-5)
    np.testing.assert_allclose(found.there.accelerations, 0.5, atol=1e-6)
    with pytest.raises(InputError, match="motion of metal: does not fit the shape; got 8 vert"):
        scatterers_of(look(here, {"metal": Deforming(vertices[:5], vertices[:5])}), rays(0.1, 8))
    with pytest.raises(InputError, match="motion of wood: is of no shape here"):
        scatterers_of(look(here, {"wood": Rigid()}), rays(0.1, 8))


def test_a_turned_radar_sees_the_same() -> None:
    """Scene and radar moved together: places, speeds and amplitudes stay."""
    transform = activate().ScalarTransform4f
    turn = transform().translate([1, 2, 3]) @ transform().rotate([0.6, 0.8, 0], 70)
    matrix = np.array(turn.matrix)
    target = plate([3, 0.2, 0.1], [-1, 0.05, 0], (0.2, 0.2))
    moved = {**target, "to_world": turn @ target["to_world"]}
    first = scatterers_of(look(scene(metal=target), {"metal": Rigid((1, 0, 0))}), rays(0.15, 60))
    pose = Pose(matrix[:3, 3], matrix[:3, :3])
    ahead = tuple(matrix[:3, 0].tolist())
    there = Look(scene(metal=moved), EVEN, pose, {"metal": Rigid(ahead)}, table=TABLE)
    second = scatterers_of(there, rays(0.15, 60))
    assert len(first.amplitudes) == len(second.amplitudes)
    np.testing.assert_allclose(second.there.places, first.there.places, atol=1e-5)
    np.testing.assert_allclose(second.there.velocities, first.there.velocities, atol=1e-6)
    assert abs(echo(second)) == pytest.approx(abs(echo(first)), rel=0.02)


def test_thinned_sums_are_right_on_average() -> None:
    rng = np.random.default_rng(0)
    many = scatterers(rng.normal(size=(5000, 3)), np.exp(rng.normal(size=5000) * 2) + 0j)
    sums = [thinned(many, 300, seed).amplitudes.sum().real for seed in range(200)]
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - many.amplitudes.sum().real) < 4 * error + 1e-6
    few = thinned(many, 300, 0)
    assert 250 <= len(few.amplitudes) <= 350
    assert few.amplitudes.max() == many.amplitudes.max(), "the strongest are kept as they are"
    assert len(thinned(many, 5000, 0).amplitudes) == 5000
    assert len(joined([]).amplitudes) == 0


def test_an_empty_scene_scatters_nothing() -> None:
    assert len(scatterers_of(look(scene()), rays(0.5, 8)).amplitudes) == 0
