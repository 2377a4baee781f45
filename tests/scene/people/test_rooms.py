"""Rooms: equal seeds, closed walls, furniture out of the way, names of materials."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.people.rooms import CLEAR, MARGIN, Plan, furnish, grown, make_plan, nearest
from etendue.scene.people.solids import Solid, bounds
from etendue.scene.people.surfaces import MATERIALS, surface

PATH = np.array([[2.0, 0.0], [2.5, 0.5], [3.0, 0.4]])
ROOM_PARTS = ("floor", "ceiling", "wall", "lamp", "window", "door")


def furniture(solids: tuple[Solid, ...]) -> list[Solid]:
    return [s for s in solids if not s.name.startswith(ROOM_PARTS)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("through_wall", [False, True])
def test_furniture_stays_out_of_the_way(seed: int, through_wall: bool) -> None:
    plan = grown(make_plan(seed, through_wall), PATH)
    room = furnish(plan, PATH)
    assert len(room.furniture) >= 3
    for solid in furniture(room.solids):
        low, high = np.array(solid.low), np.array(solid.high)
        away = np.maximum(np.maximum(low[:2] - PATH, PATH - high[:2]), 0)
        assert np.linalg.norm(away, axis=1).min() >= CLEAR - 1e-9
        assert (low[:2] >= np.array(plan.low) - 1e-9).all()
        assert (high[:2] <= np.array(plan.high) + 1e-9).all()
        assert low[2] >= 0
        assert high[2] < plan.height


def test_equal_seeds_are_equal_rooms() -> None:
    assert furnish(make_plan(3)).solids == furnish(make_plan(3)).solids
    assert furnish(make_plan(3)).solids != furnish(make_plan(4)).solids


def test_walls_close_the_room() -> None:
    """A line in any direction from the middle meets a wall, floor, ceiling or window."""
    room = furnish(make_plan(5), count=0)
    middle = np.array([*np.mean([room.plan.low, room.plan.high], 0), 1.2])
    boxes = [(np.array(s.low), np.array(s.high)) for s in room.solids]
    rng = np.random.default_rng(0)
    for d in rng.normal(size=(300, 3)):
        t = [((low - middle) / d, (high - middle) / d) for low, high in boxes]
        enter = [np.minimum(a, b).max() for a, b in t]
        leave = [np.maximum(a, b).min() for a, b in t]
        assert any(0 < a <= b for a, b in zip(enter, leave, strict=True))


def test_a_wall_between() -> None:
    plan = make_plan(6, through_wall=True)
    assert plan.divider is not None
    x, thick, material = plan.divider
    names = [shape.name for shape in furnish(plan).shapes()]
    assert f"wall-between-{material}" in names
    assert nearest(plan) >= x + thick + MARGIN - 1e-9 > nearest(make_plan(6)) - 1
    assert make_plan(6).walls == plan.walls


def test_rooms_grow_but_not_for_ever() -> None:
    plan = make_plan(1)
    bigger = grown(plan, np.array([[1.0, 0.0], [8.0, 1.0]]))
    assert bigger.high[0] == pytest.approx(8.0 + MARGIN)
    with pytest.raises(InputError, match=r"room 1: is too small for the motion.*Cut the motion"):
        grown(plan, np.array([[1.0, 0.0], [30.0, 0.0]]))


def test_shapes_are_named_by_material() -> None:
    shapes = furnish(make_plan(2), PATH).shapes()
    names = {shape.name for shape in shapes}
    assert len(names) == len(shapes)
    assert {shape.surface.material.name for shape in shapes} <= set(MATERIALS)
    assert {"floor", "window-glass", "lamp", "door-wood"} <= {
        n if n in ("lamp",) or not n.startswith("floor") else "floor" for n in names
    }
    glowing = [shape.name for shape in shapes if shape.surface.emission is not None]
    assert glowing == ["lamp"]
    for shape in shapes:
        assert shape.mesh.faces.max() == len(shape.mesh.positions) - 1


def test_solids_are_closed_and_look_out() -> None:
    for is_round in (False, True):
        mesh = Solid("a", "wood", (1.0, 2.0, 0.0), (2.0, 4.0, 3.0), is_round).mesh()
        a, b, c = np.moveaxis(mesh.positions[mesh.faces.astype(int)].astype(float), 1, 0)
        volume = (a * np.cross(b, c)).sum() / 6
        assert volume == pytest.approx(6.0 * (np.pi / 4 if is_round else 1.0), rel=0.03)


def test_turns_and_moves() -> None:
    solid = Solid("a", "wood", (0.0, 0.0, 0.0), (1.0, 2.0, 3.0))
    assert solid.turned(1).low == (-2.0, 0.0, 0.0)
    assert solid.turned(1).high == (0.0, 1.0, 3.0)
    assert solid.turned(4) == solid
    assert bounds([solid.moved(1, 1), solid])[1].tolist() == [2.0, 3.0, 3.0]


def test_unknown_material() -> None:
    with pytest.raises(InputError, match="material: is unknown; got cheese"):
        surface("cheese", 1)


def test_plans_are_of_the_kind_that_people_live_in() -> None:
    plans: list[Plan] = [make_plan(seed) for seed in range(50)]
    sizes = np.array([np.subtract(p.high, p.low) for p in plans])
    assert sizes.min() > 3.5
    assert sizes.max() < 8
    assert all(p.low[1] < -1 and p.high[1] > 1 for p in plans)
    assert len({p.walls for p in plans}) > 20
