"""Spectra, grids of metres and the published tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.render.radar import gridded
from etendue.render.radar.grid import REGION, WHOLE, Grid, beamformer, form
from etendue.render.radar.process import Processing, range_doppler, tensor
from etendue.render.radar.reference import reference_degrees, reference_grid, reference_tensor
from etendue.render.radar.sensor import Radar, Waveform
from etendue.render.radar.signal import scatterers

SMALL = Radar(Waveform(samples=128, loops=16))
HERE = Grid((-0.6, -0.8, 2.0), (0.15, 0.1, 0.05), (8, 16, 24))


def towards(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians([azimuth, elevation])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def test_bins_beside_a_peak_agree() -> None:
    """Between two bins of range or speed phases agree; those of the first sample do not."""
    radar = replace(SMALL, waveform=replace(SMALL.waveform, loops=32))
    speed, distance = 5.5 * radar.speed_bin, 40.5 * radar.waveform.range_bin
    place = distance * towards(6.0, 2.0)
    frame = gridded.beat(radar, scatterers(place, velocities=speed * towards(6.0, 2.0)))
    turned = {}
    for centred in (True, False):
        found = range_doppler(radar, frame, Processing(centred=centred))[:, 3, 5]
        s, r = np.unravel_index(np.argmax(np.abs(found[:-1, :-1])), (31, 127))
        corner = found[s : s + 2, r : r + 2]
        turned[centred] = np.abs(np.angle(corner / corner[0, 0])).max()
    assert turned[True] < 0.2 and turned[False] > 2


@pytest.mark.parametrize("axis", ["range", "speed", "azimuth"])
def test_two_targets_at_little_more_than_the_resolution(axis: str) -> None:
    """1.2 resolutions apart, mean power over relative phases: a dip of 1 dB or more between."""
    apart, pad = 1.2, 8
    how = Processing(hann=False, pad=pad)
    wave, power = SMALL.waveform, np.zeros(1)
    aperture = 86 * SMALL.array.spacing
    for turn in np.arange(8) / 8:
        first, second = np.array([3.0, 0.2, 0.1]), np.array([3.0, 0.2, 0.1])
        speeds = np.zeros((2, 3))
        if axis == "range":
            second = first * (1 + apart * wave.range_bin / np.linalg.norm(first))
        elif axis == "speed":
            speeds[1] = apart * SMALL.speed_bin * first / np.linalg.norm(first)
        else:
            sine = apart * wave.wavelength / aperture
            first, second = np.array([6.0, 0, 0]), 6 * towards(np.degrees(np.arcsin(sine)), 0)
        frame = gridded.beat(
            SMALL, scatterers([first, second], [1, np.exp(2j * np.pi * turn)], speeds)
        )
        if axis == "azimuth":
            seen = tensor(SMALL, frame, (86 * pad, 8), replace(how, pad=1))
            cube = np.abs(seen.values) ** 2
            power = power + cube.max((0, 1, 3))
        else:
            cube = np.abs(range_doppler(SMALL, frame, how)[:, 0, 0]) ** 2
            power = power + cube.max(0 if axis == "range" else 1)
    top = int(np.argmax(power))
    near = power[max(0, top - int(1.8 * pad)) : top + int(1.8 * pad) + 1]
    tops = (near[1:-1] >= near[:-2]) & (near[1:-1] > near[2:]) & (near[1:-1] > near.max() / 2)
    peaks = (1 + np.flatnonzero(tops)).tolist()
    assert len(peaks) == 2, near / near.max()
    dip = near[peaks[0] : peaks[1]].min() / near[peaks].min()
    assert 10 * np.log10(dip) < -1
    assert (peaks[1] - peaks[0]) / pad == pytest.approx(apart, abs=0.35)


def test_what_stands_still_is_taken_off() -> None:
    both = scatterers([[3, 0, 0], [2, 1, 0]], 1.0, [[0, 0, 0], [0.5, 0, 0]])
    seen = [np.abs(range_doppler(SMALL, gridded.beat(SMALL, both), Processing(still=still)))
            for still in (True, False)]  # fmt: skip
    middle, moving = 8, 8 + round(0.5 * 2 / np.sqrt(5) / SMALL.speed_bin)
    bin_of = [round(d / SMALL.waveform.range_bin) for d in (3.0, np.sqrt(5))]
    assert seen[1][middle, :, :, bin_of[0]].max() < 1e-3 * seen[0][middle, :, :, bin_of[0]].max()
    np.testing.assert_allclose(*(s[moving, 0, 0, bin_of[1]] for s in seen), rtol=0.02)


def direct(frame: np.ndarray, voxel: np.ndarray, speed: int) -> complex:
    """A voxel by sums over samples, loops and antennas, without Fourier transforms."""
    wave, array = SMALL.waveform, SMALL.array
    n, loops = np.arange(wave.samples), np.arange(wave.loops)
    hann = [(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(c) + 0.5) / c)) / c for c in (128, 16)]
    far = np.linalg.norm(voxel)
    y, z = voxel[1:] / far * 2 * np.pi * array.spacing / wave.wavelength
    copies: dict[tuple[int, int], list[complex]] = {}
    for k in range(12):
        cycles = speed / wave.loops
        turn = np.exp(-2j * np.pi * cycles * (loops - 7.5)) * np.exp(-2j * np.pi * cycles * k / 12)
        for r in range(16):
            lines = frame[:, k, r] - frame[:, k, r].mean(-1, keepdims=True)
            line = (turn * hann[1]) @ lines * hann[0]
            value, position = 0.0j, far / wave.range_bin
            for b, weight in ((int(position), 1 - position % 1), (int(position) + 1, position % 1)):
                value += weight * (line @ np.exp(-2j * np.pi * b * (n - 63.5) / 128))
            copies.setdefault(tuple(array.virtual()[k, r].tolist()), []).append(value)
    parts = [np.mean(v) * np.exp(1j * (y * (a - 42.5) + z * (b - 3)))
             for (a, b), v in copies.items()]  # fmt: skip
    return complex(np.mean(parts))


def test_a_voxel_is_the_sum_that_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = (rng.normal(size=(16, 12, 16, 128, 2)) @ [1, 1j]).astype(np.complex64)
    found = form(beamformer(SMALL, HERE), frame)
    z, y, x = HERE.axes()
    for s, k, j, i in ((0, 0, 0, 0), (8, 3, 7, 11), (13, 7, 15, 23)):
        wanted = direct(frame, np.array([x[i], y[j], z[k]]), s - 8)
        assert found[s, k, j, i] == pytest.approx(wanted, abs=2e-5 * float(np.abs(found).max()))
    monkeypatch.setattr("etendue.render.radar.grid.KEPT", 0)
    monkeypatch.setattr("etendue.render.radar.grid.MOST", 1000)
    np.testing.assert_allclose(form(beamformer(SMALL, HERE), frame), found, atol=1e-6)


def test_points_lie_in_their_voxels() -> None:
    z, y, x = HERE.axes()
    beams = beamformer(SMALL, HERE)
    for k, j, i in ((3, 8, 12), (6, 2, 20), (1, 13, 5)):
        frame = gridded.beat(SMALL, scatterers([x[i], y[j], z[k]]))
        power = np.abs(form(beams, frame)).max(0)
        at = np.unravel_index(np.argmax(power), power.shape)
        assert max(abs(a - b) for a, b in zip(at, (k, j, i), strict=True)) <= 1, (at, (k, j, i))


def test_voxels_that_the_radar_does_not_see_are_zero() -> None:
    frame = gridded.beat(SMALL, scatterers([3.0, 0, 0]))
    grid = Grid((-0.2, -0.2, -2.0), (0.4, 0.4, 2.0), (1, 1, 8))
    found = np.abs(form(beamformer(SMALL, grid), frame)).max((0, 1, 2))
    assert (found > 0).tolist() == [False, True, True, True, True, True, True, False]


def test_published_grids() -> None:
    z, y, x = REGION.axes()
    assert (len(z), len(y), len(x)) == (16, 64, 160)
    assert x[0] - 0.770 == pytest.approx(0.0453 / 2, abs=1e-4)
    assert y[1] - y[0] == pytest.approx(0.157, abs=1e-3) and z[-1] < 4.7125 < z[-1] + 0.2
    assert WHOLE.shape == (32, 128, 256)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "taken"),
    [(30.0, 0.0, 30.9), (45.0, 0.0, 44.1), (60.0, 0.0, 53.4),
     (0.0, 15.0, 7.5), (0.0, -10.0, -5.6)],
)  # fmt: skip
def test_published_angles(azimuth: float, elevation: float, taken: float) -> None:
    """What the published processing takes angles for, as measured."""
    radar = Radar(Waveform(loops=4))
    frame = gridded.beat(radar, scatterers(4.0 * towards(azimuth, elevation)))
    values = np.abs(reference_tensor(radar, frame))
    at = np.unravel_index(np.argmax(values), values.shape)
    axis = 0 if azimuth else 1
    assert reference_degrees(axis)[at[2 + axis]] == pytest.approx(taken, abs=0.06)


def test_the_published_grid() -> None:
    radar = Radar(Waveform(samples=128, loops=4))
    frame = gridded.beat(radar, scatterers(3.0 * towards(0.0, 15.0)))
    values = reference_tensor(radar, frame)
    grid = Grid((-1.0, -0.5, 1.5), (0.1, 0.1, 0.1), (20, 10, 110))
    found = reference_grid(radar, values, grid)
    power = np.abs(found[2])
    power[found[2] == 1] = 0
    at = np.unravel_index(np.argmax(power), power.shape)
    z, y, x = grid.axes()
    point = np.array([x[at[2]], y[at[1]], z[at[0]]])
    assert np.linalg.norm(point) == pytest.approx(3.0, abs=0.1)
    assert np.degrees(np.arcsin(point[2] / 3.0)) == pytest.approx(7.7, abs=1.5)
    assert (found[:, 0, 0, -1] == 1).all(), "out of range"


def test_frames_that_are_none() -> None:
    with pytest.raises(InputError, match="frame: is not complex; got float32"):
        tensor(SMALL, np.zeros((16, 12, 16, 128), np.float32))
    with pytest.raises(InputError, match="grid: has no voxels"):
        beamformer(SMALL, Grid((0, 0, 0), (1, 1, 1), (1, 0, 1)))
