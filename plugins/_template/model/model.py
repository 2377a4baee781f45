"""The readable reference: what it computes, its equation, its source, what differs from that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from etendue.plugins.slots import Tensor, Tensors, to_numpy


def build(seed: int) -> Callable[..., Tensors]:
    """The model with weights drawn from `seed`: y = tanh(x W)."""
    weights = np.random.default_rng(seed).standard_normal((3, 8), np.float32)

    def run(x: Tensor) -> Tensors:
        return {"y": np.tanh(to_numpy(x) @ weights)}

    return run


def example(sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Inputs of one of the sizes in plugin.toml."""
    return {"x": np.random.default_rng(seed).standard_normal((sizes["n"], 3), np.float32)}
