"""Tensors as the published ones are made, for those who must match them (Ho et al. 2024).

Differences from `process` and `grid`, all of them in the published processing: nothing is
done about the phase between transmitters' turns, of copies of a virtual antenna one is kept, the
bins of both angular transforms count as equal steps of 120 / 128 and 60 / 32 *degrees* although
they are equal steps of direction cosines (azimuths shift by a few degrees, elevations come out
about half as large), and phases are those of the first sample. Cells out of the field of view
hold 1.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from etendue.core.errors import InputError
from etendue.render.radar.grid import WHOLE, Grid
from etendue.render.radar.process import Processing, fft, range_doppler
from etendue.render.radar.sensor import Radar

ANGLES = (128, 32)  # bins
DEGREES = (120.0, 60.0)  # that they are taken for


def reference_tensor(radar: Radar, frame: np.ndarray) -> np.ndarray:
    """Complex64 (speeds, ranges, 128, 32)."""
    places = radar.array.virtual().reshape(-1, 2)
    size = places.max(0) + 1
    if size[0] > ANGLES[0] or size[1] > ANGLES[1]:
        raise InputError("array", "is larger than that of the published tensors",
                         got=tuple(size.tolist()), expected=f"at most {ANGLES}")  # fmt: skip
    seen = range_doppler(radar, frame, Processing(compensate=False, centred=False))
    unique, first = np.unique(places, axis=0, return_index=True)
    filled = np.zeros((len(seen), seen.shape[-1], *size), np.complex64)
    flat = seen.reshape(len(seen), len(places), -1)
    filled[:, :, unique[:, 0], unique[:, 1]] = flat[:, first].transpose(0, 2, 1)
    rows = fft.ifft(filled, ANGLES[0], axis=2, norm="forward", workers=-1)
    values = fft.ifft(rows, ANGLES[1], axis=3, norm="forward", workers=-1)
    return fft.fftshift(values, axes=(2, 3))


def reference_degrees(axis: int) -> np.ndarray:
    """What the bins of azimuth (0) and elevation (1) are taken for."""
    return (np.arange(ANGLES[axis]) - ANGLES[axis] // 2) * DEGREES[axis] / ANGLES[axis]


def reference_grid(
    radar: Radar, values: np.ndarray, grid: Grid = WHOLE, outside: complex = 1.0
) -> np.ndarray:
    """Complex64 (speeds, z, y, x): trilinear in range and in what angles are taken for."""
    z, y, x = np.meshgrid(*grid.check().axes(), indexing="ij")
    far = np.sqrt(x**2 + y**2 + z**2)
    azimuth, elevation = np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z / far))
    place = [far / radar.waveform.range_bin]
    for k, angle in enumerate((azimuth, elevation)):
        place.append(angle * ANGLES[k] / DEGREES[k] + ANGLES[k] // 2)
    inside = np.all([(p >= 0) & (p <= n - 1)
                     for p, n in zip(place, values.shape[1:], strict=True)], axis=0)  # fmt: skip
    out = np.full((len(values), *grid.shape), outside, np.complex64)
    at = np.array([p[inside] for p in place], np.float32)
    for speed, cube in zip(out, values, strict=True):
        speed[inside] = ndimage.map_coordinates(cube, at, order=1)
    return out
