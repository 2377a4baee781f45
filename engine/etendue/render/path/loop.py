"""The path tracing loop: one megakernel, materials inline where the scene has such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from etendue.bsdf.base import ShadingPoint
from etendue.render.path.dispatch import NONE, Evaluation, InlineTable
from etendue.render.path.footprint import Cone, footprint
from etendue.render.path.volume import Volume, reach
from etendue.render.path.volume_lit import scattered

STRATEGIES = ("mis", "light", "bsdf")
RR_MAX = 0.95  # largest survival probability of Russian roulette
SPREAD_PER_LOBE = 0.1  # radians of cone angle gained per 1 / sqrt(pdf) of a drawn direction


@dataclass(frozen=True)
class PathOptions:
    """What to compute along a path."""

    max_depth: int = 8  # path vertices, -1 = unlimited; 1 shows emitters only
    rr_depth: int = 5  # Russian roulette from this many bounces on
    strategy: str = "mis"  # how light is found: "mis", or "light" or "bsdf" sampling alone
    hide_emitters: bool = False  # lights are not seen directly, only what they light


@dataclass
class PathState:
    """Loop variables (a Dr.Jit PyTree)."""

    ray: Any  # Ray3f
    rng: Any  # PCG32
    throughput: Any  # Color3f
    radiance: Any  # Color3f, the result
    previous: Any  # Point3f, the vertex that the ray leaves from
    pdf: Any  # Float, 1/sr, of the ray's direction
    delta: Any  # Bool, the direction has no density
    eta: Any  # Float, product of the relative indices of refraction
    depth: Any  # UInt, bounces so far
    cone: Cone | None  # only when inline materials want footprints
    absorption: Any  # Color3f, of the solid the ray is in; None when no inline material transmits
    active: Any  # Bool


def trace_paths(
    scene: Any,
    table: InlineTable,
    options: PathOptions,
    ray: Any,
    rng: Any,
    cone: Cone,
    volume: Volume | None = None,
) -> tuple[Any, Any]:
    """Radiance (Color3f) along each ray, and how many segments (UInt) its path had.

    Next-event estimation and BSDF sampling are combined by the power heuristic (Veach 1995).
    """
    if options.hide_emitters:
        ray = past_emitters(scene, ray)
    state = PathState(
        ray=mi.Ray3f(ray),
        rng=rng,
        throughput=mi.Color3f(1.0),
        radiance=mi.Color3f(0.0),
        previous=mi.Point3f(0.0),
        pdf=mi.Float(1.0),
        delta=mi.Bool(True),
        eta=mi.Float(1.0),
        depth=mi.UInt(0),
        cone=cone if table else None,
        absorption=mi.Color3f(0.0) if table.transmits else None,
        active=mi.Bool(True),
    )
    limit = options.max_depth if options.max_depth >= 0 else 0xFFFFFFFF
    if limit == 0:
        return dr.zeros(mi.Color3f, dr.width(ray)), dr.zeros(mi.UInt, dr.width(ray))

    def body(s: PathState) -> tuple[PathState]:
        return (_bounce(scene, table, options, limit, volume or Volume(), s),)

    with table.detached():
        (state,) = dr.while_loop((state,), lambda s: s.active, body, label="path")
    return state.radiance, state.depth


def _bounce(
    scene: Any, table: InlineTable, options: PathOptions, limit: int, volume: Volume, s: PathState
) -> PathState:
    """One segment: what the ray hits, light found there, the next ray."""
    si = scene.ray_intersect(s.ray, mi.RayFlags.All, s.depth == 0, s.active)
    carried = s.throughput
    if s.absorption is not None:
        carried = carried * transmittance(s.absorption, si.t)
    radiance, carried = _along_fields(scene, volume, limit, si, s, carried)
    radiance += carried * _emission(scene, options, si, s)
    active = s.active & si.is_valid() & (s.depth + 1 < limit)
    bsdf = si.bsdf()

    # towards a light
    lit = active
    if not table.everywhere:
        lit = active & mi.has_flag(bsdf.flags(), mi.BSDFFlags.Smooth)
    u = mi.Point2f(s.rng.next_float32(), s.rng.next_float32())
    ds, emitted = scene.sample_emitter_direction(si, u, True, lit)
    lit = lit & (ds.pdf != 0.0)  # not in place: it may be `active` itself
    u3 = mi.Point3f(s.rng.next_float32(), s.rng.next_float32(), s.rng.next_float32())
    to_light = si.to_local(ds.d)
    e, eta, delta, number = _material(table, si, bsdf, to_light, lit, u3, s, active)
    absorption = s.absorption
    if absorption is not None:
        inside = _beyond(table, number, si, to_light, absorption)
        emitted = emitted * transmittance(inside, reach(ds))
        absorption = _beyond(table, number, si, e.wo, absorption)
    emitted *= _past_fields(volume, si, ds, s, lit)
    weight = _light_weight(options, ds, e)
    radiance += dr.select(lit, carried * weight * e.value * emitted, 0.0)

    # the next ray
    throughput = carried * e.weight
    brightest = dr.max(throughput)
    active &= brightest != 0.0
    eta = s.eta * eta
    survive = dr.minimum(brightest * eta * eta, RR_MAX)
    roulette = s.depth + 1 >= options.rr_depth
    active &= ~roulette | (s.rng.next_float32() < survive)
    throughput = dr.select(roulette, throughput * dr.rcp(survive), throughput)
    cone = None
    if s.cone is not None:
        grown = dr.select(delta, 0.0, SPREAD_PER_LOBE * dr.rsqrt(dr.maximum(e.wo_pdf, 1e-4)))
        cone = Cone(s.cone.width + s.cone.spread * si.t, s.cone.spread + grown)
    return PathState(
        ray=si.spawn_ray(si.to_world(e.wo)),
        rng=s.rng,
        throughput=throughput,
        radiance=radiance,
        previous=mi.Point3f(si.p),
        pdf=e.wo_pdf,
        delta=delta,
        eta=eta,
        depth=s.depth + 1,
        cone=cone,
        absorption=absorption,
        active=active,
    )


def _along_fields(
    scene: Any, volume: Volume, limit: int, si: Any, s: PathState, carried: Any
) -> tuple[Any, Any]:
    """Radiance so far with that of fields along the segment, and what still gets through them."""
    radiance = mi.Color3f(s.radiance)
    if not volume:
        return radiance, carried
    light, passed = volume.light(s.ray, si.t, s.rng.next_float32(), s.active)
    if volume.lit:
        light += scattered(volume, scene, s.ray, si.t, s.rng, s.active & (s.depth + 1 < limit))
    return radiance + carried * light, carried * passed


def _past_fields(volume: Volume, si: Any, ds: Any, s: PathState, lit: Any) -> Any:
    """What of a light's radiance gets through fields to the vertex."""
    if not volume:
        return mi.Float(1.0)
    towards = mi.Ray3f(si.p, ds.d)
    return volume.transmittance(towards, reach(ds), s.rng.next_float32(), lit)


def _light_weight(options: PathOptions, ds: Any, e: Evaluation) -> Any:
    """Weight of a light that was drawn, against having met it by chance."""
    if options.strategy == "mis":
        return dr.select(ds.delta, 1.0, mis_weight(ds.pdf, e.pdf))
    return mi.Float(1.0) if options.strategy == "light" else dr.select(ds.delta, 1.0, 0.0)


def transmittance(absorption: Any, length: Any) -> Any:
    """Beer's exp(-absorption length), also for a ray that leaves the scene."""
    return dr.select(absorption > 0.0, dr.exp(-absorption * length), 1.0)


def _beyond(table: InlineTable, number: Any, si: Any, wo: Any, absorption: Any) -> Any:
    """Absorption along `wo` from the vertex: changed where the boundary of a solid is crossed.

    Solids do not nest: what is left is left for air.
    """
    crossed = table.bounds_solid(number) & (wo.z * si.wi.z < 0.0)
    inside = dr.select(wo.z < 0.0, table.absorption(number), 0.0)
    return dr.select(crossed, inside, absorption)


def past_emitters(scene: Any, ray: Any) -> Any:
    """Rays that start behind the emitting shapes in front of them."""

    def body(ray: Any, active: Any) -> tuple[Any, Any]:
        si = scene.ray_intersect(ray, mi.RayFlags.Minimal, False, active)
        active &= si.is_valid() & (si.shape.emitter() != None)  # noqa: E711
        return dr.select(active, si.spawn_ray(ray.d), ray), active

    start = (mi.Ray3f(ray), mi.Bool(True))
    return dr.while_loop(start, lambda ray, active: active, body, label="hide emitters")[0]


def _emission(scene: Any, options: PathOptions, si: Any, s: PathState) -> Any:
    """Emission where the ray ends, weighed against having sampled that light directly."""
    emitter = si.emitter(scene)
    seen = s.active & (emitter != None)  # noqa: E711
    if options.hide_emitters:
        seen &= s.depth > 0
    if options.strategy == "light":
        seen &= s.delta
    weight: Any = mi.Float(1.0)
    if options.strategy == "mis":
        reference = dr.zeros(mi.Interaction3f)
        reference.p = s.previous
        ds = mi.DirectionSample3f(scene, si, reference)
        other = scene.pdf_emitter_direction(reference, ds, seen & ~s.delta)
        weight = dr.select(s.delta, 1.0, mis_weight(s.pdf, other))
    return weight * emitter.eval(si, seen)


def _material(
    table: InlineTable,
    si: Any,
    bsdf: Any,
    wo: Any,
    lit: Any,
    u: Any,
    s: PathState,
    active: Any,
) -> tuple[Evaluation, Any, Any, Any]:
    """Material at the vertex: evaluation, relative index, whether the draw was a delta, number."""
    width = dr.width(si.t)
    number, virtual = mi.UInt(NONE), active
    if table:
        number = table.lookup(bsdf, active)
        virtual = active & (number == NONE)
    if table.everywhere:
        e = Evaluation(
            dr.zeros(mi.Color3f, width),
            dr.zeros(mi.Float, width),
            dr.zeros(mi.Vector3f, width),
            dr.zeros(mi.Float, width),
            dr.zeros(mi.Color3f, width),
        )
        eta, delta = mi.Float(1.0), mi.Bool(False)
    else:
        value, pdf, drawn, weight = bsdf.eval_pdf_sample(
            mi.BSDFContext(), si, wo, u.x, mi.Point2f(u.y, u.z), virtual
        )
        e = Evaluation(value, pdf, mi.Vector3f(drawn.wo), drawn.pdf, weight)
        eta = dr.select(virtual, drawn.eta, 1.0) if table else drawn.eta
        delta = virtual & mi.has_flag(drawn.sampled_type, mi.BSDFFlags.Delta)
    if table:
        number = dr.select(active & (si.wi.z != 0.0), number, NONE)
        side = dr.sign(si.wi.z)
        dark: Any = -1.0  # a direction that is black for every material
        if table.transmits:
            side = dr.select(table.bounds_solid(number), 1.0, side)
            dark = dr.select(table.passes(number), 0.0, -1.0)
            e.delta, e.eta = mi.Bool(delta), mi.Float(eta) + dr.zeros(mi.Float, width)
        seen = footprint(si, s.cone)
        p = ShadingPoint(
            uv=mi.Point2f(si.uv) + (s.rng.next_float32() - 0.5) * seen.axis,
            wi=mi.Vector3f(si.wi.x, si.wi.y, si.wi.z * side),
            footprint=seen.side,
        )
        # nothing is evaluated where no light comes from the direction
        up = mi.Vector3f(wo.x, wo.y, dr.select(lit, wo.z * side, dark))
        inline = number != NONE
        e = table.evaluate(number, p, up, u, s.rng, e)
        e.wo.z = dr.select(inline, e.wo.z * side, e.wo.z)
        if table.transmits:
            eta, delta = e.eta, e.delta
    return e, eta, delta, number


def mis_weight(a: Any, b: Any) -> Any:
    """Power heuristic a^2 / (a^2 + b^2) (Veach 1995), 0 where a is 0."""
    a2 = a * a
    return dr.select(a > 0.0, a2 / dr.fma(b, b, a2), 0.0)
