"""Fields that the scene lights: one scattering event in each segment, lit directly.

A point is drawn where light is taken away (`volume_event`), and a light is sampled from it. The
field's colour, decoded, is its albedo. What scatters is a diffuse surface, whose normal is the
descent of log sigma, with the probability s = 1 - exp(-|grad log sigma| / EDGE), or else an
isotropic phase function: so a surface is shaded like one, and fog is fog. Single scattering in a
volume would send back less than half of what a surface does, however thin its skin; so what counts
as a surface is left by `LEAVE` steps along its normal before other matter can shade it. Light that
was scattered before is not counted, and the rest of the scene receives what scatters here along its
own segments.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from etendue.render.path.volume import Volume, reach
from etendue.render.path.volume_event import event

EDGE = 8.0  # |grad log sigma|, per side of the cube, from which on a field is more surface than fog
LEAVE = 4.0  # steps


def scattered(volume: Volume, scene: Any, ray: Any, far: Any, rng: Any, active: Any) -> Any:
    """Radiance (Color3f) that lit fields send back along a segment up to `far`."""
    weight, t, albedo, slope, step = event(volume, ray, far, rng, active, lit_only=True)
    lit = active & (weight > 0.0)
    size = dr.norm(slope)
    normal = -slope / dr.maximum(size, 1e-6)
    surface = rng.next_float32() >= dr.exp(-size / EDGE)
    at = dr.zeros(mi.Interaction3f, dr.width(ray))
    at.p = ray.o + t * ray.d + dr.select(surface, LEAVE * step, 0.0) * normal
    u = mi.Point2f(rng.next_float32(), rng.next_float32())
    ds, emitted = scene.sample_emitter_direction(at, u, True, lit)
    lit &= ds.pdf != 0.0
    diffuse = dr.inv_pi * dr.maximum(dr.dot(normal, ds.d), 0.0)
    phase = dr.select(surface, diffuse, dr.inv_four_pi)
    lit &= phase > 0.0
    passed = volume.transmittance(mi.Ray3f(at.p, ds.d), reach(ds), rng.next_float32(), lit)
    return dr.select(lit, weight * phase * passed * albedo * emitted, 0.0)
