"""Furnished rooms by number: floor, ceiling, four walls with a window and a door, furniture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.mesh import Mesh
from etendue.scene.people.furniture import AT_WALLS, FREE, piece
from etendue.scene.people.solids import Solid, bounds
from etendue.scene.people.surfaces import surface
from etendue.scene.scene import Shape

WALLS = ("plasterboard", "concrete", "brick", "wood")
FLOORS = ("wood", "tile", "concrete")
BEHIND = 0.4  # m from the sensor to the wall behind it
CLEAR = 0.35  # m between people and furniture
MARGIN = 0.3  # m between people and walls
LARGEST = (10.0, 9.0)  # m, along x and y
TRIES = 150
LAMP = (26.0, 25.0, 23.0)  # radiance of the panels below the ceiling


@dataclass(frozen=True)
class Plan:
    """An empty room; the sensor is at x = y = 0 and looks along x."""

    seed: int
    low: tuple[float, float]  # m, inner corner (x, y)
    high: tuple[float, float]
    height: float
    walls: tuple[str, str, str, str]  # materials: behind the sensor, left, right, in front
    thickness: float
    floor: str
    divider: tuple[float, float, str] | None = None  # x, thickness and material of a wall before


@dataclass(frozen=True)
class Room:
    """A plan with everything in it."""

    plan: Plan
    solids: tuple[Solid, ...]
    furniture: tuple[str, ...]  # what was put in

    def shapes(self) -> tuple[Shape, ...]:
        """Meshes by name and material, for pictures and for radar."""
        groups: dict[tuple[str, str], list[Mesh]] = defaultdict(list)
        for solid in self.solids:
            groups[solid.name, solid.material].append(solid.mesh())
        looks = {m: surface(m, self.plan.seed, LAMP if m == "lamp" else None) for _, m in groups}
        return tuple(
            Shape(
                f"{name}-{material}" if name != material else name, merged(found), looks[material]
            )
            for (name, material), found in groups.items()
        )


def merged(meshes: list[Mesh]) -> Mesh:
    """Several flat-shaded meshes as one."""
    starts = np.cumsum([0, *(len(mesh.positions) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(
        np.concatenate([m.positions for m in meshes]), np.concatenate(faces).astype(np.uint32)
    )


def make_plan(seed: int, through_wall: bool = False) -> Plan:
    """The empty room with this number; `through_wall` puts a wall between sensor and people."""
    rng = np.random.default_rng([seed, 0x4001])
    length, width = rng.uniform(4.8, 7.5), float(rng.uniform(3.8, 6.0))
    aside = float(rng.uniform(-0.2, 0.2) * width)
    outer = str(rng.choice(["brick", "concrete", "plasterboard"]))
    left, right, front = (str(rng.choice(WALLS)) for _ in range(3))
    thickness = rng.uniform(0.1, 0.25)
    height, floor = rng.uniform(2.4, 3.0), str(rng.choice(FLOORS))
    divider = (
        float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.08, 0.18)),
        str(rng.choice(["plasterboard", "brick", "concrete", "wood"])),
    )  # fmt: skip
    low, high = (-BEHIND, aside - width / 2), (float(length - BEHIND), aside + width / 2)
    return Plan(
        seed, low, high, float(height), (outer, left, right, front), float(thickness), floor,
        divider if through_wall else None,
    )  # fmt: skip


def nearest(plan: Plan) -> float:
    """Least x (m) that people may have: before the sensor, and behind the wall if there is one."""
    behind = 0.0 if plan.divider is None else plan.divider[0] + plan.divider[1]
    return max(1.2, behind + MARGIN)


def grown(plan: Plan, path: np.ndarray) -> Plan:
    """The plan, large enough for people at all of `path` (n, 2)."""
    low, high = path.min(0) - MARGIN, path.max(0) + MARGIN
    new = replace(
        plan,
        low=(plan.low[0], float(min(plan.low[1], low[1]))),
        high=(float(max(plan.high[0], high[0])), float(max(plan.high[1], high[1]))),
    )
    size = np.subtract(new.high, new.low)
    if (size > LARGEST).any():
        got = f"{size[0]:.1f} x {size[1]:.1f} m"
        raise InputError(
            f"room {plan.seed}", "is too small for the motion", got=got,
            expected=f"at most {LARGEST[0]:g} x {LARGEST[1]:g} m", fix="Cut the motion",
        )  # fmt: skip
    return new


def furnish(plan: Plan, path: np.ndarray | None = None, count: int | None = None) -> Room:
    """The room with 3 to 6 pieces of furniture that stay clear of `path` (n, 2), where people are.

    They do not stand between the sensor and the path either. Fewer where no place is found.
    """
    rng = np.random.default_rng([plan.seed, 0xF0])
    keep = np.zeros((0, 2)) if path is None else path
    keep = np.concatenate([keep, _views(keep)])
    wanted = int(rng.integers(3, 7)) if count is None else count
    solids, placed, taken = list(_shell(plan, rng)), [], [bounds(_door(plan))]
    for _ in range(wanted):
        for _ in range(TRIES):
            kind = str(rng.choice([*AT_WALLS, *FREE]))
            found = _somewhere(plan, kind, rng)
            low, high = bounds(found)
            if not _collides(plan, low, high, keep, taken):
                solids += found
                placed.append(kind)
                taken.append((low, high))
                break
    return Room(plan, tuple(solids), tuple(placed))


def _views(path: np.ndarray) -> np.ndarray:
    """Places (n, 2) on the lines of sight to the ends and the middle of a path, and ahead."""
    ahead = np.array([[0.8, 0.0]])
    if len(path):
        angle = np.arctan2(path[:, 1], path[:, 0])
        ends = [np.argmin(angle), np.argmax(angle), np.argsort(angle)[len(angle) // 2]]
        ahead = np.concatenate([ahead, path[ends]])
    return (ahead[:, None] * np.linspace(0.0, 1.0, 30)[:, None]).reshape(-1, 2)


def _somewhere(plan: Plan, kind: str, rng: np.random.Generator) -> list[Solid]:
    """A piece at a random place, with its back to a wall if it belongs there."""
    solids, wall = piece(kind, rng), int(rng.integers(4))
    low, high = (np.array(v) for v in bounds(solids))
    quarters = (0, 3, 1, 2)[wall] if kind in AT_WALLS else int(rng.integers(4))
    solids = [solid.turned(quarters) for solid in solids]
    low, high = bounds(solids)
    first, last = np.array(plan.low) - low[:2], np.array(plan.high) - high[:2]
    place = first + (last - first) * rng.uniform(0.02, 0.98, 2)
    if kind in AT_WALLS:
        gap = 0.03
        place = (
            np.array([first[0] + gap, place[1]]), np.array([place[0], last[1] - gap]),
            np.array([place[0], first[1] + gap]), np.array([last[0] - gap, place[1]]),
        )[wall]  # fmt: skip
    return [solid.moved(float(place[0]), float(place[1])) for solid in solids]


def _collides(
    plan: Plan, low: np.ndarray, high: np.ndarray, keep: np.ndarray,
    taken: list[tuple[np.ndarray, np.ndarray]],
) -> bool:  # fmt: skip
    nearby = np.maximum(np.maximum(low[:2] - keep, keep - high[:2]), 0.0)
    if (np.linalg.norm(nearby, axis=1) < CLEAR).any():
        return True
    if (low[:2] < np.array(plan.low) - 1e-9).any() or (high[:2] > np.array(plan.high) + 1e-9).any():
        return True
    if plan.divider is not None and low[0] < plan.divider[0] + plan.divider[1] + 0.02:
        return True
    return any(((low < b + 0.05) & (high > a - 0.05)).all() for a, b in taken)


def _shell(plan: Plan, rng: np.random.Generator) -> list[Solid]:
    """Floor, ceiling with lamps, walls, window and door."""
    (x0, y0), (x1, y1), top, d = plan.low, plan.high, plan.height, plan.thickness
    behind, left, right, front = plan.walls
    solids = [
        Solid("floor", plan.floor, (x0 - d, y0 - d, -0.2), (x1 + d, y1 + d, 0.0)),
        Solid("ceiling", "concrete", (x0 - d, y0 - d, top), (x1 + d, y1 + d, top + 0.2)),
        Solid("wall-behind", behind, (x0 - d, y0 - d, 0.0), (x0, y1 + d, top)),
        Solid("wall-right", right, (x0, y0 - d, 0.0), (x1, y0, top)),
        Solid("wall-front", front, (x1, y0 - d, 0.0), (x1 + d, y1 + d, top)),
        *_with_window(plan, left, rng),
        *_door(plan),
    ]
    places = [x0 + (x1 - x0) * share for share in (0.35, 0.75)]
    if plan.divider is not None:
        places.append(x0 + 0.35)  # the part before the wall is dark otherwise
    for x in places:
        y = (y0 + y1) / 2
        low, high = (x - 0.3, y - 0.6, top - 0.04), (x + 0.3, y + 0.6, top - 0.005)
        solids.append(Solid("lamp", "lamp", low, high))
    if plan.divider is not None:
        x, thick, material = plan.divider
        solids.append(Solid("wall-between", material, (x, y0, 0.0), (x + thick, y1, top)))
    return solids


def _with_window(plan: Plan, material: str, rng: np.random.Generator) -> list[Solid]:
    """The left wall: four parts around a pane with a frame."""
    (x0, _), (x1, y1), top, d = plan.low, plan.high, plan.height, plan.thickness
    width = min(rng.uniform(1.0, 1.8), 0.4 * (x1 - x0))
    a = x0 + (x1 - x0 - width) * rng.uniform(0.35, 0.75)
    b, sill, lintel = a + width, 0.9, 2.1
    parts = [((x0, 0.0), (a, top)), ((b, 0.0), (x1, top)), ((a, 0.0), (b, sill)),
             ((a, lintel), (b, top))]  # fmt: skip
    walls = [Solid("wall-left", material, (p, y1, z), (q, y1 + d, w)) for (p, z), (q, w) in parts]
    middle = y1 + d / 2
    pane = Solid("window", "glass", (a, middle - 0.004, sill), (b, middle + 0.004, lintel))
    frame = [
        Solid("window", "wood", (p, middle - 0.03, z), (q, middle + 0.03, w))
        for (p, z), (q, w) in (
            ((a, sill), (a + 0.05, lintel)), ((b - 0.05, sill), (b, lintel)),
            ((a, sill), (b, sill + 0.05)), ((a, lintel - 0.05), (b, lintel)),
        )
    ]  # fmt: skip
    return [*walls, pane, *frame]


def _door(plan: Plan) -> list[Solid]:
    """A closed door on the right wall, far from the sensor."""
    x, y = plan.high[0] - 1.25, plan.low[1]
    leaf = Solid("door", "wood", (x, y, 0.0), (x + 0.9, y + 0.04, 2.0))
    handle = Solid("door", "metal", (x + 0.06, y + 0.04, 1.0), (x + 0.18, y + 0.08, 1.03))
    return [leaf, handle]
