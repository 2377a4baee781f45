"""An FMCW radar that sends with one antenna after the other (TDM-MIMO): waveform and array.

The default is a cascade of four chips with 12 transmitters and 16 receivers (Texas Instruments,
MMWCAS). x is forward, y left, z up; antennas lie in the plane x = 0.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError

LIGHT = 299_792_458.0  # m/s
MOST = 1 << 16  # samples, loops, antennas


@dataclass(frozen=True)
class Waveform:
    """One chirp, and how chirps follow each other."""

    start: float = 77e9  # Hz
    slope: float = 64.985e12  # Hz/s
    rate: float = 5e6  # samples per second
    samples: int = 256
    delay: float = 5e-6  # s, from the beginning of the ramp to the first sample
    period: float = 65e-6  # s, from one chirp to the next
    loops: int = 64  # chirps of each transmitter

    @property
    def bandwidth(self) -> float:
        """Hz that are sampled."""
        return self.slope * self.samples / self.rate

    @property
    def centre(self) -> float:
        """Hz in the middle of what is sampled."""
        return self.start + self.slope * (self.delay + 0.5 * self.samples / self.rate)

    @property
    def wavelength(self) -> float:
        """m, at the centre."""
        return LIGHT / self.centre

    @property
    def range_bin(self) -> float:
        """m, c / 2B."""
        return LIGHT / (2 * self.bandwidth)

    def times(self) -> np.ndarray:
        """Seconds of the samples since the ramp began."""
        return self.delay + np.arange(self.samples) / self.rate


@dataclass(frozen=True)
class Array:
    """Places of antennas (y, z) in `spacing`; transmitters in the order in which they send."""

    transmitters: tuple[tuple[int, int], ...]
    receivers: tuple[tuple[int, int], ...]
    spacing: float  # m

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (tx, 3) and (rx, 3) in m, such that the middle of the virtual array is at 0."""
        tx, rx = (np.array(a, float) for a in (self.transmitters, self.receivers))
        middle = [0.5 * (a.min(0) + a.max(0)) for a in (tx, rx)]
        flat = [self.spacing * (a - m) for a, m in zip((tx, rx), middle, strict=True)]
        first, second = (np.concatenate([np.zeros((len(a), 1)), a], 1) for a in flat)
        return first, second

    def virtual(self) -> np.ndarray:
        """Places (tx, rx, 2) of the virtual antennas, from 0 on."""
        tx, rx = (np.array(a, int) for a in (self.transmitters, self.receivers))
        both = tx[:, None] + rx[None]
        return both - both.reshape(-1, 2).min(0)


CASCADE = Array(
    transmitters=tuple(
        reversed([*zip((11, 10, 9, 32, 28, 24, 20, 16, 12, 8, 4, 0),
                       (6, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), strict=True)])
    ),
    receivers=tuple((y, 0) for first in (11, 50, 46, 0) for y in range(first, first + 4)),
    spacing=LIGHT / 76.8e9 / 2,
)  # fmt: skip


@dataclass(frozen=True)
class Radar:
    """Waveform and array, and what follows from both."""

    waveform: Waveform = Waveform()
    array: Array = CASCADE

    @property
    def loop(self) -> float:
        """s, until a transmitter sends again."""
        return len(self.array.transmitters) * self.waveform.period

    @property
    def most_speed(self) -> float:
        """m/s, from which on speeds are taken for others."""
        return self.waveform.wavelength / (4 * self.loop)

    @property
    def speed_bin(self) -> float:
        """m/s."""
        return 2 * self.most_speed / self.waveform.loops

    @property
    def most_range(self) -> float:
        """m, of the last range bin."""
        return self.waveform.range_bin * self.waveform.samples


def load_radar(path: str | Path) -> Radar:
    """Read a TOML file with tables `waveform` and `array`; what it leaves out is the default.

    `array` has `transmitters` and `receivers`, lists of [y, z] in `spacing` metres. `InputError`
    for what cannot be.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})") from None
    for name in table:
        if name not in ("waveform", "array"):
            raise InputError(path, "has an unknown table", got=name, expected="waveform, array")
    waveform = _filled(path, "waveform", Waveform(), table.get("waveform", {}))
    array = _filled(path, "array", CASCADE, table.get("array", {}))
    return Radar(waveform, array)


def _filled(path: Path, name: str, default: Any, given: Any) -> Any:
    kinds = {f.name: type(getattr(default, f.name)) for f in dataclasses.fields(default)}
    if not isinstance(given, dict):
        raise InputError(path, f"{name} is no table", got=given)
    values = {}
    for key, value in given.items():
        if key not in kinds:
            raise InputError(f"{path}: {name}", "has no such entry", got=key,
                             expected=", ".join(kinds))  # fmt: skip
        values[key] = _value(f"{path}: {name}.{key}", kinds[key], value)
    return dataclasses.replace(default, **values)


def _value(subject: str, kind: type, value: Any) -> Any:
    if kind is tuple:
        sound = (
            isinstance(value, list)
            and 0 < len(value) <= MOST
            and all(
                isinstance(p, list) and len(p) == 2 and all(type(v) is int for v in p)
                for p in value
            )
        )
        if not sound:
            raise InputError(subject, "is no list of places", got=value, expected="[[y, z], ...]")
        return tuple((y, z) for y, z in value)
    number = type(value) in (int, float) and math.isfinite(value) and value > 0
    if not number or (kind is int and (type(value) is not int or value > MOST)):
        expected = f"a whole number, 1..{MOST}" if kind is int else "a positive number"
        raise InputError(subject, "is out of range", got=value, expected=expected)
    return kind(value)
