"""The readable reference: what it computes, its equation, its source, what differs from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.plugins.slots import Tensor, Tensors, to_numpy


def reference(a: Tensor, b: Tensor) -> Tensors:
    """Dot products of rows: sum of a b."""
    return {"dot": (to_numpy(a) * to_numpy(b)).sum(1)}


def example(sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Inputs of one of the sizes in plugin.toml."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((sizes["n"], 3), np.float32) for name in ("a", "b")}
