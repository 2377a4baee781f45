"""Radars, grids and castings that fit the work of a CPU."""

from __future__ import annotations

from etendue.render.radar.grid import Grid
from etendue.render.radar.scatter import Casting
from etendue.render.radar.sensor import CASCADE, Array, Radar, Waveform

# Both ends and the middle of the row of transmitters, and the three that stand higher
SENDERS = ((0, 0), (16, 0), (32, 0), (9, 1), (10, 4), (11, 6))
SMALL = Radar(Waveform(samples=160, loops=32), Array(SENDERS, CASCADE.receivers, CASCADE.spacing))
ROOM = Grid((-1.1, -3.2, 0.6), (0.3, 0.2, 0.1), (8, 32, 64))
LOOK = Casting((384, 192), 100.0, 70.0, layers=2)
