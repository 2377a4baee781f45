"""The radar's picture on a grid of metres: every voxel's speeds, by beams steered to its middle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from etendue.core.errors import InputError
from etendue.render.radar.process import Processing, copies, range_doppler
from etendue.render.radar.sensor import Radar

MOST = 1 << 22  # complex weights at a time
KEPT = 1 << 25  # complex weights that are kept from frame to frame


@dataclass(frozen=True)
class Grid:
    """Voxels in the radar's frame, as (z, y, x): up, left, ahead."""

    minimum: tuple[float, float, float]  # m, corner
    voxel: tuple[float, float, float]  # m
    shape: tuple[int, int, int]

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middles of the voxels along z, y and x."""
        parts = zip(self.minimum, self.voxel, self.shape, strict=True)
        z, y, x = (low + side * (np.arange(n) + 0.5) for low, side, n in parts)
        return z, y, x

    def check(self) -> Grid:
        """`InputError` for what cannot be."""
        if any(n < 1 for n in self.shape) or not all(side > 0 for side in self.voxel):
            raise InputError("grid", "has no voxels", got=(self.shape, self.voxel))
        return self


# Ranges, azimuths and heights of the published tensors, and of what is cut out of them.
WHOLE = Grid((-5.8, -10.05, 0.0), (11.6 / 32, 20.1 / 128, 11.6 / 256), (32, 128, 256))
REGION = Grid((-1.0875, -5.025, 0.770), (5.8 / 16, 10.05 / 64, 7.25 / 160), (16, 64, 160))


@dataclass(frozen=True)
class Beamformer:
    """Weights that steer to a grid's voxels, sorted by the range bin that they lie behind."""

    radar: Radar
    grid: Grid
    how: Processing
    order: np.ndarray  # voxels in this order
    starts: np.ndarray  # of a range bin's voxels in it, (bins + 1,)
    u: np.ndarray  # (voxels,) in that order
    v: np.ndarray
    beyond: np.ndarray  # how far behind its bin a voxel lies, in bins
    antennas: np.ndarray  # places (antennas, 2) of the virtual array, without copies
    weights: np.ndarray | None = None  # (voxels, antennas), unless there are too many to keep


def beamformer(radar: Radar, grid: Grid, how: Processing | None = None) -> Beamformer:
    """Prepare for a grid; voxels out of range, or behind the radar, will be zero."""
    how = how or Processing()
    z, y, x = np.meshgrid(*grid.check().axes(), indexing="ij")
    far = np.sqrt(x**2 + y**2 + z**2).ravel()
    bins = radar.waveform.samples * how.pad
    position = far / radar.waveform.range_bin * how.pad
    seen = np.flatnonzero((position < bins - 1) & (x.ravel() > 0) & (far > 0))
    whole = np.floor(position[seen]).astype(int)
    order = seen[np.argsort(whole, kind="stable")]
    starts = np.searchsorted(np.sort(whole), np.arange(bins + 1))
    at = far[order]
    beyond = (position[order] - np.floor(position[order])).astype(np.float32)
    u, v = y.ravel()[order] / at, z.ravel()[order] / at
    antennas = np.unique(radar.array.virtual().reshape(-1, 2), axis=0)
    bare = Beamformer(radar, grid, how, order, starts, u, v, beyond, antennas)
    if len(order) * len(antennas) > KEPT:
        return bare
    return replace(bare, weights=_steering(bare, slice(None)))


def form(beams: Beamformer, frame: np.ndarray) -> np.ndarray:
    """Complex64 (speeds, z, y, x): sum_a x_a exp(j k (u y_a + v z_a)) / antennas in each voxel.

    Between two range bins it is linear. Copies of virtual antennas count as their mean.
    """
    radar, grid = beams.radar, beams.grid
    seen = range_doppler(radar, frame, beams.how)
    speeds = len(seen)
    places = radar.array.virtual().reshape(-1, 2)
    index = np.unique(places, axis=0, return_inverse=True)[1]
    weights = np.zeros((len(places), len(beams.antennas)), np.complex64)
    weights[np.arange(len(places)), index] = copies(places)
    lines = np.ascontiguousarray(seen.reshape(speeds, len(places), -1).transpose(2, 0, 1)) @ weights
    made = np.zeros((len(beams.order), speeds), np.complex64)
    step = max(1, MOST // len(beams.antennas))
    for k in range(len(beams.starts) - 1):
        for first in range(beams.starts[k], beams.starts[k + 1], step):
            rows = slice(first, min(first + step, beams.starts[k + 1]))
            kept = beams.weights
            steering = _steering(beams, rows) if kept is None else kept[rows]
            t = beams.beyond[rows, None]
            made[rows] = (1 - t) * (steering @ lines[k].T) + t * (steering @ lines[k + 1].T)
    out = np.zeros((int(np.prod(grid.shape)), speeds), np.complex64)
    out[beams.order] = made
    return np.ascontiguousarray(out.T).reshape(speeds, *grid.shape)


def _steering(beams: Beamformer, rows: slice) -> np.ndarray:
    """exp(j k d (u y + v z)) (voxels, antennas) around the middle of the array."""
    wave = beams.radar.waveform
    turn = 2 * np.pi * beams.radar.array.spacing / wave.wavelength
    places = beams.antennas
    y, z = ((places - (places.max(0) + places.min(0)) / 2) * turn).astype(np.float32).T
    u, v = (part[rows, None].astype(np.float32) for part in (beams.u, beams.v))
    return np.exp(1j * (u * y + v * z))
