"""Small networks in Dr.Jit kernels, of materials and fields; oracles: `neural_numpy`, torch.

Weights lie in a buffer, so every material of one architecture shares one compiled kernel. Calls
must stand in the integrator body: inside a virtual call each weight would be a gather per lane.

* `CoopNetworks`: cooperative vectors. Single precision with LLVM; with CUDA they are a matter of
  OptiX and of half precision.
* `PlainNetworks`: sums of products in single precision, in the order of `drjit.nn.matvec`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.device.caps import cuda_answer

PACKET = 8  # numbers in one gather


class CoopNetworks:
    """Matrices times cooperative vectors."""

    def __init__(self, mi: Any, tensors: Mapping[str, np.ndarray], *, half: bool = False) -> None:
        import drjit as dr
        import drjit.nn as nn

        types = sys.modules[mi.Float.__module__]
        tensor = types.TensorXf16 if half else mi.TensorXf
        self._inner = types.Float16 if half else mi.Float
        self._mi, self.half = mi, half
        # sorted: files are read in any order, and offsets are part of the kernel kept on disk
        names = sorted(tensors)
        views = nn.pack([tensor(tensors[n].astype(np.float32)) for n in names], layout="inference")
        dr.eval(views[0].buffer)
        self._weights = dict(zip(names, views, strict=True))

    def mlp(self, inputs: list[Any], name: str) -> list[Any]:
        """Outputs of the ReLU network `name`."""
        import drjit as dr
        import drjit.nn as nn

        x, layer = self._vector(inputs), 0
        while f"{name}.w{layer}" in self._weights:
            x = dr.maximum(x, 0) if layer else x
            x = nn.matvec(self._weights[f"{name}.w{layer}"], x, self._weights[f"{name}.b{layer}"])
            layer += 1
        return self._numbers(x)

    def linear(self, inputs: list[Any], name: str) -> list[Any]:
        """The matrix `name` times `inputs`."""
        import drjit.nn as nn

        return self._numbers(nn.matvec(self._weights[name], self._vector(inputs)))

    def _vector(self, inputs: list[Any]) -> Any:
        import drjit.nn as nn

        return nn.CoopVec(*(map(self._inner, inputs) if self.half else inputs))

    def _numbers(self, vector: Any) -> list[Any]:
        return [self._mi.Float(x) for x in vector] if self.half else list(vector)


class PlainNetworks:
    """Sums of products; every weight is read at an address that is the same for all lanes."""

    half = False

    def __init__(self, mi: Any, tensors: Mapping[str, np.ndarray]) -> None:
        import drjit as dr

        self._mi = mi
        self._packet = sys.modules[mi.Float.__module__].ArrayXf
        self._places: dict[str, tuple[int, int, int]] = {}  # first packet, rows, packets in a row
        parts, at = [], 0
        for name in sorted(tensors):
            rows = np.atleast_2d(tensors[name].astype(np.float32))
            padded = np.zeros((rows.shape[0], -(-rows.shape[1] // PACKET) * PACKET), np.float32)
            padded[:, : rows.shape[1]] = rows
            self._places[name] = (at, rows.shape[0], padded.shape[1] // PACKET)
            parts.append(padded.ravel())
            at += padded.size // PACKET
        self._buffer = mi.Float(np.concatenate(parts))
        dr.eval(self._buffer)

    def mlp(self, inputs: list[Any], name: str) -> list[Any]:
        """Outputs of the ReLU network `name`."""
        import drjit as dr

        x, layer = inputs, 0
        while f"{name}.w{layer}" in self._places:
            x = [dr.maximum(v, 0) for v in x] if layer else x
            at, _, packets = self._places[f"{name}.b{layer}"]
            bias = [b for k in range(packets) for b in self._read(at + k)]
            x = self._times(f"{name}.w{layer}", x, bias)
            layer += 1
        return x

    def linear(self, inputs: list[Any], name: str) -> list[Any]:
        """The matrix `name` times `inputs`."""
        return self._times(name, inputs, None)

    def _times(self, name: str, x: list[Any], bias: list[Any] | None) -> list[Any]:
        import drjit as dr

        at, rows, packets = self._places[name]
        found = []
        for row in range(rows):
            total = None if bias is None else bias[row]
            for k in range(packets):
                weights = self._read(at + row * packets + k)
                for w, v in zip(weights, x[PACKET * k : PACKET * (k + 1)], strict=False):
                    total = w * v if total is None else dr.fma(w, v, total)
            found.append(total)
        return found

    def _read(self, packet: int) -> list[Any]:
        import drjit as dr

        at = self._mi.UInt(packet)
        return list(dr.gather(self._packet, self._buffer, at, True, shape=(PACKET, 1)))


def networks(mi: Any, tensors: Mapping[str, np.ndarray], *, exact: bool = False) -> Any:
    """The fastest way here; `exact` does not take half precision for it.

    On an H200, 2x32: 16 billion evaluations a second with cooperative vectors, 1.5 without.
    """
    import drjit as dr

    if dr.backend_v(mi.Float) == dr.JitBackend.LLVM:
        return CoopNetworks(mi, tensors)
    if not exact and cuda_answer().get("cooperative_vectors"):
        return CoopNetworks(mi, tensors, half=True)
    return PlainNetworks(mi, tensors)
