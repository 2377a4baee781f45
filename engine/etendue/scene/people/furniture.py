"""Pieces of furniture: solids around the origin, on the floor, with their backs towards -x."""

from __future__ import annotations

import numpy as np

from etendue.scene.people.solids import Solid

AT_WALLS = ("shelf", "cabinet", "sofa", "radiator")
FREE = ("table", "chair")


def piece(kind: str, rng: np.random.Generator) -> tuple[Solid, ...]:
    """A piece of one of the kinds in `AT_WALLS` and `FREE`, its sizes drawn from rng."""
    return _MAKERS[kind](rng)


def _block(
    name: str, material: str, x: float, y: float, z: float, size: tuple[float, float, float],
    is_round: bool = False,
) -> Solid:  # fmt: skip
    """A solid centred at (x, y) that stands on height z."""
    dx, dy, dz = size
    low = (x - dx / 2, y - dy / 2, z)
    return Solid(name, material, low, (x + dx / 2, y + dy / 2, z + dz), is_round)


def _legs(name: str, dx: float, dy: float, height: float, thick: float, material: str,
          is_round: bool = False) -> list[Solid]:  # fmt: skip
    return [
        _block(name, material, x, y, 0.0, (thick, thick, height), is_round)
        for x in (-dx / 2 + thick, dx / 2 - thick)
        for y in (-dy / 2 + thick, dy / 2 - thick)
    ]


def _table(rng: np.random.Generator) -> tuple[Solid, ...]:
    dx, dy, height = rng.uniform(0.6, 0.9), rng.uniform(0.9, 1.5), rng.uniform(0.7, 0.78)
    material = str(rng.choice(["wood", "metal"]))
    legs = _legs("table", dx, dy, height - 0.03, 0.06, material, material == "metal")
    return _block("table", "wood", 0, 0, height - 0.03, (dx, dy, 0.03)), *legs


def _chair(rng: np.random.Generator) -> tuple[Solid, ...]:
    side, height = rng.uniform(0.4, 0.46), rng.uniform(0.43, 0.47)
    seat = _block("chair", "fabric", 0, 0, height, (side, side, 0.05))
    back = _block("chair", "wood", -side / 2 + 0.02, 0, height + 0.05, (0.03, side, 0.42))
    return seat, back, *_legs("chair", side, side, height, 0.035, "wood")


def _shelf(rng: np.random.Generator) -> tuple[Solid, ...]:
    depth, width, height = rng.uniform(0.28, 0.35), rng.uniform(0.8, 1.2), rng.uniform(1.4, 2.0)
    boards = [
        _block("shelf", "wood", 0, 0, z, (depth, width, 0.025))
        for z in np.linspace(0.05, height - 0.025, int(rng.integers(4, 6)))
    ]
    sides = [
        _block("shelf", "wood", 0, y, 0, (depth, 0.025, height))
        for y in (-width / 2 + 0.0125, width / 2 - 0.0125)
    ]
    boxes = [
        _block("box", "plastic", 0.0, rng.uniform(-0.25, 0.25) * width, board.high[2],
               (depth * 0.7, 0.3 * width, 0.18))
        for board in boards[:-1]
    ]  # fmt: skip
    return *boards, *sides, *boxes


def _cabinet(rng: np.random.Generator) -> tuple[Solid, ...]:
    depth, width, height = rng.uniform(0.4, 0.55), rng.uniform(0.8, 1.4), rng.uniform(0.8, 1.9)
    body = _block("cabinet", str(rng.choice(["wood", "metal"])), 0, 0, 0, (depth, width, height))
    handles = [
        _block("handle", "metal", depth / 2 + 0.012, y, height * 0.5, (0.024, 0.02, 0.14))
        for y in (-0.04, 0.04)
    ]
    return body, *handles


def _sofa(rng: np.random.Generator) -> tuple[Solid, ...]:
    depth, width = rng.uniform(0.8, 0.95), rng.uniform(1.5, 2.1)
    base = _block("sofa", "fabric", 0, 0, 0.08, (depth, width, 0.34))
    back = _block("sofa", "fabric", -depth / 2 + 0.1, 0, 0.42, (0.2, width, 0.4))
    arms = [
        _block("sofa", "fabric", 0, y, 0.42, (depth, 0.16, 0.2))
        for y in (-width / 2 + 0.08, width / 2 - 0.08)
    ]
    return base, back, *arms, *_legs("sofa", depth, width, 0.08, 0.05, "wood", True)


def _radiator(rng: np.random.Generator) -> tuple[Solid, ...]:
    width, height = rng.uniform(0.8, 1.4), rng.uniform(0.45, 0.6)
    fins = np.arange(-width / 2 + 0.02, width / 2, 0.06)
    ribs = [_block("radiator", "metal", 0, y, 0.15, (0.09, 0.04, height)) for y in fins]
    pipe = _block("radiator", "metal", 0, 0, 0.17, (0.04, width, 0.04))
    feet = [_block("radiator", "metal", 0, y, 0, (0.04, 0.04, 0.17)) for y in fins[[1, -2]]]
    return *ribs, pipe, *feet


_MAKERS = {
    "table": _table,
    "chair": _chair,
    "shelf": _shelf,
    "cabinet": _cabinet,
    "sofa": _sofa,
    "radiator": _radiator,
}
