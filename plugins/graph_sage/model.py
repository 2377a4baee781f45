"""Two layers of GraphSAGE (Hamilton et al. 2017, Algorithm 1) with the mean aggregator.

    h_v = relu(W [x_v, mean of x_u over sampled neighbours u of v]), normalised at the end.

The first layer reads the feature table for every sampled neighbour of a neighbour; the second sees
only what the first gave. So the table is all that does not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from etendue.plugins.slots import Tensor, Tensors

WIDTH = 32


class Sage(torch.nn.Module):
    """The weights; `forward` sees gathered features only."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = torch.nn.Linear(2 * width, WIDTH)
        self.second = torch.nn.Linear(2 * WIDTH, WIDTH)
        with torch.no_grad():  # from the seed, whatever the global generator is at
            for parameter in self.parameters():
                bound = parameter.shape[-1] ** -0.5
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, own: torch.Tensor, mean: torch.Tensor, n: int, k: int) -> torch.Tensor:
        """Embeddings (n, 32) from features of n nodes and their k neighbours each.

        `own` (n (1 + k), width) are the nodes' features, then the neighbours', and `mean` the
        means over the neighbours of each.
        """
        h = torch.relu(self.first(torch.cat([own, mean], 1)))
        around = h[n:].reshape(n, k, WIDTH).mean(1)
        return torch.nn.functional.normalize(self.second(torch.cat([h[:n], around], 1)))


def build(seed: int) -> Callable[..., Tensors]:
    """Features gathered into a copy, then averaged: the oracle."""
    return runner(seed, copied)


def copied(
    features: Tensor, nodes: torch.Tensor, neighbours: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of `nodes` and the means over their `neighbours`."""
    table = torch.as_tensor(features)
    return table[nodes], table[neighbours].mean(1)


def runner(seed: int, gather: Callable[..., Any]) -> Callable[..., Tensors]:
    """The model with weights of `seed` and a way to read the table."""
    weights: dict[int, Sage] = {}

    def run(features: Tensor, nodes: Tensor, first: Tensor, second: Tensor) -> Tensors:
        width = features.shape[1]
        if width not in weights:
            weights[width] = Sage(width, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return {"embedding": embed(weights[width], gather, features, nodes, first, second)}

    return run


def embed(
    sage: Sage,
    gather: Callable[..., Any],
    features: Tensor,
    nodes: Tensor,
    first: Tensor,
    second: Tensor,
) -> torch.Tensor:
    """Embeddings of `nodes`; `first` are their neighbours, `second` those of nodes and `first`."""
    seen = torch.cat([torch.as_tensor(nodes), torch.as_tensor(first).reshape(-1)])
    own, mean = gather(features, seen, torch.as_tensor(second))
    return sage(own, mean, *first.shape)


def sample(rows: int, n: int, k: int, seed: int) -> dict[str, torch.Tensor]:
    """Nodes and two rings of neighbours: a random graph without locality, the hardest to read."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"nodes": (n,), "first": (n, k), "second": (n * (1 + k), k)}
    return {name: torch.randint(rows, shape, generator=generator) for name, shape in shapes.items()}


def example(sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Normal features and a random graph."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((sizes["rows"], sizes["width"]), np.float32)
    graph = sample(sizes["rows"], sizes["n"], sizes["k"], seed)
    return {"features": features, **{name: index.numpy() for name, index in graph.items()}}
