"""The numpy twin of a neural material that transmits, for the plain-Python path tracer."""

from __future__ import annotations

from typing import Any

import numpy as np

from etendue.artifact import Artifact
from etendue.bsdf import transmission_numpy as tn
from etendue.bsdf.transmission_artifact import check_transmission, delta_material
from etendue.core.errors import InputError
from etendue.scene.material import Channel, LayeredMaterial

Array = np.ndarray
SHARED = 0.1  # as in `bsdf.transmission`


class TransmissionTwin:
    """`NumpyBSDF` over the sphere; `draw` also gives delta directions."""

    transmits = True

    def __init__(self, artifact: Artifact, source: object = "artifact") -> None:
        from etendue.render.build_twins import NeuralTwin  # it knows this class

        about = check_transmission(source, artifact)
        self.two_sided = bool(about["two_sided"])
        self.absorption = np.array([float(x) for x in about["absorption"]])
        self.eta = float(about["eta"])
        self.delta = delta_of(artifact)
        self.nets: dict[tuple[bool, bool], Any] = {}
        self.scales: dict[tuple[bool, bool], Array] = {}
        self.shares: dict[bool, Array] = {}
        if about["neural"]:
            for above in (True,) if self.two_sided else (True, False):
                side = "above" if above else "below"
                self.shares[above] = artifact.tensors[f"share.{side}"].astype(np.float64)
                for through in (False, True):
                    name = f"{'transmit' if through else 'reflect'}.{side}."
                    tensors = {
                        k.removeprefix(name): v
                        for k, v in artifact.tensors.items()
                        if k.startswith(name)
                    }
                    self.scales[above, through] = tensors.pop("scale").astype(np.float64)
                    self.nets[above, through] = NeuralTwin(Artifact(artifact.header, tensors))

    def eval(
        self, uv: Array, wi: Array, wo: Array, footprint: float, rng: np.random.Generator
    ) -> Array:
        """f |cos theta_o| without delta parts."""
        if not self.nets or wi[2] == 0.0 or wo[2] == 0.0:
            return np.zeros(3)
        key, eta = self._key(wi, wo)
        net = self.nets[key]
        scale = tn.lookup(self.scales[key], abs(wi[2]))
        latent = net.latent(uv, footprint)
        return tn.lobe_value(net.tensors, latent, key[1], eta, scale, wi, wo)

    def pdf(self, uv: Array, wi: Array, wo: Array, footprint: float) -> float:
        """Density of `draw` without delta parts."""
        if not self.nets or wi[2] == 0.0 or wo[2] == 0.0:
            return 0.0
        (above, through), eta = self._key(wi, wo)
        net = self.nets[above, through]
        chance = tn.lookup(self.shares[above], abs(wi[2]))[0]
        share = chance if through else 1.0 - chance
        latent = net.latent(uv, footprint)
        density = tn.lobe_density(net.tensors, latent, through, eta, wi, wo)
        smooth = self._smooth_chance(wi, self._deltas(uv, wi))
        return (1.0 - smooth) * share * density

    def draw(
        self, uv: Array, wi: Array, u: Array, footprint: float, rng: np.random.Generator
    ) -> tn.Draw:
        """A direction from three uniform numbers."""
        if wi[2] == 0.0:
            return tn.FAILED
        deltas = self._deltas(uv, wi)
        smooth = self._smooth_chance(wi, deltas)
        if u[0] < smooth:
            return _delta(deltas, u[0] / smooth, smooth)
        if not self.nets:
            return tn.FAILED
        above = bool(wi[2] > 0)
        chance = tn.lookup(self.shares[above], abs(wi[2]))[0]
        x = (u[0] - smooth) / (1.0 - smooth)
        through = bool(x >= 1.0 - chance)
        inner = (x - (1.0 - chance)) / chance if through else x / (1.0 - chance)
        eta = self.eta if above else 1.0 / self.eta
        net = self.nets[above, through]
        v = np.array([min(inner, 1.0 - 1e-12), u[1], u[2]])
        wo = tn.lobe_draw(net.tensors, net.latent(uv, footprint), through, eta, wi, v)
        if wo is None:
            return tn.FAILED
        pdf = self.pdf(uv, wi, wo, footprint)
        if pdf <= 0.0:
            return tn.FAILED
        weight = self.eval(uv, wi, wo, footprint, rng) / pdf
        return tn.Draw(wo, pdf, weight, False, eta if through else 1.0)

    def sample(self, uv: Array, wi: Array, u: Array, footprint: float) -> tuple[Array, float]:
        """`draw` for callers that know no deltas: those count as failed."""
        found = self.draw(uv, wi, u, footprint, np.random.default_rng(0))
        return found.wo, 0.0 if found.delta else found.pdf

    def _key(self, wi: Array, wo: Array) -> tuple[tuple[bool, bool], float]:
        above = bool(wi[2] > 0)
        return (above, bool((wo[2] > 0) != above)), self.eta if above else 1.0 / self.eta

    def _smooth_chance(self, wi: Array, deltas: list[tuple[float, Array, Array, float]]) -> float:
        if not deltas:
            return 0.0
        if not self.nets:
            return 1.0
        energy = sum(d[0] for d in deltas)
        return energy / max(energy + tn.lookup(self.shares[bool(wi[2] > 0)], abs(wi[2]))[1], 1e-6)

    def _deltas(self, uv: Array, wi: Array) -> list[tuple[float, Array, Array, float]]:
        """(energy, direction, coefficient for radiance, relative index) of each delta."""
        if self.delta is None:
            return []
        found = []
        data = self.delta.texture.data

        def texel(x: Any) -> float:
            return _texel(data, uv, x.index) if isinstance(x, Channel) else x

        for stack in self.delta.stacks:
            layers = [self.delta.layers[k] for k in stack.layers[:-1]]
            weight = np.array([texel(x) for x in stack.weight])
            r, t, eta = tn.mirrors([tn.values_at(x, texel) for x in layers], wi)
            back, bent = tn.mirrored(wi, eta)
            r, t = weight * r, weight * t if bent is not None else np.zeros(3)
            level = 0.5 * SHARED * (r.mean() + t.mean())
            for value, wo, index in ((r, back, 1.0), (t, bent, eta)):
                if value.max() > 0.0 and wo is not None:
                    energy = (1.0 - SHARED) * value.mean() + level
                    found.append((energy, wo, value / index**2, index))
        return found


def _delta(deltas: list[tuple[float, Array, Array, float]], u: float, smooth: float) -> tn.Draw:
    total, before = sum(d[0] for d in deltas), 0.0
    for energy, wo, value, eta in deltas:
        before += energy / total
        if u < before:
            return tn.Draw(wo, 1.0, value * total / energy / smooth, True, eta)
    return tn.FAILED


def _texel(data: Array, uv: Array, channel: int) -> float:
    """Bilinear, wrapping."""
    height, width = data.shape[:2]
    x, y = (uv[0] % 1.0) * width - 0.5, (uv[1] % 1.0) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for dy, wy in ((0, 1 - (y - y0)), (1, y - y0)):
        for dx, wx in ((0, 1 - (x - x0)), (1, x - x0)):
            total += wx * wy * float(data[(y0 + dy) % height, (x0 + dx) % width, channel])
    return total


def delta_of(artifact: Artifact) -> LayeredMaterial | None:
    """The smooth stacks; tilted ones are only known to the Dr.Jit path tracer."""
    found = delta_material(artifact)
    if found is not None and any(layer.normal != (0.0, 0.0) for layer in found.layers):
        raise InputError(found.name, "has tilted mirrors", fix="Render it where LLVM is usable")
    return found
