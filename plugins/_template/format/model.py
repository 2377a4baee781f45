"""The readable reference: what it computes, its equation, its source, what differs from that."""

from __future__ import annotations

import numpy as np

from etendue.plugins.slots import Tensor, Tensors, to_numpy


class Half:
    """IEEE half precision: 11 bits of significand, saturating at 65504."""

    bits = 16.0  # per value, with everything that decoding needs

    def encode(self, x: Tensor) -> Tensors:
        """The stored form of (n,) float32."""
        return {"half": np.clip(to_numpy(x), -65504.0, 65504.0).astype(np.float16)}

    def decode(self, code: Tensors) -> Tensor:
        """(n,) float32 from the stored form."""
        return to_numpy(code["half"]).astype(np.float32)

    def bound(self, x: Tensor) -> Tensor:
        """Largest error per value: half a unit in the last place, or what saturation cuts off."""
        size = np.abs(to_numpy(x))
        return np.maximum(np.maximum(size * 2.0**-11, 2.0**-25), size - 65504).astype(np.float32)


def build(seed: int) -> Half:
    """The format; this one is the same for every `seed`."""
    return Half()
