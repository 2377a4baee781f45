"""What a radar's receivers get from points: beat signals, sample by sample, without shortcuts.

A point with delay tau = (|p - tx| + |p - rx|) / c beats with the chirp as
A exp(2 pi i (f0 tau + S tau t - S tau^2 / 2)), t since the ramp began; every chirp sees the point
where it is by then, so range migration, Doppler and near field are in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.core.errors import InputError
from etendue.core.image import require_finite
from etendue.render.radar.sensor import LIGHT, Radar

CHUNK = 1 << 22  # samples at a time


@dataclass(frozen=True)
class Points:
    """Scatterers: places (n, 3) in m, velocities (n, 3) in m/s, amplitudes (n,) complex.

    An amplitude is what a receiver gets, spreading and reflectivity included.
    """

    places: np.ndarray
    velocities: np.ndarray
    amplitudes: np.ndarray


def beat(radar: Radar, points: Points) -> np.ndarray:
    """Samples complex64 (loops, transmitters, receivers, samples) of a frame.

    Raises `InputError` for values that are not finite or do not belong together.
    """
    places, velocities, amplitudes = _checked(points)
    wave, (tx, rx) = radar.waveform, radar.array.places()
    t = wave.times()
    frame = np.zeros((wave.loops, len(tx), len(rx), wave.samples), np.complex64)
    step = max(1, CHUNK // (len(rx) * wave.samples))
    for loop in range(wave.loops):
        for k in range(len(tx)):
            now = loop * radar.loop + k * wave.period
            for rows in np.array_split(np.arange(len(places)), -(-len(places) // step) or 1):
                at = places[rows] + now * velocities[rows]
                way = np.linalg.norm(at - tx[k], axis=1)[:, None]
                tau = (way + np.linalg.norm(at[:, None] - rx, axis=2)) / LIGHT  # (points, rx)
                first = wave.start * tau - 0.5 * wave.slope * tau**2
                cycles = first[..., None] + wave.slope * tau[..., None] * t
                waves = np.exp(2j * np.pi * (cycles - np.floor(cycles)))
                frame[loop, k] += np.einsum("n,nrs->rs", amplitudes[rows], waves)
    return frame


def noise(radar: Radar, deviation: float, seed: int) -> np.ndarray:
    """Thermal noise of a frame: circular, of this standard deviation per sample."""
    rng = np.random.default_rng(seed)
    array, wave = radar.array, radar.waveform
    shape = (wave.loops, len(array.transmitters), len(array.receivers), wave.samples)
    parts = rng.normal(scale=deviation / np.sqrt(2), size=(2, *shape))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def _checked(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = np.asarray(points.places, float)
    velocities = np.asarray(points.velocities, float)
    amplitudes = np.asarray(points.amplitudes, complex)
    if places.ndim != 2 or places.shape[1] != 3 or velocities.shape != places.shape:
        raise InputError("scatterers", "do not fit", got=(places.shape, velocities.shape),
                         expected="places and velocities (n, 3)")  # fmt: skip
    if amplitudes.shape != places.shape[:1]:
        raise InputError(
            "scatterers", "do not fit", got=amplitudes.shape, expected=places.shape[:1]
        )
    for name, array in (("places", places), ("velocities", velocities),
                        ("amplitudes", amplitudes)):  # fmt: skip
        require_finite(f"scatterers: {name}", array)
    return places, velocities, amplitudes
