"""The neural material inside Dr.Jit kernels (Zeltner et al. 2024); oracle: `neural_numpy`.

Calls must stand in the integrator body, see `networks`: inside a virtual call they are about nine
times slower.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.artifact import Artifact, digest, read_material, require, split_name
from etendue.bsdf.base import BSDFSample, ShadingPoint
from etendue.bsdf.latent_store import store_of
from etendue.bsdf.neural_numpy import (
    ALPHA_FLOOR,
    DIRECT_INPUTS,
    ENERGY_KNOTS,
    GRAZING,
    LATENTS,
    LOBE_SCALE,
    LOBE_WIDTH,
    SYMMETRIC_INPUTS,
    is_reciprocal,
)
from etendue.bsdf.pyramid import LatentPyramid
from etendue.core.errors import InputError
from etendue.device.networks import networks
from etendue.formats import latents, weights
from etendue.formats.material import latent_format, texel_count
from etendue.formats.material import resolution as material_resolution


@dataclass
class _Lobes:
    """`neural_numpy.Lobes` for a wavefront (a Dr.Jit PyTree)."""

    alpha_x: Any
    alpha_y: Any
    rho: Any
    mean_x: Any
    mean_y: Any
    axis: Any
    specular: Any


@dataclass
class _View:
    """What evaluations at one point share (a Dr.Jit PyTree)."""

    latent: list[Any]
    wi: Any
    frames: list[tuple[Any, Any, Any, Any]]  # tangent, bitangent, normal, wi in the frame
    energy: Any  # Color3f


class NeuralBSDF:
    """`InlineBSDF` of one baked material."""

    def __init__(
        self, artifact: Artifact, source: object = "artifact", *, exact: bool = False
    ) -> None:
        import drjit as dr
        import mitsuba as mi

        check_material(source, artifact)
        tensors, self._mi = weights.decode(source, artifact.tensors), mi
        self.name = str(artifact.header.get("name", "neural"))
        self.header = artifact.header
        texels = texel_count(material_resolution(source, artifact.header))
        store = store_of(mi, latent_format(artifact.header), tensors, texels)
        self.pyramid = LatentPyramid(mi, store, int(artifact.header["lod"]["resolution"]))
        parts = sorted(n for n in tensors if n == "frames" or n.partition(".")[0] in _NETWORKS)
        self._networks = networks(mi, {n: tensors[n] for n in parts}, exact=exact)
        self.decoder = digest({}, {n: tensors[n] for n in parts})
        self.energy = mi.Float(tensors["energy"].astype(np.float32).ravel())
        self._first_knot: Any = 0
        self._albedo = tensors["albedo"].astype(np.float32)
        self.reciprocal = is_reciprocal(tensors)
        self.tensors = {n: a for n, a in tensors.items() if n.partition(".")[0] != "latents"}
        dr.eval(self.energy)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeuralBSDF:
        """Read, verify and upload `FILE.eta`, or `FILE.eta#NAME` of a set."""
        return cls(read_material(*split_name(path)), path)

    def member(self, pyramid: Any, energy: Any, first_knot: Any) -> NeuralBSDF:
        """This decoder on other latents and energy tables, see `neural_family`."""
        other = copy.copy(self)
        other.pyramid, other.energy, other._first_knot = pyramid, energy, first_knot
        return other

    @property
    def half(self) -> bool:
        """Whether networks are run in half precision."""
        return self._networks.half

    # ---- InlineBSDF

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """f |cos theta_o| at one stochastically chosen level."""
        return self._evaluate(self._view(p, self._pick_level(p, rng), active), wo, active)

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Density at the nearest level."""
        latent = self._latent(p, self._nearest_level(p), active)
        return self._density(self._lobes(latent, p.wi), p.wi, wo, active)

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Draw from the nearest level's lobes."""
        view = self._view(p, self._nearest_level(p), active)
        return self._sample(view, self._lobes(view.latent, p.wi), u, active)

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """Everything the path tracer needs at a vertex, on one stochastically chosen level."""
        view = self._view(p, self._pick_level(p, rng), active)
        lobes = self._lobes(view.latent, p.wi)
        f = self._evaluate(view, wo, active)
        pdf = self._density(lobes, p.wi, wo, active)
        return f, pdf, self._sample(view, lobes, u, active)

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """`neural_numpy.albedo`."""
        import drjit as dr

        t = 1.0 - p.wi.z
        latent = self._latent(p, self._nearest_level(p), active)
        known = [*latent, 1.0, *(t**k for k in GRAZING)][: self._albedo.shape[1]]
        rows = [sum(float(w) * z for w, z in zip(row, known, strict=True)) for row in self._albedo]
        return dr.select(active, dr.clip(self._mi.Color3f(*rows), 0, 1), 0)

    def reflectance(
        self, texel: Any, wi: Any, samples: int, rng: Any, *, steady: bool = False
    ) -> Any:
        """Directional albedo (Color3f) of single texels (UInt, flat index) by the own sampler.

        `steady` draws as many directions by cosines too and combines both by the balance heuristic
        (Veach 1995): the own sampler alone has rare, very heavy samples at grazing angles.
        """
        import drjit as dr

        mi, on = self._mi, self._mi.Bool(True)
        packet = self.pyramid.texel(texel, on)
        view = self._view_of(packet, wi, on)
        lobes = self._lobes(packet, wi)

        def body(i: Any, total: Any, rng: Any) -> tuple[Any, Any, Any]:
            u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
            s = self._sample(view, lobes, u, on)
            if not steady:
                return i + 1, total + s.weight, rng
            share = s.pdf / (s.pdf + dr.maximum(s.wo.z, 0) * dr.inv_pi + 1e-30)
            total += s.weight * share
            at = mi.Point2f(rng.next_float32(), rng.next_float32())
            wo = mi.Vector3f(mi.warp.square_to_cosine_hemisphere(at))
            density = self._density(lobes, view.wi, wo, on) + wo.z * dr.inv_pi
            total += dr.select(wo.z > 0, self._evaluate(view, wo, on) / density, 0)
            return i + 1, total, rng

        start = (mi.UInt(0), dr.zeros(mi.Color3f, dr.width(texel)), mi.PCG32(rng))
        end = dr.opaque(mi.UInt, samples)
        _, total, _ = dr.while_loop(start, lambda i, total, rng: i < end, body)
        return total / mi.Float(end)

    # ---- latents and levels

    def _pick_level(self, p: ShadingPoint, rng: Any) -> Any:
        """One of the two levels around the footprint, at random (unbiased trilinear)."""
        import drjit as dr

        lod = self.pyramid.lod(p.footprint)
        low = dr.floor(lod)
        step = dr.select(rng.next_float32() < lod - low, 1.0, 0.0)
        return self._mi.UInt(low + step)

    def _nearest_level(self, p: ShadingPoint) -> Any:
        return self._mi.UInt(self.pyramid.lod(p.footprint) + 0.5)

    def _latent(self, p: ShadingPoint, level: Any, active: Any) -> list[Any]:
        return self.pyramid.lookup(p.uv, level, active)

    # ---- networks

    def _mlp(self, inputs: list[Any], name: str) -> list[Any]:
        return self._networks.mlp(inputs, name)

    def _frames(self, latent: list[Any]) -> list[Any]:
        """Twelve numbers of the two learned frames."""
        return self._networks.linear(latent, "frames")

    def _view(self, p: ShadingPoint, level: Any, active: Any) -> _View:
        """Latents, learned frames with `wi` in them, and the energy factor at a point."""
        return self._view_of(self._latent(p, level, active), p.wi, active)

    def _view_of(self, latent: list[Any], wi: Any, active: Any) -> _View:
        import drjit as dr

        mi, framed, raw = self._mi, [], self._frames(latent)
        for k in (0, 6):
            n = dr.normalize(mi.Vector3f(raw[k], raw[k + 1], raw[k + 2] + 1))
            t = dr.normalize(mi.Vector3f(raw[k + 3] + 1, raw[k + 4], raw[k + 5]))
            b = dr.normalize(dr.cross(n, t))
            framed.append((t, b, n, _local(mi, t, b, n, wi)))
        return _View(latent, wi, framed, self._energy_at(wi.z, active))

    def _energy_at(self, cos_i: Any, active: Any) -> Any:
        """`neural_numpy.energy`."""
        import drjit as dr

        mi = self._mi
        at = dr.clip(cos_i, 0, 1) * float(ENERGY_KNOTS - 1)
        knot = dr.minimum(mi.UInt(at), ENERGY_KNOTS - 2)
        first = self._first_knot + knot
        low, high = (dr.gather(mi.Color3f, self.energy, first + k, active) for k in (0, 1))
        return dr.lerp(low, high, at - mi.Float(knot))

    def _evaluate(self, view: _View, wo: Any, active: Any) -> Any:
        """f |cos theta_o|; lanes without light above the horizon skip the network."""
        import drjit as dr

        return dr.if_stmt(
            args=(view, wo),
            cond=active & (wo.z > 0),
            true_fn=self._value,
            false_fn=lambda view, wo: dr.zeros(self._mi.Color3f),
        )

    def _value(self, view: _View, wo: Any) -> Any:
        """`neural_numpy.evaluate` above the horizon."""
        import drjit as dr

        mi, inputs, scale = self._mi, list(view.latent), view.energy
        for t, b, n, a in view.frames:
            o = _local(mi, t, b, n, wo)
            half = a + o
            spread = dr.rcp(LOBE_WIDTH**2 * (half.z * half.z + 1e-4))
            log_slopes = [LOBE_SCALE * dr.log(1 + h * h * spread) for h in (half.x, half.y)]
            if self.reciprocal:
                inputs += [*half, *(a * o), (a.x + a.y) * (o.x + o.y), *log_slopes]
            else:
                inputs += [*a, *o, *log_slopes]
        raw = self._mlp(inputs, "evaluator")
        if self.reciprocal:
            scale = dr.sqrt(scale * self._energy_at(wo.z, mi.Bool(True)))
        return dr.exp(mi.Color3f(*raw) - 3) * scale * wo.z

    def _lobes(self, latent: list[Any], wi: Any) -> _Lobes:
        import drjit as dr

        mi = self._mi
        y = self._mlp([*latent, wi.x, wi.y, wi.z], "sampler")
        squashed = [v * dr.rsqrt(1 + v * v) for v in y[:3]]
        slopes = [v * dr.sqrt(1 + v * v) for v in y[3:7]]
        return _Lobes(
            alpha_x=ALPHA_FLOOR + 0.5 * (1 + squashed[0]),
            alpha_y=ALPHA_FLOOR + 0.5 * (1 + squashed[1]),
            rho=0.99 * squashed[2],
            mean_x=slopes[0],
            mean_y=slopes[1],
            axis=dr.normalize(mi.Vector3f(-slopes[2], -slopes[3], 1)),
            specular=dr.rcp(1 + dr.exp(y[8] - y[7])),
        )

    def _density(self, lobe: _Lobes, wi: Any, wo: Any, active: Any) -> Any:
        """`neural_numpy.density`."""
        import drjit as dr

        half = dr.normalize(wi + wo)
        cos_h = dr.maximum(half.z, 1e-6)
        inverse = dr.rcp(cos_h)
        x = (-half.x * inverse - lobe.mean_x) / lobe.alpha_x
        y = (-half.y * inverse - lobe.mean_y) / lobe.alpha_y
        free = 1 - lobe.rho * lobe.rho
        q = 1 + (x * x - 2 * lobe.rho * x * y + y * y) / free
        glossy = (
            inverse
            * inverse
            * inverse
            / (
                4
                * dr.pi
                * lobe.alpha_x
                * lobe.alpha_y
                * dr.sqrt(free)
                * q
                * q
                * dr.abs_dot(wi, half)
            )
        )
        cosine = dr.maximum(dr.dot(lobe.axis, wo), 0) * dr.inv_pi
        pdf = lobe.specular * glossy + (1 - lobe.specular) * cosine
        return dr.select(active & (wo.z > 0), pdf, 0)

    def _draw(self, lobe: _Lobes, wi: Any, u: Any) -> Any:
        """`neural_numpy.draw`."""
        import drjit as dr

        mi = self._mi
        sin, cos = dr.sincos(2 * dr.pi * u.y)
        radius = dr.sqrt(u.z / (1 - u.z))
        a, b = radius * cos, radius * sin
        sx = lobe.mean_x + lobe.alpha_x * a
        sy = lobe.mean_y + lobe.alpha_y * (lobe.rho * a + dr.sqrt(1 - lobe.rho * lobe.rho) * b)
        half = dr.normalize(mi.Vector3f(-sx, -sy, 1))
        glossy = 2 * dr.dot(wi, half) * half - wi
        disk = dr.sqrt(u.z)
        local = mi.Vector3f(disk * cos, disk * sin, dr.sqrt(1 - u.z))
        t, b2 = mi.coordinate_system(lobe.axis)
        cosine = local.x * t + local.y * b2 + local.z * lobe.axis
        return dr.select(u.x < lobe.specular, glossy, cosine)

    def _sample(self, view: _View, lobes: _Lobes, u: Any, active: Any) -> BSDFSample:
        import drjit as dr

        wo = self._draw(lobes, view.wi, u)
        pdf = self._density(lobes, view.wi, wo, active)
        valid = active & (pdf > 0)
        f = self._evaluate(view, wo, valid)
        return BSDFSample(wo, dr.select(valid, pdf, 0), dr.select(valid, f / pdf, 0))


_NETWORKS = ("evaluator", "sampler")


def _local(mi: Any, t: Any, b: Any, n: Any, w: Any) -> Any:
    import drjit as dr

    return mi.Vector3f(dr.dot(w, t), dr.dot(w, b), dr.dot(w, n))


def guide_columns(artifact: Artifact) -> int:
    """Columns that the tensor `albedo` should have: files from before it knew incidence have 9."""
    plain = LATENTS + 1
    found = artifact.tensors.get("albedo")
    return plain if found is not None and found.shape[1:] == (plain,) else plain + len(GRAZING)


def check_material(source: object, artifact: Artifact) -> None:
    """Raise `InputError` unless the tensors form a complete neural material."""
    texels = texel_count(material_resolution(source, artifact.header))
    latents.check(source, latent_format(artifact.header), artifact.tensors, texels)
    artifact = Artifact(artifact.header, weights.decode(source, artifact.tensors))
    fixed = {"frames": (12, LATENTS), "energy": (ENERGY_KNOTS, 3)}
    require(source, artifact, fixed | {"albedo": (3, guide_columns(artifact))})
    reciprocal = bool(artifact.header.get("arch", {}).get("reciprocal"))
    directions = SYMMETRIC_INPUTS if reciprocal else DIRECT_INPUTS
    for name, inputs, outputs in (("evaluator", directions, 3), ("sampler", LATENTS + 3, 9)):
        layer, width = 0, inputs
        while f"{name}.w{layer}" in artifact.tensors:
            require(source, artifact, {f"{name}.w{layer}": (None, width)})
            width = artifact.tensors[f"{name}.w{layer}"].shape[0]
            require(source, artifact, {f"{name}.b{layer}": (width,)})
            layer += 1
        if layer == 0 or width != outputs:
            raise InputError(source, f"its {name} network is incomplete", got=f"{layer} layers")
