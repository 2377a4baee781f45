"""A frame of a radar in a scene: from a Mitsuba scene to samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from etendue.device.drjit import DEFAULT_VARIANT
from etendue.render.radar import gridded
from etendue.render.radar.cast import Pose
from etendue.render.radar.scatter import Look, scatterers_of
from etendue.render.radar.sensor import Radar
from etendue.render.radar.setup import Setup
from etendue.render.radar.signal import Points, noise


@dataclass(frozen=True)
class Frame:
    """Samples complex64 (loops, transmitters, receivers, samples) in sqrt(W), and their origin."""

    radar: Radar
    adc: np.ndarray
    points: Points  # where they are in the middle of the frame


def simulate(look: Look, setup: Setup, *, seed: int = 0, variant: str = DEFAULT_VARIANT) -> Frame:
    """What the receivers of a radar get while the scene is, in the middle of it, as it is.

    Thermal noise comes from `seed`; phases of rough surfaces come from `setup.casting.seed`, so
    that what stands still looks the same from frame to frame.
    """
    points = scatterers_of(look, setup.casting)
    adc = gridded.beat(look.radar, _from_the_start(look.radar, points), variant=variant)
    adc += noise(look.radar, look.radar.link.noise(look.radar.waveform.rate), seed)
    return Frame(look.radar, adc, points)


def look_from(scene: object, setup: Setup, pose: Pose) -> Look:
    """A set-up's radar in a Mitsuba scene."""
    return Look(scene, setup.radar, pose, setup.motion, setup.shapes, setup.materials)


def _from_the_start(radar: Radar, points: Points) -> Points:
    half = 0.5 * radar.waveform.loops * radar.loop
    back = None if points.back is None else points.back.since(-half)
    return replace(points, there=points.there.since(-half), back=back)
