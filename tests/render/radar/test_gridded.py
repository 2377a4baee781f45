"""Fast beat signals against the formula, sample by sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.render.radar import gridded, signal
from etendue.render.radar.sensor import Array, Radar, Waveform
from etendue.render.radar.signal import Points, Track, scatterers

SMALL = Radar(Waveform(samples=64, loops=6))


def many(count: int, seed: int = 0, moves: float = 0.0) -> Points:
    rng = np.random.default_rng(seed)
    amplitudes = rng.normal(size=count) + 1j * rng.normal(size=count)
    places = rng.uniform([0.5, -4, -2], [9, 4, 2], (count, 3))
    return scatterers(places, amplitudes, *moves * rng.normal(size=(2, count, 3)))


def error(radar: Radar, points: Points) -> float:
    """Relative, root mean square."""
    wanted = signal.beat(radar, points)
    return float(np.linalg.norm(gridded.beat(radar, points) - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("samples", [64, 65, 50, 128])
def test_equals_the_formula(samples: int) -> None:
    radar = replace(SMALL, waveform=replace(SMALL.waveform, samples=samples))
    assert error(radar, many(20)) < 2e-6


def test_moving_points() -> None:
    """But for the bend of phases in a chirp, in proportion to the speed."""
    errors = [error(SMALL, many(20, moves=speed)) for speed in (0.5, 5.0)]
    assert errors[0] < 5e-4 and errors[1] < 5e-3 and errors[1] / errors[0] > 5


def test_mirrored_points_and_other_arrays() -> None:
    first, second = many(9), many(9, 1, 1e-3)
    array = Array(((0, 0), (7, 1), (3, 2)), ((0, 0), (1, 0), (2, 3)), 0.002)
    both = Points(first.there, first.amplitudes, second.there)
    assert error(replace(SMALL, array=array), both) < 2e-6


@pytest.mark.parametrize("distance", [1e-3, 2.883, 11.5, 11.5301, 300.0])
def test_at_the_ends_of_the_band(distance: float) -> None:
    """Also beyond it, where beats are taken for others."""
    assert error(SMALL, scatterers([distance, 0.0, 0.0])) < 2e-6


def test_parts_of_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops may be made a few at a time."""
    whole = gridded.beat(SMALL, many(30))
    monkeypatch.setattr(gridded, "LANES", 2 * 12 * 16)
    np.testing.assert_array_equal(gridded.beat(SMALL, many(30)), whole)


def test_nothing_is_silence() -> None:
    none = np.zeros((0, 3))
    assert not gridded.beat(SMALL, Points(Track(none, none, none), np.zeros(0))).any()


def test_points_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="scatterers: amplitudes: holds NaN"):
        gridded.beat(SMALL, scatterers([1.0, 0, 0], np.nan))
    track = many(3).there
    with pytest.raises(InputError, match="scatterers: do not fit"):
        gridded.beat(SMALL, Points(track, np.ones(3), many(2).there))


def test_tracks_from_a_later_start() -> None:
    track = many(5, moves=1.0).there
    np.testing.assert_allclose(track.since(0.02).at(0.03), track.at(0.05), atol=1e-12)
