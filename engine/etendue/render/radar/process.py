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
class Processing:
    """How samples become spectra."""

    hann: bool = True  # windows over samples and loops, else none: finer, with higher side lobes
    compensate: bool = True  # take off the phase by which points turn between transmitters' turns
    still: bool = True  # keep what does not move
    pad: int = 1  # spectra are so many times finer
    centred: bool = True  # phases of the middle, else of the first sample and loop


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


def range_doppler(radar: Radar, frame: np.ndarray, how: Processing | None = None) -> np.ndarray:
    """Complex (speed, transmitters, receivers, range) of samples as `signal.beat` has them.

    The mean of each chirp is taken off. With phases of the middle of the samples and of the loops
    a peak's bins agree, and may be interpolated between.
    """
    how = how or Processing()
    wave = radar.waveform
    require_frame(radar, frame)
    samples, loops = how.pad * wave.samples, how.pad * wave.loops
    centred = frame - frame.mean(-1, keepdims=True)
    if not how.still:
        centred -= centred.mean(0, keepdims=True)
    window = _window(wave.samples, how.hann)
    ranged = fft.fft(centred * window, samples, axis=-1, workers=-1)
    if how.centred:
        ranged *= _middle(np.arange(samples) / samples, wave.samples)
    window = _window(wave.loops, how.hann)[:, None, None, None]
    turned = fft.fft(ranged * window, loops, axis=0, workers=-1)
    bins = np.fft.fftfreq(loops)[:, None]
    phases = _middle(bins, wave.loops if how.centred else 1)
    if how.compensate:
        count = len(radar.array.transmitters)
        phases = phases * np.exp(-2j * np.pi * bins * np.arange(count) / count)
    turned *= phases[:, :, None, None].astype(np.complex64)
    return fft.fftshift(turned, axes=0)


def tensor(
    radar: Radar,
    frame: np.ndarray,
    angles: tuple[int, int] = (128, 32),
    how: Processing | None = None,
) -> Tensor:
    """The 4D tensor of a frame, with so many bins of u and v; copies of virtual antennas are means.

    No window is laid over the array, of which some rows have gaps. A bin's phase is that of the
    middle of the virtual array.
    """
    how = how or Processing()
    places = radar.array.virtual().reshape(-1, 2)
    size = places.max(0) + 1
    if size[0] > angles[0] or size[1] > angles[1]:
        raise InputError("tensor", "has fewer bins than the array has places", got=angles,
                         expected=f"at least {tuple(size.tolist())}")  # fmt: skip
    seen = range_doppler(radar, frame, how)
    flat = np.ascontiguousarray(seen.reshape(len(seen), len(places), -1).transpose(0, 2, 1))
    rows, row = np.unique(places[:, 1], return_inverse=True)
    along = np.empty((*flat.shape[:2], angles[0], len(rows)), np.complex64)
    weights = copies(places)[:, None] * _steering(places[:, 0], angles[0])
    for k in range(len(rows)):
        along[..., k] = flat[..., row == k] @ weights[row == k].astype(np.complex64)
    values = along @ _steering(rows, angles[1]).astype(np.complex64)
    wave = radar.waveform
    return Tensor(
        values,
        radar.speed_bin * _centred(len(seen)) / how.pad,
        wave.range_bin * np.arange(seen.shape[-1]) / how.pad,
        *(_cosines(radar, bins) for bins in angles),
    )


def require_frame(radar: Radar, frame: np.ndarray) -> None:
    """`InputError` unless samples are those of this radar, and finite."""
    wave, array = radar.waveform, radar.array
    wanted = (wave.loops, len(array.transmitters), len(array.receivers), wave.samples)
    if frame.shape != wanted:
        raise InputError("frame", "has another shape", got=frame.shape, expected=wanted)
    if frame.dtype.kind != "c":
        raise InputError("frame", "is not complex", got=frame.dtype, expected="complex64")
    require_finite("frame", frame)


def copies(places: np.ndarray) -> np.ndarray:
    """Weights (antennas,) by which copies of a place count as their mean; they add up to 1."""
    _, index, many = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    return 1 / many[index] / len(many)


def _steering(places: np.ndarray, bins: int) -> np.ndarray:
    """exp(2 pi i m (n - middle) / bins) (places, bins), m = -bins/2 .. bins/2 - 1."""
    middle = (places.min() + places.max()) / 2
    return np.exp(2j * np.pi / bins * np.outer(places - middle, _centred(bins)))


def _cosines(radar: Radar, bins: int) -> np.ndarray:
    return _centred(bins) / bins * radar.waveform.wavelength / radar.array.spacing


def _middle(cycles: np.ndarray, count: int) -> np.ndarray:
    """What turns a sum over 0 .. count - 1 into one around the middle."""
    return np.exp(1j * np.pi * cycles * (count - 1)).astype(np.complex64)


def _centred(count: int) -> np.ndarray:
    """-n/2 .. n/2 - 1, as `fftshift` orders frequencies."""
    return np.arange(count) - count // 2


def _window(count: int, hann: bool) -> np.ndarray:
    """Weights that add up to 1 (Hann: 1/2)."""
    if not hann:
        return np.full(count, 1 / count, np.float32)
    waves = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(count) + 0.5) / count)
    return (waves / count).astype(np.float32)
