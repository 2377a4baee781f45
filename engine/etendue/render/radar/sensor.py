"""An FMCW radar that sends with one antenna after the other (TDM-MIMO): waveform and array.

The default is a cascade of four chips with 12 transmitters and 16 receivers (Texas Instruments,
MMWCAS). x is forward, y left, z up; antennas lie in the plane x = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from etendue.render.radar.link import Link

LIGHT = 299_792_458.0  # m/s


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
    """Waveform, array and power, and what follows from them."""

    waveform: Waveform = Waveform()
    array: Array = CASCADE
    link: Link = field(default_factory=Link)

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
