"""Power on its way: antenna pattern, the radar equation, thermal noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BOLTZMANN = 1.380649e-23  # J/K


@dataclass(frozen=True)
class Link:
    """What one transmitter sends, what antennas add, and what the receivers' electronics cost."""

    power_dbm: float = 12.0  # of a transmitter
    gain_dbi: float = 10.0  # of an antenna, straight ahead
    azimuth: float = 90.0  # degrees between half powers
    elevation: float = 50.0
    noise_figure_db: float = 14.0
    temperature: float = 290.0  # K

    def gain(self, directions: np.ndarray) -> np.ndarray:
        """Power gain of an antenna towards unit vectors (n, 3) (ahead, left, up).

        G0 exp(-4 ln 2 ((azimuth / az)^2 + (elevation / el)^2)), nothing behind.
        """
        x, y, z = np.moveaxis(directions, -1, 0)
        az = np.degrees(np.arctan2(y, x)) / self.azimuth
        el = np.degrees(np.arcsin(np.clip(z, -1, 1))) / self.elevation
        ahead = 10 ** (self.gain_dbi / 10) * np.exp(-4 * math.log(2) * (az**2 + el**2))
        return np.where(x > 0, ahead, 0.0)

    def received(self, wavelength: float, out: np.ndarray, back: np.ndarray) -> np.ndarray:
        """Square root of W of a receiver per m of sqrt(RCS), for ways out and back (n, 3) in m.

        The radar equation, sqrt(P G(out) G(back) lambda^2 / ((4 pi)^3 R_out^2 R_back^2)).
        """
        first, second = (np.linalg.norm(way, axis=-1) for way in (out, back))
        gains = self.gain(out / first[..., None]) * self.gain(back / second[..., None])
        watt = 10 ** (self.power_dbm / 10) * 1e-3
        return np.sqrt(watt * gains / (4 * math.pi) ** 3) * wavelength / (first * second)

    def noise(self, rate: float) -> float:
        """Standard deviation of a complex sample in sqrt(W), sqrt(k T F rate)."""
        return math.sqrt(BOLTZMANN * self.temperature * 10 ** (self.noise_figure_db / 10) * rate)
