"""Neural materials as the shaders read them; the only place that knows an artifact's tensors.

A layer is W (outputs x inputs, row-major, sides padded with zeros to multiples of 4), then b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from etendue.artifact import Artifact
from etendue.bsdf.pyramid import level_sizes

Array = np.ndarray
TILE = 16  # sides of matrices in the cooperative copy, as in `neural/mlp.slang`
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
    for columns, rows in zip(sides[:-1], sides[1:], strict=True):
        w = flat[at : at + rows * columns].reshape(rows, columns)
        b = flat[at + rows * columns :][:rows]
        result.append((w, b))
        at += rows * columns + rows
    return result


def to_cooperative(w: Array) -> Array:
    """Float16 matrix with both sides padded to whole tiles, row-major."""
    rows, columns = (round_up(side, TILE) for side in w.shape)
    return pad(w.astype(np.float16), rows, columns)


def from_cooperative(packed: Array, rows: int, columns: int) -> Array:
    """The matrix inside a padded one."""
    return packed[:rows, :columns]


def cooperative(artifact: Artifact, name: str) -> Array:
    """Float16 weights of a network, layer by layer, for the cooperative kernels."""
    return np.concatenate([to_cooperative(w).ravel() for w, _ in padded_layers(artifact, name)])


def bits(values: Sequence[int]) -> Array:
    """Integers as elements (n, 4) of a float buffer, bit by bit."""
    padded = [*values, *([0] * (-len(values) % 4))]
    return np.array(padded, np.uint32).view(np.float32).reshape(-1, 4)


def round_up(n: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `n`."""
    return -(-n // step) * step


@dataclass
class DataBuilder:
    """Collects the elements of `g_data` and the float16 weights."""

    parts: list[Array]
    packed: list[Array]
    size: int = 0
    packed_size: int = 0

    def add(self, block: Array) -> int:
        """Append elements (n, 4); where they begin."""
        at = self.size
        self.parts.append(np.ascontiguousarray(block, np.float32))
        self.size += len(block)
        return at

    def add_packed(self, weights: Array) -> int:
        """Append float16 weights; where they begin."""
        at = self.packed_size
        self.packed.append(weights)
        self.packed_size += weights.size
        return at

    def add_neural(self, artifact: Artifact) -> int:
        """Append a material; where its header begins."""
        tensors = artifact.tensors
        latents = self.add(tensors["latents"].astype(np.float32).reshape(-1, 4))
        knots = self.add(pad(tensors["energy"].astype(np.float32), len(tensors["energy"]), 4))
        frames = self.add(tensors["frames"].astype(np.float32).reshape(-1, 4))
        rows = pad(tensors["albedo"].astype(np.float32), 3, 12)
        albedo = self.add(rows.reshape(-1, 4))
        resolution = int(artifact.header["lod"]["resolution"])
        pyramid = [latents, resolution, len(level_sizes(resolution))]
        header = [bits([*pyramid, knots]), bits([frames, albedo])]
        for name in NETWORKS:
            net = padded_layers(artifact, name)
            at, packed = self.add(pack_layers(net)), self.add_packed(cooperative(artifact, name))
            inputs, hidden, outputs = net[0][0].shape[1], len(net[0][0]), len(net[-1][0])
            header.append(bits([at, packed, inputs, hidden, outputs, len(net)]))
        return self.add(np.concatenate(header))

    def data(self) -> Array:
        """All elements (n, 4), at least one."""
        return np.concatenate([*self.parts, np.zeros((1, 4), np.float32)])

    def halves(self) -> Array:
        """All float16 weights, an even number and at least two."""
        pad_to_even = np.zeros(2 + self.packed_size % 2, np.float16)
        return np.concatenate([*self.packed, pad_to_even])
