"""Tensor parallel layers (Narayanan et al. 2021, section 2.3).

A column-split layer makes its own columns of the result from the whole input, a row-split layer
turns such columns into a partial sum of the whole result. A pair of them costs one all-reduce
forward (after the rows) and one backward (before the columns).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from etendue.core.errors import InputError
from etendue.schedule.parallel.wire import Line


@dataclass(frozen=True)
class Column:
    """Split a `Linear` by outputs, which come in `parts` equal parts (3 for a fused q, k, v).

    Cuts lie at multiples of `unit` within a part: the size of an attention head.
    """

    parts: int = 1
    unit: int = 1


@dataclass(frozen=True)
class Row:
    """Split a `Linear` by inputs, as a column-split layer before it left them."""

    parts: int = 1
    unit: int = 1


@dataclass(frozen=True)
class Vocabulary:
    """Split an `Embedding` by rows of its table."""


Style = Column | Row | Vocabulary


class _CopyIn(torch.autograd.Function):
    """Identity forward, all-reduce backward (f in the paper)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, line: Line) -> Tensor:
        ctx.line = line
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.line.all_reduce(grads[0].clone(), "tensor"), None


class _ReduceOut(torch.autograd.Function):
    """All-reduce forward, identity backward (g in the paper)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, line: Line) -> Tensor:
        return line.all_reduce(x.clone(), "tensor")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def copy_in(x: Tensor, line: Line) -> Tensor:
    """The same values on each rank; their gradients are summed over the line."""
    return _CopyIn.apply(x, line) if line.size > 1 else x  # type: ignore[return-value]


def reduce_out(x: Tensor, line: Line) -> Tensor:
    """Sum over the line; each rank keeps the gradient of the sum."""
    return _ReduceOut.apply(x, line) if line.size > 1 else x  # type: ignore[return-value]


def cut(x: Tensor, line: Line, dim: int, parts: int = 1) -> Tensor:
    """This rank's share of a whole tensor along `dim`."""
    shares = [part.tensor_split(line.size, dim)[line.index] for part in x.chunk(parts, dim)]
    return torch.cat(shares, dim)


def join(shares: list[Tensor], dim: int, parts: int = 1) -> Tensor:
    """The whole tensor from the shares of all ranks."""
    pieces = [share.chunk(parts, dim) for share in shares]
    return torch.cat([piece[part] for part in range(parts) for piece in pieces], dim)


class Split(nn.Module):
    """A layer of which this rank holds a share; `cuts`: parameter -> (dimension, parts)."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, line: Line, cuts: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.line = line
        self.cuts = dict(cuts)

    def take(self, name: str, whole: Tensor | None) -> None:
        """Register this rank's share of a parameter."""
        if whole is None:
            self.register_parameter(name, None)
            return
        share = whole.detach()
        if name in self.cuts:
            share = cut(share, self.line, *self.cuts[name])
        self.register_parameter(name, nn.Parameter(share.clone(), whole.requires_grad))


class ColumnLinear(Split):
    """(..., inputs) -> this rank's outputs (..., outputs / k)."""

    def __init__(self, layer: nn.Linear, line: Line, parts: int = 1) -> None:
        super().__init__(line, {"weight": (0, parts), "bias": (0, parts)})
        self.take("weight", layer.weight)
        self.take("bias", layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Product with this rank's rows of the weight."""
        return functional.linear(copy_in(x, self.line), self.weight, self.bias)


class RowLinear(Split):
    """This rank's inputs (..., inputs / k) -> the whole outputs (..., outputs)."""

    def __init__(self, layer: nn.Linear, line: Line, parts: int = 1) -> None:
        super().__init__(line, {"weight": (1, parts)})
        self.take("weight", layer.weight)
        self.take("bias", layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Sum over the ranks of the products; the bias is added once."""
        y = reduce_out(functional.linear(x, self.weight), self.line)
        return y if self.bias is None else y + self.bias


class VocabularyEmbedding(Split):
    """Indices -> the whole vectors; each rank looks up those in its part of the table."""

    def __init__(self, layer: nn.Embedding, line: Line) -> None:
        super().__init__(line, {"weight": (0, 1)})
        self.take("weight", layer.weight)
        self.first = layer.num_embeddings // line.size * line.index

    def forward(self, index: Tensor) -> Tensor:
        """Rows that another rank holds count as zero in the sum."""
        local = index - self.first
        here = (local >= 0) & (local < self.weight.shape[0])
        rows = functional.embedding(local.where(here, torch.zeros_like(local)), self.weight)
        return reduce_out(rows * here.unsqueeze(-1), self.line)


def vocabulary_cross_entropy(logits: Tensor, target: Tensor, line: Line) -> Tensor:
    """Cross entropy per row from this rank's columns of the logits (..., classes / k).

    Three numbers per row are exchanged instead of all logits: the maximum, the target's logit, and
    the sum of exponentials.
    """
    width = logits.shape[-1]
    top = line.all_reduce(logits.detach().amax(-1), "tensor", "max")
    shifted = logits - top.unsqueeze(-1)
    local = target - line.index * width
    here = (local >= 0) & (local < width)
    chosen = shifted.gather(-1, local.clamp(0, width - 1).unsqueeze(-1)).squeeze(-1) * here
    total = reduce_out(shifted.exp().sum(-1), line)
    return total.log() - reduce_out(chosen, line)


def cut_of(name: str, styles: Mapping[str, Style]) -> tuple[int, int] | None:
    """(dimension, parts) along which a parameter is split, by its full name."""
    owner, _, last = name.rpartition(".")
    for pattern, style in styles.items():
        if fnmatchcase(owner, pattern):
            if isinstance(style, Row):
                return (1, style.parts) if last == "weight" else None
            return 0, style.parts if isinstance(style, Column) else 1
    return None


def split(module: nn.Module, styles: Mapping[str, Style], line: Line) -> nn.Module:
    """A copy of `module` in which the named layers hold this rank's share.

    `styles` maps patterns of layer names (`"*.up"`) to how they are split. Raises `InputError` for
    a pattern that names no layer, a layer of another kind, and sizes that do not divide.
    """
    module = copy.deepcopy(module)
    return split_in_place(module, styles, line)


def split_in_place(
    module: nn.Module, styles: Mapping[str, Style], line: Line, require: bool = True
) -> nn.Module:
    """As `split`, without the copy; `require`: each pattern must name a layer."""
    if line.size == 1:
        return module
    for pattern, style in styles.items():
        names = [name for name, _ in module.named_modules() if fnmatchcase(name, pattern)]
        if not names and require:
            raise InputError(f"tensor split {pattern!r}", "names no layer of the module")
        for name in names:
            owner, _, last = name.rpartition(".")
            layer = module.get_submodule(name)
            setattr(module.get_submodule(owner), last, _split_layer(name, layer, style, line))
    return module


def _split_layer(name: str, layer: nn.Module, style: Style, line: Line) -> Split:
    kind = nn.Embedding if isinstance(style, Vocabulary) else nn.Linear
    if not isinstance(layer, kind):
        raise InputError(
            f"layer {name}",
            f"cannot be split as {type(style).__name__}",
            got=type(layer).__name__,
            expected=kind.__name__,
        )
    if isinstance(layer, nn.Embedding):
        if layer.padding_idx is not None or layer.max_norm is not None:
            raise InputError(f"layer {name}", "padding_idx and max_norm cannot be split")
        _divides(name, "rows", layer.num_embeddings, line.size)
        return VocabularyEmbedding(layer, line)
    assert isinstance(layer, nn.Linear) and not isinstance(style, Vocabulary)
    if isinstance(style, Column):
        _divides(name, "outputs", layer.out_features, line.size * style.parts * style.unit)
        return ColumnLinear(layer, line, style.parts)
    _divides(name, "inputs", layer.in_features, line.size * style.parts * style.unit)
    return RowLinear(layer, line, style.parts)


def _divides(name: str, what: str, number: int, by: int) -> None:
    if number % by:
        raise InputError(
            f"layer {name}",
            f"its {what} do not divide over the tensor group",
            got=number,
            expected=f"a multiple of {by}",
            fix="Choose a smaller tensor group or another width",
        )


def whole(module: nn.Module, gradients: bool = False) -> dict[str, Tensor]:
    """Parameters (or their gradients) by name, put together from all ranks of the tensor group.

    Every rank of the group calls this together. Parameters without a gradient are left out.
    """
    result = {}
    for owner, layer in module.named_modules():
        for name, parameter in layer.named_parameters(owner, recurse=False):
            value = parameter.grad if gradients else parameter.detach()
            if value is None:
                continue
            where = layer.cuts.get(name.rpartition(".")[2]) if isinstance(layer, Split) else None
            if where is not None:
                assert isinstance(layer, Split)
                value = join(layer.line.all_gather(value, "export"), *where)
            result[name] = value
    return result
