"""A swinging ball from scene to spectrum: its speeds over time are those of a pendulum."""

from __future__ import annotations

import numpy as np

from etendue.device.drjit import activate
from etendue.render.radar import gridded
from etendue.render.radar.cast import Pose, Rigid
from etendue.render.radar.material import MATERIALS, Material
from etendue.render.radar.process import range_doppler
from etendue.render.radar.scatter import Casting, Look, scatterers_of
from etendue.render.radar.sensor import Array, Radar, Waveform

RADAR = Radar(Waveform(samples=64, loops=64), Array(((0, 0),) * 12, ((0, 0), (1, 0)), 0.0019))
LENGTH, GRAVITY, SWING = 0.8, 9.81, 0.3  # m, m/s^2, rad
PIVOT = np.array([2.5, 0.0, 0.8])


def state(time: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Place, velocity and turning speed of the ball (small angles, swinging along x)."""
    rate = np.sqrt(GRAVITY / LENGTH)
    angle, turning = SWING * np.cos(rate * time), -SWING * rate * np.sin(rate * time)
    arm = LENGTH * np.array([np.sin(angle), 0, -np.cos(angle)])
    speed = LENGTH * turning * np.array([np.cos(angle), 0, np.sin(angle)])
    return PIVOT + arm, speed, turning


def measured(time: float) -> float:
    """Speed of the strongest echo, between bins by a parabola."""
    place, _, turning = state(time)
    ball = {"type": "sphere", "center": place.tolist(), "radius": 0.06}
    scene = activate().load_dict({"type": "scene", "metal": ball})
    # A rod's end: turning about the pivot, to the second order in time
    moves = {"metal": Rigid((0, 0, 0), (0, -turning, 0), tuple(PIVOT.tolist()))}
    table = {**MATERIALS, "metal": Material(1.0, 1e9, opaque=True)}
    look = Look(scene, RADAR, Pose(), moves, table=table)
    found = scatterers_of(look, Casting((600, 160), 30, 40, layers=1))
    start = found.there.since(-0.5 * RADAR.waveform.loops * RADAR.loop)
    seen = range_doppler(RADAR, gridded.beat(RADAR, found.__class__(start, found.amplitudes)))
    power = np.log(np.square(np.abs(seen)).sum((1, 2, 3)))
    k = int(np.argmax(power))
    a, b, c = power[(k - 1) % 64], power[k], power[(k + 1) % 64]
    return RADAR.speed_bin * (k - 32 + 0.5 * (a - c) / (a - 2 * b + c))


def test_micro_doppler_of_a_pendulum() -> None:
    times = np.linspace(0, 2 * np.pi / np.sqrt(GRAVITY / LENGTH), 13)[:-1] + 0.05
    errors = []
    for time in times:
        place, speed, _ = state(time)
        errors.append(measured(time) - speed @ place / np.linalg.norm(place))
    speeds = [np.linalg.norm(state(t)[1]) for t in times]
    assert max(speeds) > 20 * RADAR.speed_bin, "it moves"
    assert np.abs(errors).max() < 0.5 * RADAR.speed_bin, np.array(errors) / RADAR.speed_bin
