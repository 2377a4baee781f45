"""A transformer block that splits along every axis, and how its layers are to be split."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from etendue.core.errors import InputError
from etendue.schedule.parallel.ring import ring_attention
from etendue.schedule.parallel.tensor import Column, Row, Style
from etendue.schedule.parallel.wire import Line


class Attention(nn.Module):
    """Multi-head self-attention, (batch, rows, width) -> the same.

    Of split layers it sees the heads of this rank. With a `line` of several ranks the rows are
    this rank's part of the sequence.
    """

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                "attention", "the width does not divide into heads", got=f"{width} / {heads}"
            )
        self.head, self.causal = width // heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.line = Line()

    def forward(self, x: Tensor) -> Tensor:
        """softmax(q kᵀ / √d) v per head."""
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head)).permute(2, 0, 3, 1, 4)
        if self.line.size > 1:
            y = ring_attention(q, k, v, self.line, causal=self.causal)
        else:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a network of two layers, each added to its input (pre-norm)."""

    def __init__(self, width: int, heads: int, hidden: int, causal: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, rows, width) -> the same."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


def block_styles(head: int) -> dict[str, Style]:
    """How `Block`s with heads of this size are split over a tensor group."""
    return {
        "*attention.qkv": Column(parts=3, unit=head),
        "*attention.out": Row(unit=head),
        "*up": Column(),
        "*down": Row(),
    }
