"""From a frame's samples to a tensor over Doppler, range and two angles, with physical axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft as scipy_fft

from etendue.core.errors import InputError
from etendue.core.image import require_finite
from etendue.render.radar.sensor import Radar

fft: Any = scipy_fft  # whose stubs know no arrays


@dataclass(frozen=True)
class Tensor:
    """`values` complex64 (speed, range, u, v); the axes say what every bin means.

    u = y / r and v = z / r are the direction cosines to the left and up: an FFT over an array is
    uniform in them, not in angles. Speeds are positive where the range grows.
    """

    values: np.ndarray
    speeds: np.ndarray  # m/s
    ranges: np.ndarray  # m
    u: np.ndarray
    v: np.ndarray

    def azimuth(self) -> np.ndarray:
        """Degrees to the left (u, v), NaN where u^2 + v^2 > 1."""
        ahead = np.sqrt(np.maximum(1 - self.u[:, None] ** 2 - self.v[None] ** 2, 0))
        angle = np.degrees(np.arctan2(self.u[:, None] + 0 * self.v, ahead))
        return np.where(self.u[:, None] ** 2 + self.v[None] ** 2 <= 1, angle, np.nan)

    def elevation(self) -> np.ndarray:
        """Degrees up (v,), NaN where |v| > 1."""
        return np.degrees(np.arcsin(np.where(np.abs(self.v) <= 1, self.v, np.nan)))


def range_doppler(radar: Radar, frame: np.ndarray, *, compensate: bool = True) -> np.ndarray:
    """Complex (speed, transmitters, receivers, range) of samples as `signal.beat` has them.

    The mean of each chirp is taken off and both axes have Hann windows. `compensate` takes off the
    phase by which a moving point turns between the transmitters' turns.
    """
    wave, count = radar.waveform, len(radar.array.transmitters)
    wanted = (wave.loops, count, len(radar.array.receivers), wave.samples)
    if frame.shape != wanted:
        raise InputError("frame", "has another shape", got=frame.shape, expected=wanted)
    require_finite("frame", frame)
    centred = frame - frame.mean(-1, keepdims=True)
    ranged = fft.fft(centred * _hann(wave.samples), axis=-1) / wave.samples
    window = _hann(wave.loops)[:, None, None, None]
    turned = fft.fftshift(fft.fft(ranged * window, axis=0), axes=0) / wave.loops
    if compensate:
        cycles = np.outer(_centred(wave.loops) / wave.loops, np.arange(count) / count)
        turned = turned * np.exp(-2j * np.pi * cycles)[:, :, None, None]
    return turned.astype(np.complex64)


def tensor(
    radar: Radar, frame: np.ndarray, angles: tuple[int, int] = (128, 32), *, compensate: bool = True
) -> Tensor:
    """The 4D tensor of a frame, with so many bins of u and v; copies of virtual antennas are means.

    No window is laid over the array, of which some rows have gaps.
    """
    wave = radar.waveform
    seen = range_doppler(radar, frame, compensate=compensate)
    places = radar.array.virtual().reshape(-1, 2)
    size = places.max(0) + 1
    if size[0] > angles[0] or size[1] > angles[1]:
        raise InputError("tensor", "has fewer bins than the array has places", got=angles,
                         expected=f"at least {tuple(size.tolist())}")  # fmt: skip
    flat = seen.reshape(wave.loops, len(places), wave.samples)
    index = places[:, 0] * size[1] + places[:, 1]
    many = np.bincount(index, minlength=int(size.prod()))
    spread = np.zeros((len(places), int(size.prod())), np.float32)
    spread[np.arange(len(places)), index] = 1 / many[index]
    filled = np.einsum("lan,ap->lnp", flat, spread, optimize=True)
    filled = filled.reshape(wave.loops, wave.samples, *size)
    rows = fft.ifft(filled, angles[0], axis=2, norm="forward")  # few rows, before there are many
    values = fft.fftshift(fft.ifft(rows, angles[1], axis=3, norm="forward"), axes=(2, 3))
    return Tensor(
        (values / len(np.unique(index))).astype(np.complex64),
        radar.speed_bin * _centred(wave.loops),
        wave.range_bin * np.arange(wave.samples),
        *(_cosines(radar, bins) for bins in angles),
    )


def _cosines(radar: Radar, bins: int) -> np.ndarray:
    return _centred(bins) / bins * radar.waveform.wavelength / radar.array.spacing


def _centred(count: int) -> np.ndarray:
    """-n/2 .. n/2 - 1, as `fftshift` orders frequencies."""
    return np.arange(count) - count // 2


def _hann(count: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(count) + 0.5) / count)
