"""A radar and how it sees a scene, from a TOML file.

    [waveform]                      # fields of `sensor.Waveform`
    loops = 32
    [array]                         # fields of `sensor.Array`, places in `spacing` metres
    transmitters = [[0, 0], [4, 0]]
    receivers = [[0, 0], [1, 0], [2, 0], [3, 0]]
    [link]                          # fields of `link.Link`
    power_dbm = 12
    [cast]                          # fields of `scatter.Casting`
    bounces = 1
    [materials.oak]                 # fields of `material.Material`; known ones may be changed
    permittivity = 2.1
    roughness = 0.0002
    [shapes]                        # pattern of shapes' names = material
    "Table*" = "oak"
    [motion.Ball]                   # fields of `cast.Rigid`
    velocity = [0.5, 0, 0]

What a file leaves out is the default.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.render.radar.cast import Rigid
from etendue.render.radar.link import Link
from etendue.render.radar.material import MATERIALS, Material, read_materials
from etendue.render.radar.scatter import Casting
from etendue.render.radar.sensor import CASCADE, Array, Radar, Waveform

MOST = 1 << 16  # samples, loops, antennas
TABLES = ("waveform", "array", "link", "cast", "materials", "shapes", "motion")
PERIOD_SLACK = 1e-9  # relative, of a chirp's samples in its period
SIGNED = ("power_dbm", "gain_dbi", "noise_figure_db")


@dataclass(frozen=True)
class Setup:
    """What a file says."""

    radar: Radar = field(default_factory=Radar)
    casting: Casting = field(default_factory=Casting)
    materials: Mapping[str, Material] = field(default_factory=lambda: dict(MATERIALS))
    shapes: Mapping[str, str] = field(default_factory=dict)
    motion: Mapping[str, Rigid] = field(default_factory=dict)


def load_setup(path: str | Path) -> Setup:
    """Read a file; `InputError` for what cannot be."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})") from None
    for name in table:
        if name not in TABLES:
            raise InputError(path, "has an unknown table", got=name, expected=", ".join(TABLES))
    waveform: Waveform = _filled(path, "waveform", Waveform(), table)
    array: Array = _filled(path, "array", CASCADE, table)
    link: Link = _filled(path, "link", Link(), table)
    casting: Casting = _filled(path, "cast", Casting(), table)
    _check(path, waveform, casting)
    materials = read_materials(str(path), table.get("materials", {}))
    shapes = _table(path, "shapes", table)
    for pattern, name in shapes.items():
        if name not in materials:
            raise InputError(f"{path}: shapes.{pattern}", "is no known material", got=name,
                             expected=", ".join(materials))  # fmt: skip
    motion = {
        name: _filled(path, f"motion.{name}", Rigid(), {f"motion.{name}": entry})
        for name, entry in _table(path, "motion", table).items()
    }
    return Setup(Radar(waveform, array, link), casting, materials, shapes, motion)


def _check(path: Path, waveform: Waveform, casting: Casting) -> None:
    sampled = waveform.delay + waveform.samples / waveform.rate
    if sampled > waveform.period * (1 + PERIOD_SLACK):
        raise InputError(f"{path}: waveform.period", "is shorter than its samples take",
                         got=waveform.period, expected=f"at least {sampled:.4g} s")  # fmt: skip
    if casting.bounces > 1:
        raise InputError(f"{path}: cast.bounces", "is out of range", got=casting.bounces,
                         expected="0 or 1")  # fmt: skip


def _table(path: Path, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    given = table.get(name, {})
    if not isinstance(given, dict):
        raise InputError(path, f"{name} is no table", got=given)
    return given


def _filled(path: Path, name: str, default: Any, table: Mapping[str, Any]) -> Any:
    known = {f.name: getattr(default, f.name) for f in dataclasses.fields(default)}
    values = {}
    for key, value in _table(path, name, table).items():
        if key not in known:
            raise InputError(f"{path}: {name}", "has no such entry", got=key,
                             expected=", ".join(known))  # fmt: skip
        values[key] = _value(f"{path}: {name}.{key}", key, known[key], value)
    return dataclasses.replace(default, **values)


def _value(subject: str, key: str, default: Any, value: Any) -> Any:
    if isinstance(default, tuple):
        return _tuple(subject, default, value)
    whole = isinstance(default, int)
    number = _finite(value) and (not whole or (type(value) is int and value <= MOST))
    least = -math.inf if key in SIGNED else 0
    if not number or value < least or (value == 0 and key not in (*SIGNED, "bounces", "seed")):
        expected = f"a whole number, 1..{MOST}" if whole else "a positive number"
        raise InputError(subject, "is out of range", got=value, expected=expected)
    return type(default)(value)


def _tuple(subject: str, default: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if isinstance(default[0], tuple):
        sound = isinstance(value, list) and 0 < len(value) <= MOST
        if not sound or not all(_list(p, 2, lambda v: type(v) is int) for p in value):
            raise InputError(subject, "is no list of places", got=value, expected="[[y, z], ...]")
        return tuple((y, z) for y, z in value)
    whole = isinstance(default[0], int)
    good = (lambda v: type(v) is int and 0 < v <= MOST) if whole else _finite
    if not _list(value, len(default), good):
        kind = "whole numbers" if whole else "numbers"
        raise InputError(subject, "is out of range", got=value, expected=f"{len(default)} {kind}")
    return tuple(type(default[0])(v) for v in value)


def _list(value: Any, size: int, good: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) == size and all(good(v) for v in value)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
