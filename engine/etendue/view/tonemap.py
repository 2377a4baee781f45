"""From linear radiance to what a display shows: exposure, a curve, sRGB, or false colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from etendue.core.color import linear_to_srgb, luminance
from etendue.core.errors import InputError

CURVES = ("linear", "ACES", "filmic", "false colour")
FALSE_LOW, FALSE_HIGH = -6.0, 6.0  # stops around 0.18 that false colour spans
GREY = 0.18
LEVELS = 9.0  # of detail, that the ramp spans
MAX_STOPS = 32.0
# anchors of false colour from dark to bright, sRGB
_RAMP = np.array(
    [(0.10, 0.04, 0.30), (0.13, 0.32, 0.73), (0.08, 0.66, 0.62), (0.35, 0.78, 0.33),
     (0.93, 0.86, 0.22), (0.95, 0.48, 0.13), (0.80, 0.10, 0.14), (1.00, 0.93, 0.95)]
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How radiance becomes a picture."""

    exposure: float = 0.0  # stops
    curve: str = "ACES"

    def __post_init__(self) -> None:
        if self.curve not in CURVES:
            raise InputError("curve", "is unknown", got=self.curve, expected=", ".join(CURVES))
        if not abs(self.exposure) <= MAX_STOPS:
            raise InputError(
                "exposure", "is out of range", got=self.exposure, expected="-32..32 stops"
            )


def aces(x: np.ndarray) -> np.ndarray:
    """A fit of ACES (Narkowicz 2016): x (2.51 x + 0.03) / (x (2.43 x + 0.59) + 0.14)."""
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0)


def filmic(x: np.ndarray) -> np.ndarray:
    """Hable 2010: h(2 x) / h(11.2), h = (x(.15x+.05)+.004)/(x(.15x+.5)+.06) - 1/15."""
    return np.clip(_hable(2.0 * x) / _hable(np.array(11.2)), 0.0, 1.0)


def _hable(x: np.ndarray) -> np.ndarray:
    top, bottom = x * (0.15 * x + 0.05) + 0.004, x * (0.15 * x + 0.5) + 0.06
    return top / bottom - 0.02 / 0.3


def ramp(t: np.ndarray) -> np.ndarray:
    """Colours (..., 3) in [0, 1] of the false-colour ramp at `t` in [0, 1]."""
    place = np.clip(np.asarray(t, np.float64), 0.0, 1.0) * (len(_RAMP) - 1)
    return np.stack([np.interp(place, np.arange(len(_RAMP)), _RAMP[:, c]) for c in range(3)], -1)


def stops(y: np.ndarray) -> np.ndarray:
    """Where luminance lies in [FALSE_LOW, FALSE_HIGH] stops around middle grey, in [0, 1]."""
    with np.errstate(divide="ignore"):
        found = np.log2(np.maximum(y, 0.0) / GREY)
    return np.clip((found - FALSE_LOW) / (FALSE_HIGH - FALSE_LOW), 0.0, 1.0)


def display(rgb: np.ndarray, look: Look) -> np.ndarray:
    """Picture (H, W, 3) uint8 of radiance (H, W, 3); the readable twin of `fast`."""
    x = np.nan_to_num(rgb.astype(np.float64), nan=0.0, posinf=1e30) * 2.0**look.exposure
    x = np.maximum(x, 0.0)
    if look.curve == "false colour":
        return _bytes(ramp(stops(luminance(x))))
    return _bytes(linear_to_srgb(_curve(x, look.curve)))


def _curve(x: np.ndarray, curve: str) -> np.ndarray:
    if curve == "linear":
        return np.clip(x, 0.0, 1.0)
    x = np.minimum(x, 1e6)  # both curves are flat long before
    return aces(x) if curve == "ACES" else filmic(x)


def _bytes(x: np.ndarray) -> np.ndarray:
    return np.round(255.0 * x).astype(np.uint8)


@lru_cache(maxsize=16)
def _table(look: Look) -> np.ndarray:
    """`display` of every half float: (65536,) uint8, or (65536, 3) of luminance."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    grey = np.repeat(halves[None, :, None], 3, axis=2)
    shown = display(grey, look)[0]
    return shown if look.curve == "false colour" else np.ascontiguousarray(shown[:, 0])


def fast(rgb: np.ndarray, look: Look) -> np.ndarray:
    """`display` by lookup of half floats, equal to one level where nothing overflows 65504."""
    if look.curve == "false colour":
        values = luminance(rgb)
    else:
        values = rgb
    with np.errstate(over="ignore"):
        return _table(look)[values.astype(np.float16).view(np.uint16)]


def auxiliary(name: str, values: np.ndarray) -> np.ndarray:
    """Picture (H, W, 3) uint8 of an auxiliary image (H, W, 3) by its name.

    Normals are n/2 + 1/2, ids get colours of their own, levels a fixed scale; other scalars are
    spread over the ramp.
    """
    if name == "albedo":
        return _bytes(linear_to_srgb(np.clip(values, 0.0, 1.0)))
    if name == "normal":
        hit = (np.abs(values).sum(-1, keepdims=True) > 0).astype(np.float64)
        return _bytes(np.clip(values * 0.5 + 0.5, 0.0, 1.0) * hit)
    if name == "uv":
        return _bytes(values - np.floor(values))
    if name in ("material_id", "shape_id"):
        return _palette(values[..., 0].astype(np.int64))
    if name == "position":
        low, high = values.min((0, 1)), values.max((0, 1))
        return _bytes((values - low) / np.maximum(high - low, 1e-9))
    if name == "lod":
        return _bytes(ramp(values[..., 0] / LEVELS) * (values >= 0))
    return scalar(values[..., 0], background=0.0)


def scalar(values: np.ndarray, background: float) -> np.ndarray:
    """Picture of numbers, spread over the ramp; `background` is black."""
    hit = values != background
    low, high = (values[hit].min(), values[hit].max()) if hit.any() else (0.0, 1.0)
    return _bytes(ramp((values - low) / max(high - low, 1e-9)) * hit[..., None])


def difference(a: np.ndarray, b: np.ndarray, look: Look) -> np.ndarray:
    """False colour of |Y_a - Y_b| as a part of Y_b plus grey: picture (H, W, 3) uint8."""
    ya, yb = luminance(a), luminance(b)
    grey = GREY * 2.0**-look.exposure
    return _bytes(ramp(np.clip(np.abs(ya - yb) / (np.abs(yb) + grey), 0.0, 1.0)))


def _palette(ids: np.ndarray) -> np.ndarray:
    """Distinct colours of whole numbers, black for negative ones: golden-ratio steps of hue."""
    hue = (np.maximum(ids, 0) * 0.618033988749895) % 1.0
    offsets = np.array([0.0, 1 / 3, 2 / 3])
    rgb = 0.55 + 0.35 * np.cos(2 * np.pi * (hue[..., None] - offsets))
    return _bytes(rgb * (ids >= 0)[..., None])
