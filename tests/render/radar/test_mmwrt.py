"""Beat signals against an independent simulator, the package mmwrt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.render.radar import gridded, signal
from etendue.render.radar.sensor import LIGHT, Array, Radar, Waveform

pytest.importorskip("mmWrt")

WAVE = Waveform(delay=1e-15, samples=96, loops=3)  # it samples from the beginning of the ramp
ARRAY = Array(((0, 0), (5, 1)), ((0, 0), (1, 0), (0, 2)), 0.0019)
RADAR = Radar(WAVE, ARRAY)


def theirs(sender: int, points: signal.Points) -> np.ndarray:
    """(loops, receivers, samples) while one antenna sends, by mmwrt; its chirps are our loops."""
    from mmWrt import Raytracing, Scene

    tx, rx = ARRAY.places()
    places: list[list[Any]] = [[Scene.Antenna(*p) for p in group] for group in (tx[[sender]], rx)]
    sends = Scene.Transmitter(
        WAVE.start, WAVE.slope, (WAVE.samples + 2) / WAVE.rate, places[0], RADAR.loop, WAVE.loops
    )
    hears = Scene.Receiver(WAVE.rate, places[1], adc_sample_count=WAVE.samples)
    radar = Scene.Radar(sends, hears, Scene.Medium(LIGHT, name="air"))
    late = points.there.since(sender * WAVE.period)
    targets = [Scene.Scatterer(*place, *(_line(x, v) for x, v in zip(place, speed, strict=True)))
               for place, speed in zip(late.places, late.velocities, strict=True)]  # fmt: skip
    return np.array([
        Raytracing.sample_all_rays(loop * RADAR.loop + WAVE.times(), [radar], targets, radar,
                                   datatype=np.complex128).T  # type: ignore[arg-type]
        for loop in range(WAVE.loops)
    ])  # fmt: skip


def _line(start: float, speed: float) -> Any:
    return lambda t: start + speed * t


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("sender", [0, 1])
def test_samples_agree(moving: bool, sender: int) -> None:
    rng = np.random.default_rng(4)
    speeds = rng.normal(size=(6, 3)) * moving
    points = signal.scatterers(rng.uniform([1, -2, -1], [5, 2, 1], (6, 3)), 1.0, speeds)
    wanted = theirs(sender, points)[..., 1:]
    for beat in (signal.beat, gridded.beat):
        found = beat(RADAR, points)[:, sender, :, 1:]  # the first sample is before any echo
        assert np.linalg.norm(found - wanted) < 1e-3 * np.linalg.norm(wanted)
