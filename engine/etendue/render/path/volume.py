"""Radiance fields along the segments of paths; oracle: `field.march`.

A field gives off light and takes it away. What it takes away dims whatever lies behind, for
the eye and for the lights: it casts shadows. Its colours are those of the photos that it was made
of, unless it is to be lit by the scene (`volume_lit`). The sums along a segment are made as they
were in training, of display-encoded colours, and decoded at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.render.placed import Placed

FAR, GROWTH = 64.0, 4.0  # as `field.space` has them, which needs torch
STOP = 1e-4  # a segment is over when it lets no more than this through


@dataclass(frozen=True)
class Grain:
    """A placed field ready for kernels."""

    kernel: Any
    to_cube: Any  # Transform4f
    side: float  # of the cube, in the world
    step: float  # in the world
    cells: int
    filled: Any  # UInt8 buffer
    scale: float
    lit: bool  # by the scene; else it gives off its own light
    contracted: bool  # its unit cube holds all of the world

    def at(self, p: Any) -> Any:
        """The point of the field's unit cube that a point of the world is; twin of `contract`."""
        x = self.to_cube @ p
        if not self.contracted:
            return x
        w = 2.0 * x - 1.0
        size = dr.maximum(dr.max(dr.abs(w)), 1.0)
        return 0.5 + 0.25 * w * ((2.0 - 1.0 / size) / size)


@dataclass(frozen=True)
class Steps:
    """The steps of segments: equal ones up to the bend, if there is one."""

    near: Any
    dt: Any
    count: Any  # UInt
    bend: Any  # Float, or None
    side: float

    def t(self, k: Any) -> Any:
        """Distance after `k` (Float) steps."""
        s = self.near + k * self.dt
        if self.bend is None:
            return s
        beyond = dr.maximum(s - self.bend, 0.0) / self.side
        return dr.minimum(s, self.bend) + self.side * (dr.exp(GROWTH * beyond) - 1.0)

    def length(self, k: Any) -> Any:
        """Of the step number `k` (Float)."""
        return self.dt if self.bend is None else self.t(k + 1.0) - self.t(k)


@dataclass(frozen=True)
class Volume:
    """The fields of a scene; false when there are none."""

    grains: tuple[Grain, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, placed: tuple[Placed, ...]) -> Volume:
        """Upload them for the active variant."""
        return cls(tuple(map(_grain, placed)))

    def __bool__(self) -> bool:
        """True when there is any."""
        return bool(self.grains)

    @property
    def lit(self) -> bool:
        """Whether the scene lights any."""
        return any(grain.lit for grain in self.grains)

    def light(self, ray: Any, far: Any, jitter: Any, active: Any) -> tuple[Any, Any]:
        """Radiance (Color3f) that a segment brings up to `far`, and its transmittance (Float)."""
        found, through = self._march(ray, far, jitter, active, colored=True)
        opacity = dr.maximum(1.0 - through, 1e-8)
        return opacity * decoded(found / opacity), through

    def transmittance(self, ray: Any, far: Any, jitter: Any, active: Any) -> Any:
        """What of the light passes a segment."""
        return self._march(ray, far, jitter, active, colored=False)[1]

    def _march(
        self, ray: Any, far: Any, jitter: Any, active: Any, *, colored: bool
    ) -> tuple[Any, Any]:
        """Sums over equal steps that fill the way through all cubes exactly."""
        steps = self.steps(ray, far, active)

        def body(k: Any, through: Any, found: Any) -> tuple[Any, Any, Any]:
            at = steps.t(mi.Float(k) + jitter)
            p, dt = mi.Point3f(ray.o + at * ray.d), steps.length(mi.Float(k))
            thick, color = mi.Float(0.0), mi.Color3f(0.0)
            for grain in self.grains:
                one, other = ask_grain(grain, p, ray.d, colored and not grain.lit)
                part = one * dt / grain.side
                thick, color = thick + part, color + part * other
            absorbed = 1.0 - dr.exp(-thick)
            found += dr.select(thick > 0.0, through * absorbed * color / thick, 0.0)
            return k + 1, through * (1.0 - absorbed), found

        start = (mi.UInt(0), mi.Float(1.0), mi.Color3f(0.0))
        _, through, found = dr.while_loop(
            start,
            lambda k, through, found: (k < steps.count) & self.goes_on(through),
            body,
            label="field",
        )
        return found, through

    def steps(self, ray: Any, far: Any, active: Any) -> Steps:
        """How a segment up to `far` is cut: equal steps that fill its way through the cubes.

        Among unbounded fields they grow where all of those are left, as in `field.space`; bounded
        ones that stand further out are seen in those longer steps.
        """
        near, last = self._span(ray)
        bend, side = self._bend(ray)
        if bend is None:
            last = dr.minimum(last, far)
        else:
            near, reach = mi.Float(0.0), dr.minimum(far, bend + FAR * side)
            beyond = dr.maximum(reach - bend, 0.0) / side
            last = dr.minimum(reach, bend) + side * dr.log(1.0 + beyond) / GROWTH
        step = min(grain.step for grain in self.grains)
        inside = active & (last > near)
        count = dr.select(inside, dr.ceil((last - near) / step - 1e-4), 0.0)
        dt = (last - near) / dr.maximum(count, 1.0)
        return Steps(near, dt, mi.UInt(count), bend, side)

    def _bend(self, ray: Any) -> tuple[Any, float]:
        """Where a ray has left the doubled cubes of all unbounded fields, and their largest side.

        None where every field has bounds.
        """
        bend, side = None, 1.0
        for grain in self.grains:
            if not grain.contracted:
                continue
            o, d = grain.to_cube @ ray.o, grain.to_cube @ ray.d
            d = dr.select(dr.abs(d) < 1e-9, 1e-9, d)
            a, b = (-0.5 - o) / d, (1.5 - o) / d
            enters, leaves = dr.max(dr.minimum(a, b)), dr.min(dr.maximum(a, b))
            own = dr.select(leaves > dr.maximum(enters, 0.0), leaves, 0.5 * grain.side)
            bend = own if bend is None else dr.maximum(bend, own)
            side = max(side, grain.side) if bend is not own else grain.side
        return bend, side

    def goes_on(self, through: Any) -> Any:
        """Whether so much transmittance is worth another step."""
        return through > STOP

    def _span(self, ray: Any) -> tuple[Any, Any]:
        near, last = mi.Float(dr.inf), mi.Float(-dr.inf)
        for grain in self.grains:
            o, d = grain.to_cube @ ray.o, grain.to_cube @ ray.d
            d = dr.select(dr.abs(d) < 1e-9, 1e-9, d)
            a, b = (0.0 - o) / d, (1.0 - o) / d
            enters = dr.maximum(dr.max(dr.minimum(a, b)), 0.0)
            leaves = dr.min(dr.maximum(a, b))
            meets = leaves > enters
            near = dr.select(meets, dr.minimum(near, enters), near)
            last = dr.select(meets, dr.maximum(last, leaves), last)
        return near, last


def reach(ds: Any) -> Any:
    """Up to where fields dim a light; the scene's bounds, that of a distant one, know no fields."""
    endless = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Infinite)
    return dr.select(endless, dr.inf, ds.dist)


def _grain(placed: Placed) -> Grain:
    from etendue.field.kernels import kernel  # with torch, which few scenes need

    own, scale = placed.field, float(np.cbrt(np.linalg.det(placed.to_world[:3, :3])))
    inverse = mi.Transform4f(np.linalg.inv(placed.to_world))
    dr.make_opaque(inverse)
    filled = mi.UInt(own.occupancy.mask.numpy().astype(np.uint32))
    dr.eval(filled)
    return Grain(
        kernel(mi, own), inverse, scale, own.occupancy.step * scale, own.occupancy.cells, filled,
        placed.scale, placed.lit, own.occupancy.contracted,
    )  # fmt: skip


def ask_grain(grain: Grain, p: Any, d: Any, colored: bool) -> tuple[Any, Any]:
    """sigma, per side of the cube, and colour at a point of the world."""
    x, n = grain.at(p), grain.cells
    inside = dr.all((x >= 0.0) & (x <= 1.0))
    cell = [mi.UInt(dr.clip(v * n, 0.0, n - 1.0)) for v in x]
    at = (cell[0] * n + cell[1]) * n + cell[2]
    here = inside & (dr.gather(mi.UInt, grain.filled, at, inside) > 0)
    own = dr.normalize(grain.to_cube @ d)

    def ask(x: Any, own: Any) -> tuple[Any, Any]:
        if not colored:
            return dr.exp(grain.kernel.log_density(tuple(x))), mi.Color3f(0.0)
        rgb, log_sigma = grain.kernel.query(tuple(x), tuple(own))
        return dr.exp(log_sigma), grain.scale * mi.Color3f(*rgb)

    def skip(x: Any, own: Any) -> tuple[Any, Any]:
        return mi.Float(0.0), mi.Color3f(0.0)

    return dr.if_stmt((mi.Point3f(x), mi.Vector3f(own)), here, ask, skip)


def decoded(encoded: Any) -> Any:
    """Linear values of sRGB-encoded ones."""
    high = dr.power(dr.maximum((encoded + 0.055) / 1.055, 0.0), 2.4)
    return dr.select(encoded <= 0.04045, encoded / 12.92, high)
