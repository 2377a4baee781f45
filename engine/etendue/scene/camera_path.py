"""Moving cameras: keyframes in a TOML or JSON file, and a turn around the target.

interpolation = "catmull-rom"            # or "linear"
[[keys]]
frame = 1
origin = [0, 2, 6]
target = [0, 1, 0]
up = [0, 1, 0]                           # else this
fov = 35                                 # degrees, in every key or in none: else the scene's
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError

KINDS = ("catmull-rom", "linear")
NAMES = ("frame", "origin", "target", "up", "fov")
UP = (0.0, 1.0, 0.0)
MAX_FRAME = 1_000_000


@dataclass(frozen=True)
class CameraPath:
    """Values at key frames: origin, target, up and, where the path has it, the field of view."""

    frames: np.ndarray  # (n,) rising
    values: np.ndarray  # (n, 9) or (n, 10)
    interpolation: str = KINDS[0]

    @property
    def span(self) -> tuple[int, int]:
        """First and last whole frame of the path."""
        return math.ceil(self.frames[0]), math.floor(self.frames[-1])

    def at(self, frame: float) -> dict[str, tuple[float, ...]]:
        """Camera settings at a frame; before the first and after the last key those of the key."""
        row = interpolate(self.frames, self.values, frame, self.interpolation)
        found = {
            name: tuple(map(float, row[3 * i : 3 * i + 3])) for i, name in enumerate(NAMES[1:4])
        }
        return found if len(row) == 9 else {**found, "fov": (float(row[9]),)}


def interpolate(at: np.ndarray, values: np.ndarray, x: float, kind: str) -> np.ndarray:
    """Linear, or cubic through the keys with tangents between their neighbours.

    Catmull and Rom 1974 for keys at any distance: the tangent of key i is
    (v[i+1] - v[i-1]) / (x[i+1] - x[i-1]), one-sided at the ends; Hermite between keys.
    """
    x = float(np.clip(x, at[0], at[-1]))
    i = int(np.clip(np.searchsorted(at, x, "right") - 1, 0, max(len(at) - 2, 0)))
    if len(at) == 1:
        return values[0]
    width = at[i + 1] - at[i]
    t = (x - at[i]) / width
    if kind == "linear":
        return values[i] * (1 - t) + values[i + 1] * t
    slopes = []
    for k in (i, i + 1):
        low, high = max(k - 1, 0), min(k + 1, len(at) - 1)
        slopes.append((values[high] - values[low]) / (at[high] - at[low]) * width)
    t2, t3 = t * t, t * t * t
    return (
        values[i] * (2 * t3 - 3 * t2 + 1)
        + slopes[0] * (t3 - 2 * t2 + t)
        + values[i + 1] * (3 * t2 - 2 * t3)
        + slopes[1] * (t3 - t2)
    )


def turned(
    origin: tuple[float, ...], target: tuple[float, ...], angle: float
) -> tuple[float, float, float]:
    """`origin` after a turn by `angle` (radians) around the vertical through `target`."""
    x, z = origin[0] - target[0], origin[2] - target[2]
    cos, sin = math.cos(angle), math.sin(angle)
    return target[0] + cos * x + sin * z, origin[1], target[2] - sin * x + cos * z


def load_path(path: Path) -> CameraPath:
    """Read a camera path, chosen by suffix; `InputError` names what is wrong with which key."""
    data = _read(path)
    for name in data:
        if name not in ("keys", "interpolation"):
            raise InputError(path, "has an unknown entry", got=name, expected="keys, interpolation")
    kind = data.get("interpolation", KINDS[0])
    if kind not in KINDS:
        raise InputError(path, "unknown interpolation", got=kind, expected=" or ".join(KINDS))
    keys = data.get("keys")
    if not isinstance(keys, list) or not keys:
        raise InputError(path, "has no keys", expected="[[keys]] with frame, origin and target")
    rows = [_row(path, number, key) for number, key in enumerate(keys, 1)]
    if len({len(row) for row in rows}) > 1:
        raise InputError(path, "has a fov in some keys only", expected="in every key or in none")
    table = np.array(rows)
    if (np.diff(table[:, 0]) <= 0).any():
        raise InputError(path, "frames of the keys do not rise", got=table[:, 0].tolist())
    return CameraPath(table[:, 0], table[:, 1:], kind)


def _read(path: Path) -> dict[str, Any]:
    readers = {".toml": tomllib.loads, ".json": json.loads}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            path, "unknown kind of camera path", got=path.suffix or "no suffix",
            expected=" or ".join(readers),
        )  # fmt: skip
    try:
        data = reader(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", fix="Check the path") from None
    except ValueError as error:  # of both formats, and of text that is no UTF-8
        raise InputError(path, f"cannot be read ({error})") from None
    if not isinstance(data, dict):
        raise InputError(path, "is no camera path", expected="a table with keys")
    return data


def _row(path: Path, number: int, key: Any) -> list[float]:
    """frame, origin, target, up and fov of a key."""
    what = f"{path}: key {number}"
    if not isinstance(key, Mapping):
        raise InputError(what, "is no table", got=key)
    for name in key:
        if name not in NAMES:
            raise InputError(what, "has an unknown entry", got=name, expected=", ".join(NAMES))
    frame = _numbers(what, key, "frame", 1)
    if abs(frame[0]) > MAX_FRAME:
        raise InputError(what, "frame is out of range", got=frame[0], expected=f"<= {MAX_FRAME}")
    origin, target = (_numbers(what, key, name, 3) for name in ("origin", "target"))
    if origin == target:
        raise InputError(what, "origin and target are the same", got=origin)
    up = _numbers(what, key, "up", 3) if "up" in key else list(UP)
    fov = _numbers(what, key, "fov", 1) if "fov" in key else []
    if fov and not 0 < fov[0] < 180:
        raise InputError(what, "fov is out of range", got=fov[0], expected="0..180 degrees")
    return [*frame, *origin, *target, *up, *fov]


def _numbers(what: str, key: Mapping[str, Any], name: str, count: int) -> list[float]:
    value = key.get(name)
    numbers = value if isinstance(value, list) else [value]
    good = len(numbers) == count and all(
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in numbers
    )
    if not good:
        expected = "a number" if count == 1 else f"{count} numbers"
        raise InputError(what, f"{name} cannot be used", got=value, expected=expected)
    return [float(x) for x in numbers if x is not None]
