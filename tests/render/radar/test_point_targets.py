"""The radar on points: its figures, its signal, and where targets are found."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.render.radar import gridded
from etendue.render.radar.process import Processing, Tensor, range_doppler, tensor
from etendue.render.radar.sensor import CASCADE, LIGHT, Radar, Waveform
from etendue.render.radar.setup import load_setup
from etendue.render.radar.signal import Points, Track, beat, noise, scatterers

SMALL = Radar(Waveform(samples=128, loops=16))  # half the range, a quarter of the speeds


def points(places: Any, velocities: Any = 0.0, amplitudes: Any = 1.0) -> Points:
    return scatterers(places, amplitudes, velocities)


def towards(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians([azimuth, elevation])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def test_figures_of_the_cascade() -> None:
    """Of the published configuration."""
    radar = Radar()
    wave = radar.waveform
    assert wave.bandwidth == pytest.approx(3.327e9, rel=1e-3)
    assert wave.centre == pytest.approx(78.99e9, rel=1e-4)
    assert wave.wavelength == pytest.approx(3.795e-3, rel=1e-3)
    assert wave.range_bin == pytest.approx(0.04505, rel=1e-3)
    assert radar.most_range == pytest.approx(11.53, rel=1e-3)
    assert radar.loop == pytest.approx(780e-6)
    assert radar.most_speed == pytest.approx(1.217, rel=1e-3)
    assert radar.speed_bin == pytest.approx(0.03804, rel=1e-3)
    places = CASCADE.virtual().reshape(-1, 2)
    unique = np.unique(places, axis=0)
    assert len(places) == 192 and len(unique) == 134 and places.max(0).tolist() == [85, 6]
    rows = {row: int((unique[:, 1] == row).sum()) for row in range(7)}
    assert rows == {0: 86, 1: 16, 2: 0, 3: 0, 4: 16, 5: 0, 6: 16}


def test_a_sample_is_the_formula() -> None:
    radar = replace(SMALL, waveform=replace(SMALL.waveform, loops=3))
    both = points([[3.0, 0.5, -0.2], [1.5, -1.0, 0.3]], [[0.4, 0, 0], [0, 1.0, -2.0]], [1.0, 0.5j])
    frame = beat(radar, both)
    wave, (tx, rx) = radar.waveform, radar.array.places()
    for loop, k, r, n in ((0, 0, 0, 0), (2, 11, 15, 127), (1, 4, 7, 31)):
        t = wave.delay + n / wave.rate
        wanted = 0.0j
        for p, v, a in zip(both.there.places, both.there.velocities, both.amplitudes, strict=True):
            at = p + v * (loop * radar.loop + k * wave.period + t)
            tau = (np.linalg.norm(at - tx[k]) + np.linalg.norm(at - rx[r])) / LIGHT
            cycles = wave.start * tau + wave.slope * tau * t - 0.5 * wave.slope * tau**2
            wanted += a * np.exp(2j * np.pi * cycles)
        assert frame[loop, k, r, n] == pytest.approx(wanted, abs=2e-5)


def test_signals_add_up() -> None:
    first, second = points([3, 0, 0]), points([2, 1, 0], [0.1, 0, 0], 2.0)
    both = points([[3, 0, 0], [2, 1, 0]], [[0, 0, 0], [0.1, 0, 0]], [1.0, 2.0])
    np.testing.assert_allclose(
        beat(SMALL, both), beat(SMALL, first) + beat(SMALL, second), atol=2e-6
    )


def test_noise_is_white_and_repeats() -> None:
    made = noise(SMALL, 0.3, 1)
    assert made.shape == (16, 12, 16, 128) and made.dtype == np.complex64
    assert np.square(np.abs(made)).mean() == pytest.approx(0.09, rel=0.01)
    assert abs(np.mean(made * made)) < 1e-3, "circular"
    assert np.array_equal(made, noise(SMALL, 0.3, 1))
    assert not np.array_equal(made, noise(SMALL, 0.3, 2))


def peak(found: Tensor) -> tuple[list[float], tuple[int, ...]]:
    """Speed, range, u and v of the strongest bin, between bins by a parabola, in bins."""
    power = np.log(np.abs(found.values) + 1e-12)
    at = np.unravel_index(np.argmax(power), power.shape)
    fine = []
    for axis, k in enumerate(at):
        size = power.shape[axis]
        row = [power[(*at[:axis], (k + d) % size, *at[axis + 1 :])] for d in (-1, 0, 1)]
        fine.append(k + 0.5 * (row[0] - row[2]) / (row[0] - 2 * row[1] + row[2]))
    return fine, tuple(int(k) for k in at)


GRID = list(itertools.product((2.0, 3.7, 5.2), (-50.0, -15.0, 0.0, 25.0, 42.0)))
OTHER = [(-12.0, 0.0), (0.0, 0.7), (9.0, -0.9)]  # elevation, speed


@pytest.mark.parametrize(
    ("distance", "azimuth", "elevation", "speed"),
    [(*at, *OTHER[k % 3]) for k, at in enumerate(GRID)],
)
def test_a_target_is_found_within_half_a_bin(
    distance: float, azimuth: float, elevation: float, speed: float
) -> None:
    n = towards(azimuth, elevation)
    frame_s = SMALL.waveform.loops * SMALL.loop
    place = (distance - 0.5 * frame_s * speed) * n  # at its distance in the middle of the frame
    found = tensor(SMALL, gridded.beat(SMALL, points(place, speed * n)), (128, 32))
    fine, _ = peak(found)
    wanted = (
        speed / SMALL.speed_bin + 8,
        distance / SMALL.waveform.range_bin,
        n[1] / (found.u[1] - found.u[0]) + 64,
        n[2] / (found.v[1] - found.v[0]) + 16,
    )
    for name, got, true in zip(("speed", "range", "u", "v"), fine, wanted, strict=True):
        assert abs(got - true) < 0.5, (name, got, true)


def test_angles_are_physical() -> None:
    """Where u^2 + v^2 <= 1, the map gives back the angles of a direction; elsewhere none."""
    found = tensor(SMALL, np.zeros((16, 12, 16, 128), np.complex64))
    for azimuth, elevation in ((30.0, 10.0), (-60.0, 0.0), (45.0, -20.0)):
        n = towards(azimuth, elevation)
        own = replace(found, u=n[1:2], v=n[2:3])
        assert own.azimuth()[0, 0] == pytest.approx(azimuth, abs=1e-9)
        assert own.elevation()[0] == pytest.approx(elevation, abs=1e-9)
    assert np.isnan(found.azimuth()[-1, -1]) and np.isfinite(found.azimuth()[64, 16])


def test_the_phase_between_turns_makes_a_ghost_and_is_taken_off() -> None:
    """A point at the radar's height that comes or goes, in the bins of the published tensor."""
    radar = Radar(Waveform(samples=64))
    for speed in (0.6, -0.6):
        frame = gridded.beat(radar, points([2.0, 0, 0], [speed, 0, 0]))
        ghosts = []
        for compensate in (True, False):
            found = tensor(radar, frame, (128, 32), Processing(compensate=compensate))
            _, at = peak(found)
            ghosts.append(abs(found.elevation()[at[3]]))
        assert ghosts[0] < 0.5 and 3.0 <= ghosts[1] < 4.5, ghosts


def test_power_falls_with_the_amplitude_squared() -> None:
    frames = [gridded.beat(SMALL, points([3, 0, 0], amplitudes=a)) for a in (1.0, 0.1)]
    tops = [np.abs(range_doppler(SMALL, frame)).max() for frame in frames]
    assert tops[0] / tops[1] == pytest.approx(10, rel=1e-3)


def test_a_mean_of_copies_is_no_louder() -> None:
    """At the direction of a far target all antennas agree, wherever copies are."""
    found = tensor(SMALL, gridded.beat(SMALL, points([5.0, 0, 0])))
    single = np.abs(range_doppler(SMALL, gridded.beat(SMALL, points([5.0, 0, 0])))).max()
    assert np.abs(found.values).max() == pytest.approx(single, rel=0.1)


def test_a_radar_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "radar.toml"
    path.write_text(
        "[waveform]\nloops = 32\nslope = 60e12\n[array]\nspacing = 0.002\n"
        "transmitters = [[0, 0], [4, 0]]\nreceivers = [[0, 0], [1, 0], [2, 0], [3, 0]]\n"
    )
    radar = load_setup(path).radar
    assert radar.waveform == Waveform(loops=32, slope=60e12)
    assert radar.array.virtual()[..., 0].ravel().tolist() == list(range(8))
    assert radar.loop == pytest.approx(130e-6)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[waveform]\nloop = 32", "waveform: has no such entry; got loop"),
        ("[waveform]\nloops = 0", "waveform.loops: is out of range; got 0"),
        ("[waveform]\nloops = 2.5", "waveform.loops: is out of range"),
        ("[waveform]\nslope = nan", "waveform.slope: is out of range"),
        ("[array]\nreceivers = [[0]]", "array.receivers: is no list of places"),
        ("[antenna]", "has an unknown table; got antenna"),
        ("waveform = 3", "waveform is no table"),
        ("[", "cannot be read"),
    ],
)
def test_files_that_are_no_radar(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "radar.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_setup(path)
    assert told in str(caught.value) and "radar.toml" in str(caught.value)


def test_bad_input_is_one_clear_error() -> None:
    frame = np.zeros((16, 12, 16, 128), np.complex64)
    with pytest.raises(InputError, match="frame: has another shape"):
        tensor(SMALL, frame[:, :11])
    frame[3, 2, 1, 0] = np.nan
    with pytest.raises(InputError, match="frame: holds NaN or infinite values"):
        tensor(SMALL, frame)
    with pytest.raises(InputError, match="has fewer bins than the array has places"):
        tensor(SMALL, np.zeros_like(frame), (64, 32))
    with pytest.raises(InputError, match="scatterers: do not fit"):
        still = np.zeros((2, 3))
        beat(SMALL, Points(Track(still, np.zeros((1, 3)), still), np.ones(2)))
    with pytest.raises(InputError, match="scatterers: places: holds NaN"):
        beat(SMALL, points([np.nan, 0, 0]))
