"""Where along a segment fields take light: a point drawn in proportion to what is taken there.

Reservoir sampling over the marcher's steps; within a step the point is drawn by Beer's law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from etendue.render.path.volume import Grain, Volume, ask_grain, decoded

REACH = 1.5  # of a step: half the distance between points whose densities are compared


@dataclass(frozen=True)
class Seen:
    """What of a field a camera ray sees, where `hit`; else it sees what lies behind."""

    hit: Any  # Bool
    t: Any
    p: Any  # Point3f
    normal: Any  # Vector3f, 0 in fog that is equal everywhere
    albedo: Any  # Color3f, its colour

    def over(self, si: Any) -> Any:
        """The surface interaction, with the field's point where that is seen."""
        front = mi.SurfaceInteraction3f(si)
        front.t = dr.select(self.hit, self.t, si.t)
        front.p = dr.select(self.hit, self.p, si.p)
        front.sh_frame.n = dr.select(self.hit, self.normal, si.sh_frame.n)
        front.uv = dr.select(self.hit, 0.0, si.uv)
        front.shape = dr.select(self.hit, dr.zeros(mi.ShapePtr), si.shape)
        return front

    def colored(self, albedo: Any) -> Any:
        """The albedo of what is seen, where `albedo` is that of what lies behind."""
        return dr.select(self.hit, self.albedo, albedo)


def seen(volume: Volume, ray: Any, far: Any, rng: Any) -> Seen:
    """A field's point or nothing, as probable as it is that the field hides what is at `far`."""
    share, t, color, slope, _ = event(volume, ray, far, rng, mi.Bool(True), lit_only=False)
    hit = rng.next_float32() < share
    size = dr.norm(slope)
    normal = dr.select(size > 1e-3, -slope / dr.maximum(size, 1e-6), 0.0)
    return Seen(hit, t, mi.Point3f(ray.o + t * ray.d), mi.Vector3f(normal), color)


def event(
    volume: Volume, ray: Any, far: Any, rng: Any, active: Any, *, lit_only: bool
) -> tuple[Any, ...]:
    """Share of the light that is taken, and a place: distance, colour, slope of log sigma, step.

    The slope is in the world, per side of the field's cube, whose marching step is the last. With
    `lit_only` the places and the share are those of fields that the scene lights.
    """
    wanted = [grain.lit or not lit_only for grain in volume.grains]
    steps = volume.steps(ray, far, active)
    jitter = rng.next_float32()
    own = mi.PCG32(initstate=mi.UInt64(rng.next_uint32()), initseq=mi.UInt64(rng.next_uint32()))

    def body(
        k: Any, through: Any, own: Any, total: Any, place: Any, color: Any, kind: Any
    ) -> tuple[Any, Any, Any, Any, Any, Any, Any]:
        start, dt = steps.t(mi.Float(k)), steps.length(mi.Float(k))
        p = mi.Point3f(ray.o + steps.t(mi.Float(k) + jitter) * ray.d)
        thick, scattering, mixed, chief = mi.Float(0.0), mi.Float(0.0), mi.Color3f(0.0), mi.UInt(0)
        densest = mi.Float(-1.0)
        for number, (grain, counts) in enumerate(zip(volume.grains, wanted, strict=True)):
            one, other = ask_grain(grain, p, ray.d, counts)
            part = one * dt / grain.side
            thick += part
            if counts:
                scattering, mixed = scattering + part, mixed + part * decoded(other)
                chief = dr.select(part > densest, number, chief)
                densest = dr.maximum(densest, part)
        absorbed = 1.0 - dr.exp(-thick)
        share = dr.select(thick > 0.0, through * absorbed * scattering / thick, 0.0)
        total += share
        chosen = own.next_float32() * total < share
        depth = _depth(own.next_float32(), thick, absorbed)
        place = dr.select(chosen, start + depth * dt, place)
        color = dr.select(chosen, mixed / dr.maximum(scattering, 1e-12), color)
        kind = dr.select(chosen, chief, kind)
        return k + 1, through * (1.0 - absorbed), own, total, place, color, kind

    nothing = mi.Float(0.0), mi.Float(0.0), mi.Color3f(0.0), mi.UInt(0)
    first = (mi.UInt(0), mi.Float(1.0), own, *nothing)
    _, _, _, total, place, color, kind = dr.while_loop(
        first,
        lambda k, through, *_: (k < steps.count) & volume.goes_on(through),
        body,
        label="field event",
    )
    p, slope, step = mi.Point3f(ray.o + place * ray.d), mi.Vector3f(0.0), mi.Float(0.0)
    here = active & (total > 0.0)
    for number, grain in enumerate(volume.grains):
        if wanted[number]:
            mine = kind == number
            slope = dr.select(mine, _slope(grain, p, here & mine), slope)
            step = dr.select(mine, grain.step, step)
    return total, place, color, slope, step


def _depth(u: Any, thick: Any, absorbed: Any) -> Any:
    """Where in a step of optical thickness `thick` light is taken away, from 0 to 1."""
    free = -dr.log(dr.maximum(1.0 - u * absorbed, 1e-30)) / dr.maximum(thick, 1e-12)
    return dr.select(thick > 1e-3, dr.minimum(free, 1.0), u)


def _slope(grain: Grain, p: Any, active: Any) -> Any:
    """Gradient of log sigma by central differences, in the world's directions, per side."""
    h = REACH * grain.step
    found = []
    for axis in range(3):
        offset = mi.Vector3f(0.0)
        offset[axis] = h
        ends = [_log_sigma(grain, p + sign * offset, active) for sign in (1.0, -1.0)]
        found.append((ends[0] - ends[1]) * (grain.side / (2.0 * h)))
    return mi.Vector3f(*found)


def _log_sigma(grain: Grain, p: Any, active: Any) -> Any:
    """Log sigma, also where the field counts as empty: the slope at its edge is wanted."""
    x = grain.at(mi.Point3f(p))
    inside = mi.Point3f(dr.clip(x, 0.0, 1.0))

    def ask(x: Any) -> Any:
        return grain.kernel.log_density(tuple(x))

    return dr.if_stmt((inside,), active, ask, lambda x: mi.Float(0.0))
