"""What a radar's receivers get from points: beat signals, sample by sample, without shortcuts.

A point with delay tau = (|p - tx| + |p - rx|) / c beats with the chirp as
A exp(2 pi i (f0 tau + S tau t - S tau^2 / 2)), t since the ramp began; every sample sees the point
where it is by then, so range migration, Doppler and near field are in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.core.image import require_finite
from etendue.render.radar.sensor import LIGHT, Radar

CHUNK = 1 << 22  # samples at a time


@dataclass(frozen=True)
class Track:
    """Where points are during a frame: places (n, 3) in m at its beginning, m/s, m/s^2."""

    places: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray

    def at(self, seconds: float) -> np.ndarray:
        """Places (n, 3) so many seconds after the frame began."""
        return self.places + seconds * (self.velocities + 0.5 * seconds * self.accelerations)

    def since(self, seconds: float) -> Track:
        """The same tracks, counted from so many seconds later."""
        faster = self.velocities + seconds * self.accelerations
        return Track(self.at(seconds), faster, self.accelerations)

    def chosen(self, rows: np.ndarray) -> Track:
        """Some of the points."""
        return Track(self.places[rows], self.velocities[rows], self.accelerations[rows])


@dataclass(frozen=True)
class Points:
    """Scatterers: where transmitters see them, and complex amplitudes (n,) that receivers get.

    An amplitude has spreading and reflectivity in it. On the way `back` a mirrored point is seen
    elsewhere than on the way out; `None`: where transmitters see it.
    """

    there: Track
    amplitudes: np.ndarray
    back: Track | None = None

    def checked(self) -> Points:
        """As arrays of float64; `InputError` for what does not fit or is not finite."""
        there, amplitudes = _track(self.there), np.asarray(self.amplitudes, complex)
        back = None if self.back is None else _track(self.back)
        for size in (amplitudes.shape, (back or there).places.shape[:1]):
            if size != there.places.shape[:1]:
                raise InputError(
                    "scatterers", "do not fit", got=size, expected=there.places.shape[:1]
                )
        require_finite("scatterers: amplitudes", amplitudes)
        return Points(there, amplitudes, back)


def scatterers(
    places: Any, amplitudes: Any = 1.0, velocities: Any = 0.0, accelerations: Any = 0.0
) -> Points:
    """Points that are seen where they are; what is one value is that of all of them."""
    places = np.atleast_2d(np.asarray(places, float))
    moves = (
        np.broadcast_to(np.asarray(v, float), places.shape) for v in (velocities, accelerations)
    )
    return Points(Track(places, *moves), np.broadcast_to(np.asarray(amplitudes), places.shape[:1]))


def beat(radar: Radar, points: Points) -> np.ndarray:
    """Samples complex64 (loops, transmitters, receivers, samples) of a frame.

    Raises `InputError` for values that are not finite or do not belong together.
    """
    points = points.checked()
    there, back, amplitudes = points.there, points.back or points.there, points.amplitudes
    wave, (tx, rx) = radar.waveform, radar.array.places()
    t = wave.times()
    frame = np.zeros((wave.loops, len(tx), len(rx), wave.samples), np.complex64)
    step = max(1, CHUNK // (len(rx) * wave.samples))
    for loop in range(wave.loops):
        for k in range(len(tx)):
            now = loop * radar.loop + k * wave.period
            for rows in np.array_split(
                np.arange(len(amplitudes)), -(-len(amplitudes) // step) or 1
            ):
                out, seen = (_during(track.chosen(rows), now + t) for track in (there, back))
                way = np.linalg.norm(out - tx[k], axis=-1)[:, None]
                tau = (way + np.linalg.norm(seen[:, None] - rx[:, None], axis=-1)) / LIGHT
                cycles = wave.start * tau - 0.5 * wave.slope * tau**2 + wave.slope * tau * t
                waves = np.exp(2j * np.pi * (cycles - np.floor(cycles)))
                frame[loop, k] += np.einsum("n,nrs->rs", amplitudes[rows], waves)
    return frame


def _during(track: Track, times: np.ndarray) -> np.ndarray:
    """Places (n, times, 3)."""
    t = times[:, None]
    moves = track.velocities[:, None] + 0.5 * t * track.accelerations[:, None]
    return track.places[:, None] + t * moves


def noise(radar: Radar, deviation: float, seed: int) -> np.ndarray:
    """Thermal noise of a frame: circular, of this standard deviation per sample."""
    rng = np.random.default_rng(seed)
    array, wave = radar.array, radar.waveform
    shape = (wave.loops, len(array.transmitters), len(array.receivers), wave.samples)
    parts = rng.normal(scale=deviation / np.sqrt(2), size=(2, *shape))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def _track(track: Track) -> Track:
    rows = [np.asarray(a, float) for a in (track.places, track.velocities, track.accelerations)]
    if rows[0].ndim != 2 or rows[0].shape[1] != 3 or any(a.shape != rows[0].shape for a in rows):
        raise InputError("scatterers", "do not fit", got=tuple(a.shape for a in rows),
                         expected="places, velocities and accelerations (n, 3)")  # fmt: skip
    for name, array in zip(("places", "velocities", "accelerations"), rows, strict=True):
        require_finite(f"scatterers: {name}", array)
    return Track(*rows)
