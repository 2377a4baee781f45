"""Many neural materials of one architecture in one piece of code: every lane has its own weights.

Oracle: `neural.NeuralBSDF`, whose numbers it gives bit for bit. That one keeps weights uniform and
costs one evaluation for each material met in a packet of lanes; this one reads the weights of each
lane, in packets of eight, and costs the same whatever the lanes show, as much as five or six of the
other. Which one is faster depends on the scene: `render.path.dispatch` measures.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import BSDFSample, ShadingPoint
from .latent_store import packet_type
from .neural import NeuralBSDF
from .neural_numpy import ENERGY_KNOTS

PACKET = 8  # numbers in one gather


@dataclass(frozen=True)
class _Matrix:
    """Where a layer lies in the weights of a material, in packets."""

    at: int
    inputs: int
    outputs: int
    columns: int  # packets in a row
    bias: int | None


class NeuralLanes(NeuralBSDF):
    """`eval_pdf_sample` of the material whose number each lane says (`at`)."""

    def __init__(self, members: Sequence[NeuralBSDF]) -> None:
        import drjit as dr

        first = members[0]
        if any(signature(m) != signature(first) for m in members):
            raise ValueError("members of different architectures")
        self.members, self._mi = tuple(members), first._mi
        self.name, self.reciprocal = "neural", first.reciprocal
        mi = self._mi
        self._packet = packet_type(mi)
        self._member: Any = None
        self._layers, blocks = _layout([m.tensors for m in members])
        self._size = blocks.shape[1] // PACKET
        self._buffer = mi.Float(blocks.ravel())
        energies = [np.asarray(m.tensors["energy"], np.float32).ravel() for m in members]
        self._energy = mi.Float(np.concatenate(energies))
        self._resolutions = mi.Float([float(m.pyramid.resolution) for m in members])
        self._tops = mi.Float([float(m.pyramid.levels - 1) for m in members])
        dr.eval(self._buffer, self._energy, self._resolutions, self._tops)

    def at(self, member: Any, active: Any) -> NeuralLanes:
        """The material whose lanes each show their own `member` (UInt)."""
        bound = copy.copy(self)
        bound._member = member
        return bound

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """As of `NeuralBSDF`, all on one stochastically chosen level."""
        import drjit as dr

        mi = self._mi
        resolution = dr.gather(mi.Float, self._resolutions, self._member, active)
        top = dr.gather(mi.Float, self._tops, self._member, active)
        lod = dr.minimum(dr.log2(dr.maximum(p.footprint * resolution, 1.0)), top)
        low = dr.floor(lod)
        level = mi.UInt(low + dr.select(rng.next_float32() < lod - low, 1.0, 0.0))
        latent = self._latents(p.uv, level)
        view = self._view_of(latent, p.wi, active)
        lobes = self._lobes(latent, p.wi)
        value = self._evaluate(view, wo, active)
        pdf = self._density(lobes, p.wi, wo, active)
        return value, pdf, self._sample(view, lobes, u, active)

    def _latents(self, uv: Any, level: Any) -> list[Any]:
        """Each from its own pyramid, whatever its format: only the lookup stands here often."""
        import drjit as dr

        mi = self._mi
        latent = [dr.zeros(mi.Float, dr.width(uv))] * 8
        for k, member in enumerate(self.members):
            latent = dr.if_stmt(
                (latent, uv, level),
                self._member == k,
                lambda latent, uv, level, m=member: m.pyramid.lookup(uv, level, mi.Bool(True)),
                lambda latent, uv, level: latent,
            )
        return latent

    def _frames(self, latent: list[Any]) -> list[Any]:
        return self._apply(self._layers["frames"][0], latent)

    def _mlp(self, inputs: list[Any], name: str) -> list[Any]:
        import drjit as dr

        x = inputs
        for number, layer in enumerate(self._layers[name]):
            x = [dr.maximum(v, 0) for v in x] if number else x
            x = self._apply(layer, x)
        return x

    def _energy_at(self, cos_i: Any, active: Any) -> Any:
        import drjit as dr

        mi = self._mi
        at = dr.clip(cos_i, 0, 1) * float(ENERGY_KNOTS - 1)
        knot = dr.minimum(mi.UInt(at), ENERGY_KNOTS - 2)
        place = self._member * ENERGY_KNOTS + knot
        low, high = (dr.gather(mi.Color3f, self._energy, place + k, active) for k in (0, 1))
        return dr.lerp(low, high, at - mi.Float(knot))

    def _apply(self, layer: _Matrix, x: list[Any]) -> list[Any]:
        """W x + b, row by row in a loop, so that its code stays small.

        Sums are taken in the order of `drjit.nn.matvec`.
        """
        import drjit as dr

        mi, base = self._mi, self._member * self._size
        y = dr.alloc_local(mi.Float, layer.outputs)

        def body(row: Any, at: Any, y: Any) -> tuple[Any, Any, Any]:
            total: Any = None
            if layer.bias is not None:
                total = dr.gather(mi.Float, self._buffer, (base + layer.bias) * PACKET + row)
            for column in range(layer.columns):
                weights = self._read(at + column)
                for j, v in enumerate(x[PACKET * column : PACKET * (column + 1)]):
                    total = weights[j] * v if total is None else dr.fma(weights[j], v, total)
            y[row] = total
            return row + 1, at + layer.columns, y

        start = (mi.UInt(0), base + layer.at, y)
        _, _, y = dr.while_loop(start, lambda row, at, y: row < layer.outputs, body)
        return [y[mi.UInt(m)] for m in range(layer.outputs)]

    def _read(self, packet: Any) -> Any:
        import drjit as dr

        shape = (PACKET, dr.width(packet))
        return dr.gather(self._packet, self._buffer, packet, True, shape=shape)


def signature(bsdf: NeuralBSDF) -> tuple[Any, ...]:
    """Equal for materials that `NeuralLanes` can take together."""
    return bsdf.reciprocal, tuple((n, a.shape) for n, a in sorted(bsdf.tensors.items()))


def _layout(
    tensors: Sequence[dict[str, np.ndarray]],
) -> tuple[dict[str, list[_Matrix]], np.ndarray]:
    """Layers by network, and the weights of each material (materials, numbers).

    Rows of W and b are padded to whole packets.
    """
    layers: dict[str, list[_Matrix]] = {"frames": [], "evaluator": [], "sampler": []}
    names: dict[str, list[tuple[str, str | None]]] = {"frames": [("frames", None)]}
    for net in ("evaluator", "sampler"):
        count = sum(n.startswith(f"{net}.w") for n in tensors[0])
        names[net] = [(f"{net}.w{k}", f"{net}.b{k}") for k in range(count)]
    parts: list[np.ndarray] = []
    at = 0
    for net, pairs in names.items():
        for weight, bias in pairs:
            w = np.stack([t[weight] for t in tensors]).astype(np.float32)
            count, rows, columns = w.shape
            padded = np.zeros((count, rows, _up(columns)), np.float32)
            padded[:, :, :columns] = w
            parts.append(padded.reshape(count, -1))
            packets = parts[-1].shape[1] // PACKET
            place = None
            if bias is not None:
                b = np.zeros((count, _up(rows)), np.float32)
                b[:, :rows] = np.stack([t[bias] for t in tensors])
                parts.append(b)
                place = at + packets
            layers[net].append(_Matrix(at, columns, rows, _up(columns) // PACKET, place))
            at += packets + (0 if bias is None else _up(rows) // PACKET)
    return layers, np.concatenate(parts, axis=1)


def _up(n: int) -> int:
    return -(-n // PACKET) * PACKET
