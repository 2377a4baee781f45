"""Inline materials as Mitsuba BSDF plugins, so that scene files and other integrators can use them.

Étendue's own path tracer takes the `inline` material out of the plugin (`inline_of`) and evaluates
it in its kernel; every other integrator goes through the virtual calls below, which is slower.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import drjit as dr
import mitsuba as mi

from ..core.errors import InputError
from .base import InlineBSDF, ShadingPoint


def inline_of(bsdf: Any) -> InlineBSDF | None:
    """The inline material behind a Mitsuba BSDF object, None for Mitsuba's own plugins."""
    return getattr(bsdf, "inline", None)


def resolve(filename: str) -> Path:
    """Path of a file named in a scene, looked for beside the scene first."""
    found = Path(str(mi.file_resolver().resolve(filename)))
    if not found.is_file():
        raise InputError(filename, "no such file", fix="Paths are relative to the scene file.")
    return found


def seeded(*values: Any) -> Any:
    """A PCG32 whose stream depends on the bits of `values` only, so results are repeatable."""
    a, b = mi.UInt(0x9E3779B9), mi.UInt(0x85EBCA6B)
    for value in values:
        bits = dr.reinterpret_array(mi.UInt, value)
        a, b = mi.sample_tea_32(a ^ bits, b + bits, 4)
    # the caller's numbers may repeat between lanes, the lane index does not
    lane = dr.arange(mi.UInt, dr.width(a)) if dr.width(a) > 1 else mi.UInt(0)
    return mi.PCG32(initstate=mi.UInt64(a), initseq=mi.UInt64(b ^ lane))


def is_solid(inline: InlineBSDF) -> bool:
    """Whether the material bounds a solid that light enters, so that its sides differ."""
    return transmits(inline) and not inline.two_sided  # type: ignore[attr-defined]


def transmits(inline: InlineBSDF) -> bool:
    """Whether light passes through the material."""
    return bool(getattr(inline, "transmits", False))


def upper_point(si: Any, wo: Any, active: Any) -> tuple[ShadingPoint, Any, Any]:
    """Shading point on the upper side, `wo` flipped likewise, and the lanes worth work."""
    wi, wo, active = mi.Vector3f(si.wi), mi.Vector3f(wo), mi.Bool(active)
    wo.z = dr.mulsign(wo.z, wi.z)
    wi.z = dr.abs(wi.z)
    point = ShadingPoint(uv=mi.Point2f(si.uv), wi=wi, footprint=mi.Float(0.0))
    return point, wo, active & (wi.z > 0.0)


def point_of(inline: InlineBSDF, si: Any, wo: Any, active: Any) -> tuple[ShadingPoint, Any, Any]:
    """`upper_point`, but a solid keeps its sides, and the far side counts where light passes."""
    if not transmits(inline):
        p, wo, active = upper_point(si, wo, active)
        return p, wo, active & (wo.z > 0.0)
    if not is_solid(inline):
        return upper_point(si, wo, active)
    point = ShadingPoint(mi.Point2f(si.uv), mi.Vector3f(si.wi), mi.Float(0.0))
    return point, mi.Vector3f(wo), mi.Bool(active) & (si.wi.z != 0.0)


def sample(inline: InlineBSDF, si: Any, u1: Any, u2: Any, active: Any) -> tuple[Any, Any]:
    """`mi.BSDF.sample` through an inline material."""
    p, _, active = point_of(inline, si, si.wi, active)
    rng = seeded(p.wi.x, p.wi.y, p.uv.x, p.uv.y, u1, u2.x, u2.y)
    drawn = inline.sample(p, mi.Point3f(u1, u2.x, u2.y), rng, active)
    active &= drawn.pdf > 0.0
    bs = mi.BSDFSample3f()
    side = 1.0 if is_solid(inline) else si.wi.z
    bs.wo = mi.Vector3f(drawn.wo.x, drawn.wo.y, dr.mulsign(drawn.wo.z, side))
    bs.pdf = dr.select(active, drawn.pdf, 0.0)
    bs.eta = 1.0
    bs.sampled_type = mi.UInt(+mi.BSDFFlags.GlossyReflection)
    bs.sampled_component = mi.UInt(0)
    if transmits(inline):
        flag, back = mi.BSDFFlags, bs.wo.z * si.wi.z > 0.0
        smooth = dr.select(back, mi.UInt(+flag.DeltaReflection), mi.UInt(+flag.DeltaTransmission))
        rough = dr.select(back, mi.UInt(+flag.GlossyReflection), mi.UInt(+flag.GlossyTransmission))
        bs.sampled_type = dr.select(drawn.delta, smooth, rough)
        bs.eta = drawn.eta
    return bs, dr.select(active, drawn.weight, 0.0)


def evaluate(inline: InlineBSDF, si: Any, wo: Any, active: Any) -> Any:
    """`mi.BSDF.eval` through an inline material."""
    p, wo, active = point_of(inline, si, wo, active)
    rng = seeded(p.wi.x, p.wi.y, p.uv.x, p.uv.y, wo.x, wo.y)
    return dr.select(active, inline.eval(p, wo, rng, active), 0.0)


def density(inline: InlineBSDF, si: Any, wo: Any, active: Any) -> Any:
    """`mi.BSDF.pdf` through an inline material."""
    p, wo, active = point_of(inline, si, wo, active)
    return dr.select(active, inline.pdf(p, wo, active), 0.0)


def plugin(name: str, load: Callable[[Any], InlineBSDF]) -> type:
    """Plugin class for the active variant that delegates every call to `load(props)`."""

    class InlineMaterial(mi.BSDF):
        """A two-sided, spatially varying material."""

        inline: InlineBSDF

        def __init__(self, props: Any) -> None:
            mi.BSDF.__init__(self, props)
            lobes = mi.BSDFFlags.GlossyReflection | mi.BSDFFlags.DiffuseReflection
            sides = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
            flags = lobes | sides | mi.BSDFFlags.SpatiallyVarying
            self.inline = load(props)
            if transmits(self.inline):
                flags |= mi.BSDFFlags.GlossyTransmission
                flags |= mi.BSDFFlags.DeltaReflection | mi.BSDFFlags.DeltaTransmission
            if is_solid(self.inline):
                flags |= mi.BSDFFlags.NonSymmetric
            self.m_components = [flags]
            self.m_flags = flags

        def sample(self, ctx: Any, si: Any, u1: Any, u2: Any, active: Any = True) -> Any:
            return sample(self.inline, si, u1, u2, active)

        def eval(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
            return evaluate(self.inline, si, wo, active)

        def pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
            return density(self.inline, si, wo, active)

        def eval_pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
            return evaluate(self.inline, si, wo, active), density(self.inline, si, wo, active)

        def eval_diffuse_reflectance(self, si: Any, active: Any = True) -> Any:
            point, _, active = upper_point(si, si.wi, active)
            return dr.select(active, self.inline.albedo(point, active), 0.0)

        def traverse(self, cb: Any) -> None:
            """Inline materials expose no scene parameters."""

        def to_string(self) -> str:
            return f"{type(self).__name__}[{self.inline.name}]"

    InlineMaterial.__name__ = name
    return InlineMaterial


def load_layered(props: Any) -> InlineBSDF:
    """`filename` (.mtlx), optional `material` (name) and `resolution` (texels)."""
    from ..scene.materialx import load_material
    from .transmission import reference

    name = props["material"] if "material" in props else None
    resolution = int(props["resolution"]) if "resolution" in props else 512
    return reference(load_material(resolve(props["filename"]), name, resolution=resolution))


def load_neural(props: Any) -> InlineBSDF:
    """`filename` (.eta), `material` (name) where that is a set."""
    from ..artifact import read_material
    from .neural import NeuralBSDF
    from .neural_transmission import NeuralTransmission
    from .transmission_artifact import is_transmission

    path = resolve(props["filename"])
    artifact = read_material(path, props["material"] if "material" in props else None)
    kind = NeuralTransmission if is_transmission(artifact) else NeuralBSDF
    return kind(artifact, path)


def register(mitsuba: ModuleType) -> None:
    """Register the plugin types `layered` and `neural` for the active variant of `mitsuba`."""
    mitsuba.register_bsdf("layered", plugin("Layered", load_layered))
    mitsuba.register_bsdf("neural", plugin("Neural", load_neural))
