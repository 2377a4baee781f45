"""Neural materials that light passes through: one ordinary neural material per `hemispheres.Lobe`.

    f = scale(cos theta_i) g(a, b) |d b / d wo| / E^2   on the side of the lobe (E = 1 reflected),

and delta directions, which no network could draw, are carried beside the networks as the layered
description of the smooth stacks themselves (`transmission.Transmissive`).
"""

from __future__ import annotations

import os
from typing import Any

from etendue.artifact import Artifact, read_artifact
from etendue.bsdf.base import BSDFSample, ShadingPoint
from etendue.bsdf.hemispheres import Chart
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.transmission import ONE_BELOW, Part, Transmissive
from etendue.bsdf.transmission_artifact import (
    KNOTS,
    check_transmission,
    delta_material,
    lobes_of,
    part_of,
)


class NeuralTransmission:
    """`TransmittingBSDF` of one baked material."""

    transmits = True

    def __init__(self, artifact: Artifact, source: object = "artifact") -> None:
        import drjit as dr
        import mitsuba as mi

        about = check_transmission(source, artifact)
        self.name = str(artifact.header.get("name", "neural"))
        self.header = artifact.header
        self.two_sided = bool(about["two_sided"])
        r, g, b = (float(x) for x in about["absorption"])
        self.absorption = (r, g, b)
        self.eta = float(about["eta"])
        delta = delta_material(artifact)
        self.delta = None if delta is None else Transmissive(delta)
        self.lobes: list[tuple[Chart, NeuralBSDF]] = []
        self.tables: list[Any] = []  # Float buffers (KNOTS, 3): scale by lobe
        self.shares: dict[bool, Any] = {}  # by side: chance of transmission, mean albedo
        if about["neural"]:
            for lobe in lobes_of(self.two_sided):
                eta = self.eta if lobe.above else 1.0 / self.eta
                net = NeuralBSDF(part_of(artifact, lobe), source)
                self.lobes.append((Chart(lobe, eta), net))
                self.tables.append(mi.Float(artifact.tensors[f"{lobe.name}.scale"].ravel()))
            for above in {lobe.above for lobe in lobes_of(self.two_sided)}:
                name = "share.above" if above else "share.below"
                self.shares[above] = mi.Float(artifact.tensors[name].ravel())
        dr.eval(self.tables, self.shares)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeuralTransmission:
        """Read, verify and upload a `.eta` file."""
        return cls(read_artifact(path, kind="material"), path)

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """RGB value of f |cos theta_o| without the delta parts."""
        return self._all(p, wo, None, rng, active)[0]

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Density of `sample` without the delta parts (Float, 1/sr), at the nearest level."""
        import drjit as dr
        import mitsuba as mi

        if not self.lobes:
            return mi.Float(0.0)
        chance, _ = self._chances(p, active)
        total = mi.Float(0.0)
        for chart, net in self.lobes:
            here, q, b = self._into(chart, p, wo, active)
            share = chance if chart.lobe.through else 1.0 - chance
            density = net.pdf(q, b, here) * chart.jacobian(wo)
            total = dr.select(here, share * density, total)
        return total * (1.0 - self._delta_chance(p, self._delta_parts(p, active), active))

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Draw a delta direction, a reflection or a transmission."""
        return self._all(p, None, u, rng, active)[2]

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """All three, sharing networks' inputs."""
        return self._all(p, wo, u, rng, active)

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """Share of light that is not absorbed at the surface."""
        import drjit as dr
        import mitsuba as mi

        total = mi.Color3f(0.0)
        if self.lobes:
            total += self._chances(p, active)[1]
        if self.delta is not None:
            total += self.delta.albedo(p, active)
        return dr.select(active, dr.clip(total, 0.0, 1.0), 0.0)

    # ---- parts

    def _all(self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any) -> Any:
        """(value, pdf, sample) of the networks and the deltas; None for what is not asked for."""
        import drjit as dr
        import mitsuba as mi

        parts = self._delta_parts(p, active)
        smooth = self._delta_chance(p, parts, active)
        value, pdf = mi.Color3f(0.0), mi.Float(0.0)
        width = dr.width(p.wi)
        drawn = BSDFSample(
            dr.zeros(mi.Vector3f, width), dr.zeros(mi.Float, width), dr.zeros(mi.Color3f, width),
            mi.Bool(False), mi.Float(1.0),
        )  # fmt: skip
        if self.lobes:
            chance, _ = self._chances(p, active)
            rough = 1.0 - smooth
            for (chart, net), table in zip(self.lobes, self.tables, strict=True):
                share = chance if chart.lobe.through else 1.0 - chance
                state = (value, pdf, drawn, p, wo, u, smooth, share, mi.PCG32(rng))

                def run(
                    value: Any, pdf: Any, drawn: Any, p: Any, wo: Any, u: Any, smooth: Any,
                    share: Any, rng: Any, chart: Any = chart, net: Any = net, table: Any = table,
                ) -> tuple[Any, ...]:  # fmt: skip
                    value, pdf, drawn = self._lobe(
                        chart, net, table, value, pdf, drawn, p, wo, u, smooth, share, rng
                    )
                    return value, pdf, drawn, p, wo, u, smooth, share, rng

                def skip(*state: Any) -> tuple[Any, ...]:
                    return state

                here = active & ((p.wi.z > 0.0) if chart.lobe.above else (p.wi.z < 0.0))
                state = dr.if_stmt(state, here, run, skip)
                value, pdf, drawn = state[:3]
                rng.state, rng.inc = state[-1].state, state[-1].inc
            pdf = pdf * rough
        if u is not None and parts:
            drawn = self._with_delta(drawn, parts, smooth, p, u, rng, active)
        return value, pdf, drawn

    def _lobe(
        self, chart: Chart, net: Any, table: Any, value: Any, pdf: Any, drawn: Any, p: Any,
        wo: Any, u: Any, smooth: Any, share: Any, rng: Any,
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """One lobe's contribution on lanes seen from its side."""
        import drjit as dr
        import mitsuba as mi

        scale = _lookup(table, dr.abs(p.wi.z)) * (chart.eta**-2 if chart.lobe.through else 1.0)
        everywhere = mi.Bool(True)
        q = ShadingPoint(p.uv, chart.wi(p.wi), p.footprint)
        rough = 1.0 - smooth
        b, here = mi.Vector3f(0.0, 0.0, -1.0), mi.Bool(False)
        if wo is not None:
            here, _, b = self._into(chart, p, wo, everywhere)
            b = dr.select(here, b, mi.Vector3f(0.0, 0.0, -1.0))
        if u is None:
            f = net.eval(q, b, rng, everywhere)
        else:
            # u.x in [0, smooth): delta; then reflection; then transmission
            x = (u.x - smooth) / dr.maximum(rough, 1e-9)
            lead = x - (1.0 - share) if chart.lobe.through else x
            own = (lead >= 0.0) & (lead < share) & (x >= 0.0)
            v = mi.Point3f(dr.clip(lead / dr.maximum(share, 1e-9), 0.0, ONE_BELOW), u.y, u.z)
            f, density, found = net.eval_pdf_sample(q, b, v, rng, everywhere)
            true, ok = chart.true_wo(found.wo)
            ok &= own & (found.pdf > 0.0) & (dr.abs(true.z) > 1e-6)
            chance = dr.maximum(rough * share, 1e-9)
            jacobian = chart.jacobian(true)
            eta = chart.eta if chart.lobe.through else 1.0
            drawn = BSDFSample(
                dr.select(own, true, drawn.wo),
                dr.select(own, dr.select(ok, found.pdf * jacobian * chance, 0.0), drawn.pdf),
                dr.select(own, dr.select(ok, found.weight * scale / chance, 0.0), drawn.weight),
                drawn.delta,
                dr.select(own, mi.Float(eta), drawn.eta),
            )
            if wo is not None:
                pdf = dr.select(here, share * density * chart.jacobian(wo), pdf)
        if wo is not None:
            value = dr.select(here, f * scale * chart.jacobian(wo), value)
        return value, pdf, drawn

    def _into(self, chart: Chart, p: Any, wo: Any, active: Any) -> tuple[Any, Any, Any]:
        """Lanes of this lobe, and point and direction in its chart."""
        above = chart.lobe.above
        far = above != chart.lobe.through
        here = active & ((p.wi.z > 0.0) if above else (p.wi.z < 0.0))
        here &= (wo.z > 0.0) if far else (wo.z < 0.0)
        return here, ShadingPoint(p.uv, chart.wi(p.wi), p.footprint), chart.wo(wo)

    def _chances(self, p: ShadingPoint, active: Any) -> tuple[Any, Any]:
        """Chance of transmission among the networks' draws, and their mean albedo."""
        import drjit as dr
        import mitsuba as mi

        cosine = dr.abs(p.wi.z)
        found = _lookup(self.shares[True], cosine)
        if False in self.shares:
            found = dr.select(p.wi.z < 0.0, _lookup(self.shares[False], cosine), found)
        return mi.Float(found.x), mi.Float(found.y)

    def _delta_parts(self, p: ShadingPoint, active: Any) -> list[Part]:
        """The smooth stacks' directions, probabilities in units of energy."""
        if self.delta is None:
            return []
        layers, stacks = self.delta.fetch.around(p.uv, p.footprint, p.wi, active)
        parts: list[Part] = []
        for i, stack in self.delta.smooth:
            parts += self.delta._deltas(layers, stack, stacks[i].weight, p.wi)
        return parts

    def _delta_chance(self, p: ShadingPoint, parts: list[Part], active: Any) -> Any:
        import drjit as dr
        import mitsuba as mi

        if not parts:
            return mi.Float(0.0)
        if not self.lobes:
            return mi.Float(1.0)
        energy = sum((part.probability for part in parts), mi.Float(0.0))
        return energy / dr.maximum(energy + self._chances(p, active)[1], 1e-6)

    def _with_delta(
        self, drawn: BSDFSample, parts: list[Part], smooth: Any, p: ShadingPoint, u: Any, rng: Any,
        active: Any,
    ) -> BSDFSample:  # fmt: skip
        """The delta draw on the lanes that chose it."""
        import drjit as dr
        import mitsuba as mi

        assert self.delta is not None
        chosen = active & (u.x < smooth)
        v = mi.Point3f(dr.clip(u.x / dr.maximum(smooth, 1e-9), 0.0, ONE_BELOW), u.y, u.z)
        other = self.delta.sample(p, v, rng, chosen)
        return BSDFSample(
            dr.select(chosen, other.wo, drawn.wo),
            dr.select(chosen, other.pdf, drawn.pdf),
            dr.select(chosen, other.weight / dr.maximum(smooth, 1e-9), drawn.weight),
            chosen,
            dr.select(chosen, other.eta, drawn.eta),
        )


def _lookup(table: Any, cosine: Any) -> Any:
    """Linear in a table (KNOTS, 3) over the cosine from 0 to 1."""
    import drjit as dr
    import mitsuba as mi

    at = dr.clip(cosine, 0, 1) * float(KNOTS - 1)
    knot = dr.minimum(mi.UInt(at), KNOTS - 2)
    low, high = (dr.gather(mi.Color3f, table, knot + k) for k in (0, 1))
    return dr.lerp(low, high, at - mi.Float(knot))
