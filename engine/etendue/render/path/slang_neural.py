"""Neural materials as the shaders read them; the only place that knows an artifact's tensors.

A layer is W (outputs x inputs, row-major, sides padded with zeros to multiples of 4), then b.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from etendue.artifact import Artifact
from etendue.bsdf.neural_numpy import is_reciprocal
from etendue.bsdf.pyramid import level_sizes
from etendue.formats.material import plain

Array = np.ndarray
TILE = 16  # sides of cooperative matrices
NETWORKS = ("evaluator", "sampler")
HEADER = 6  # elements of `NeuralRef` in `bsdf/neural.slang`


def capacity(artifacts: Sequence[Artifact]) -> int:
    """Units of the widest layer, rounded up to whole tiles; at least 32."""
    sides = [max(w.shape) for a in artifacts for name in NETWORKS for w, _ in layers(a, name)]
    return max(32, round_up(max(sides, default=1), TILE))


def layers(artifact: Artifact, name: str) -> list[tuple[Array, Array]]:
    """(W, b) of each layer, float32."""
    found: list[tuple[Array, Array]] = []
    while f"{name}.w{len(found)}" in artifact.tensors:
        k = len(found)
        w, b = artifact.tensors[f"{name}.w{k}"], artifact.tensors[f"{name}.b{k}"]
        found.append((w.astype(np.float32), b.astype(np.float32)))
    return found


def padded_layers(artifact: Artifact, name: str) -> list[tuple[Array, Array]]:
    """`layers` with sides that are multiples of 4; hidden layers of one width."""
    plain = layers(artifact, name)
    hidden = max((len(w) for w, _ in plain[:-1]), default=0)
    sides = [plain[0][0].shape[1], *([hidden] * (len(plain) - 1)), len(plain[-1][0])]
    sides = [round_up(side, 4) for side in sides]
    return [
        (pad(w, rows, columns), pad(b[:, None], rows, 1)[:, 0])
        for (w, b), columns, rows in zip(plain, sides[:-1], sides[1:], strict=True)
    ]


def pad(a: Array, rows: int, columns: int) -> Array:
    """`a` in the upper left corner of zeros."""
    out = np.zeros((rows, columns), a.dtype)
    out[: a.shape[0], : a.shape[1]] = a
    return out


def pack_layers(padded: Sequence[tuple[Array, Array]]) -> Array:
    """Layers one behind the other as elements (n, 4): W row by row, then b."""
    return np.concatenate([np.concatenate([w.ravel(), b]) for w, b in padded]).reshape(-1, 4)


def unpack_layers(packed: Array, sides: Sequence[int]) -> list[tuple[Array, Array]]:
    """Inverse of `pack_layers` for layers between the given sides."""
    flat, result, at = packed.ravel(), [], 0
    for columns, rows in itertools.pairwise(sides):
        w = flat[at : at + rows * columns].reshape(rows, columns)
        b = flat[at + rows * columns :][:rows]
        result.append((w, b))
        at += rows * columns + rows
    return result


def deepest(artifacts: Sequence[Artifact]) -> int:
    """Most layers of any network, at least 1."""
    return max((len(layers(a, name)) for a in artifacts for name in NETWORKS), default=1)


def to_cooperative(layer: tuple[Array, Array], side: int) -> Array:
    """A layer as float16: W in the corner of a square matrix, row-major, then b."""
    w, b = layer
    square = pad(w.astype(np.float16), side, side)
    return np.concatenate([square.ravel(), pad(b.astype(np.float16)[:, None], side, 1)[:, 0]])


def from_cooperative(packed: Array, side: int, rows: int, columns: int) -> tuple[Array, Array]:
    """Inverse of `to_cooperative` for a layer of this shape."""
    square = packed[: side * side].reshape(side, side)
    return square[:rows, :columns], packed[side * side :][:rows]


def cooperative(artifact: Artifact, name: str, side: int) -> Array:
    """Float16 weights of a network, layer by layer, for the cooperative kernels."""
    return np.concatenate([to_cooperative(x, side) for x in padded_layers(artifact, name)])


def bits(values: Sequence[int]) -> Array:
    """Integers as elements (n, 4) of a float buffer, bit by bit."""
    padded = [*values, *([0] * (-len(values) % 4))]
    return np.array(padded, np.uint32).view(np.float32).reshape(-1, 4)


def round_up(n: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `n`."""
    return -(-n // step) * step


@dataclass
class DataBuilder:
    """Collects the elements of `g_data`."""

    parts: list[Array] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    size: int = 0

    def add(self, block: Array) -> int:
        """Append elements (n, 4); where they begin."""
        at = self.size
        self.parts.append(np.ascontiguousarray(block, np.float32))
        self.size += len(block)
        return at

    def add_neural(self, artifact: Artifact) -> int:
        """Append a material, whatever formats it is stored in; where its header begins.

        Latents and weights are decoded here, as the shaders compute in float32. The header counts
        float16 weights in layers; `halves` lays them out in the same order.
        """
        artifact = Artifact(artifact.header, plain(artifact.header, artifact.tensors))
        tensors = artifact.tensors
        latents = self.add(tensors["latents"].astype(np.float32).reshape(-1, 4))
        knots = self.add(pad(tensors["energy"].astype(np.float32), len(tensors["energy"]), 4))
        frames = self.add(tensors["frames"].astype(np.float32).reshape(-1, 4))
        rows = pad(tensors["albedo"].astype(np.float32), 3, 12)
        albedo = self.add(rows.reshape(-1, 4))
        resolution = int(artifact.header["lod"]["resolution"])
        pyramid = [latents, resolution, len(level_sizes(resolution))]
        header = [bits([*pyramid, knots]), bits([frames, albedo, int(is_reciprocal(tensors))])]
        layer = sum(len(layers(a, name)) for a in self.artifacts for name in NETWORKS)
        for name in NETWORKS:
            net = padded_layers(artifact, name)
            at = self.add(pack_layers(net))
            inputs, hidden, outputs = net[0][0].shape[1], len(net[0][0]), len(net[-1][0])
            header.append(bits([at, layer, inputs, hidden, outputs, len(net)]))
            layer += len(net)
        self.artifacts.append(artifact)
        return self.add(np.concatenate(header))

    def data(self) -> Array:
        """All elements (n, 4), at least one."""
        return np.concatenate([*self.parts, np.zeros((1, 4), np.float32)])

    def halves(self) -> Array:
        """All float16 weights, at least two."""
        side = capacity(self.artifacts)
        nets = [cooperative(a, name, side) for a in self.artifacts for name in NETWORKS]
        return np.concatenate([*nets, np.zeros(2, np.float16)])
