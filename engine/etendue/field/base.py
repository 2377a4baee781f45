"""What every radiance field is, and the parts that several of them share.

A field lives in the unit cube. Density `sigma` is per side of the cube; models give its logarithm,
of which everything (occupancy, shading, distillation) takes `density`, so that no two of them see
different fields. Colours are display-encoded (sRGB), in [0, 1], as in the photos they come from.

Models that have a feature stage map x to (log sigma, 15 features); one colour head, the same in
all of them, makes rgb of features and direction (Fang et al. 2023, section 3).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

Params = dict[str, Tensor]
FEATURES = 16  # log sigma and 15 features
HEAD_WIDTH = 64
HEAD_SH = 4  # degree count of the directions that the head sees: 16 numbers
LOG_SIGMA = (-2.0, 7.0)  # range in which distillation tells densities apart
TOP = 12.0  # above this the gradient of exp is no longer followed


class Model(Protocol):
    """A kind of field with its sizes; parameters are passed in, names are those of the file."""

    kind: ClassVar[str]
    has_features: ClassVar[bool]
    rate: ClassVar[float]  # learning rate of Adam
    taught_rate: ClassVar[float]  # the same when another field teaches it at points

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters."""
        ...

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma and features (n, 16) at points (n, 3) of the unit cube."""
        ...

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,) at points (n, 3) seen along unit directions (n, 3)."""
        ...

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,) alone."""
        ...


class _Exp(torch.autograd.Function):
    """exp whose gradient is bounded: a density that explodes must find its way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return torch.exp(x.clamp(max=TOP))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return grad * torch.exp(x.clamp(-TOP, TOP))


def density(log_sigma: Tensor) -> Tensor:
    """sigma of log sigma."""
    return _Exp.apply(log_sigma)  # type: ignore[no-any-return]


def init_layers(name: str, sizes: tuple[int, ...], generator: torch.Generator) -> Params:
    """Kaiming-uniform weights (out, in) and zero biases of a ReLU network."""
    params: Params = {}
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        bound = math.sqrt((6 if k < len(sizes) - 2 else 3) / fan_in)
        weight = torch.rand(fan_out, fan_in, generator=generator)
        params[f"{name}.w{k}"] = bound * (2 * weight - 1)
        params[f"{name}.b{k}"] = torch.zeros(fan_out)
    return params


def layers(x: Tensor, params: Params, name: str) -> Tensor:
    """Apply the ReLU network `name`."""
    k = 0
    while f"{name}.w{k}" in params:
        x = torch.relu(x) if k else x
        x = torch.nn.functional.linear(x, params[f"{name}.w{k}"], params[f"{name}.b{k}"])
        k += 1
    return x


def init_head(generator: torch.Generator) -> Params:
    """The colour head: SH of the direction and 15 features -> 64 -> 64 -> rgb."""
    sizes = (HEAD_SH**2 + FEATURES - 1, HEAD_WIDTH, HEAD_WIDTH, 3)
    return init_layers("head", sizes, generator)


def head(params: Params, features: Tensor, d: Tensor) -> Tensor:
    """rgb (n, 3) of features (n, 16), the first of which it does not see."""
    x = torch.cat([spherical_harmonics(d, HEAD_SH), features[:, 1:]], -1)
    return torch.sigmoid(layers(x, params, "head"))


def spherical_harmonics(d: Tensor, degrees: int) -> Tensor:
    """Real spherical harmonics (n, degrees^2) of unit directions, bands 0 to degrees - 1 (<= 3)."""
    x, y, z = d.unbind(-1)
    return torch.stack(harmonics(x, y, z, degrees), -1)


def harmonics(x: Any, y: Any, z: Any, degrees: int) -> list[Any]:
    """The same of components of any kind of numbers: degrees^2 of them."""
    xx, yy, zz = x * x, y * y, z * z
    bands = [
        [0.28209479177387814 + 0 * x],
        [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x],
        [
            1.0925484305920792 * (x * y),
            -1.0925484305920792 * (y * z),
            0.31539156525252005 * (3 * zz - 1),
            -1.0925484305920792 * (x * z),
            0.5462742152960396 * (xx - yy),
        ],
        [
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * (x * y) * z,
            -0.4570457994644658 * y * (5 * zz - 1),
            0.3731763325901154 * z * (5 * zz - 3),
            -0.4570457994644658 * x * (5 * zz - 1),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ],
    ]
    return [value for band in bands[:degrees] for value in band]


def corners(x: Tensor, size: int, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Flat indices and weights (n, 2^k) of multilinear lookups in a grid of `size` points per axis.

    `axes` are the axes of the points (n, 3) in [0, 1] that span the grid, slowest first; the
    outermost points lie on the faces of the cube.
    """
    place = x[:, list(axes)].clamp(0, 1) * (size - 1)
    low = place.floor().clamp(max=max(size - 2, 0))
    t = place - low
    first = low.long()
    index = torch.zeros(len(x), 1, dtype=torch.long)
    weight = torch.ones(len(x), 1, dtype=x.dtype)
    for k in range(len(axes)):
        here = torch.stack([first[:, k], (first[:, k] + 1).clamp(max=size - 1)], -1)
        part = torch.stack([1 - t[:, k], t[:, k]], -1)
        index = (index[:, :, None] * size + here[:, None]).flatten(1)
        weight = (weight[:, :, None] * part[:, None]).flatten(1)
    return index, weight


class _Mix(torch.autograd.Function):
    """Sums of weighted rows; torch's own gradient of it sorts all indices, which takes longer."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(index, weight)
        ctx.rows = len(table)
        return _sums(table, index, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        from scipy.sparse import csr_array

        index, weight = ctx.saved_tensors
        starts = np.arange(0, index.numel() + 1, index.shape[1])
        entries = (weight.reshape(-1).numpy(), index.reshape(-1).numpy(), starts)
        matrix = csr_array(entries, shape=(len(index), ctx.rows))
        return torch.from_numpy(matrix.T @ grad.contiguous().numpy()), None, None


def _sums(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum")


def mix(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums (n, c) of rows of `table` (m, c); gradients reach the rows."""
    weight = weight.to(table.dtype)
    if table.is_cuda or not table.requires_grad:
        return _sums(table, index, weight)
    return _Mix.apply(table, index, weight)  # type: ignore[no-any-return]
