"""Block floating point: integers that share a power of two per block of values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.core.errors import InputError
from etendue.formats.finite import finite_f32

BIAS = 127  # of a stored exponent, as in the MX scale e8m0
LOWEST, HIGHEST = -127, 127


@dataclass(frozen=True)
class Blocks:
    """An encoded tensor."""

    mantissa: np.ndarray  # int16, shape of the tensor
    exponent: np.ndarray  # uint8, biased by 127; the block axis has one entry per block


@dataclass(frozen=True)
class BlockFloat:
    """x = m 2^(E - bits + 2) with E = floor(log2 max |x|) of the block, m an integer.

    Symmetric: |m| <= 2^(bits-1) - 1. Rounded half to even. With 8 bits and 32 values per block it
    is the concrete format MXINT8 of the OCP Microscaling specification (Rouhani et al. 2023). E is
    held within -127..127, so that its code 255 (NaN in MX) never occurs.
    """

    bits: int = 8  # of a mantissa with its sign, 2..16
    block: int = 32  # values that share an exponent
    axis: int = -1  # along which blocks lie; its last block may be shorter

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise InputError("bits", "is out of range", got=self.bits, expected="2..16")
        if self.block < 1:
            raise InputError("block", "is out of range", got=self.block, expected="at least 1")

    @property
    def largest(self) -> int:
        """The largest mantissa."""
        return (1 << (self.bits - 1)) - 1

    def encode(self, x: np.ndarray, name: str = "tensor") -> Blocks:
        """Nearest mantissas; `InputError` for NaN and infinity."""
        x = finite_f32(x, name)
        if x.ndim == 0:
            raise InputError(name, "has no axis to lay blocks along", got="a single number")
        rows = self._rows(x)
        peak = np.abs(rows).max(-1, initial=0.0)
        exponent = np.where(peak > 0, np.frexp(peak)[1] - 1, LOWEST)  # exact at powers of two
        exponent = np.clip(exponent, LOWEST, HIGHEST)
        mantissa = np.rint(rows / self._step(exponent)[..., None])
        mantissa = np.clip(mantissa, -self.largest, self.largest).astype(np.int16)
        flat = mantissa.reshape(*mantissa.shape[:-2], -1)[..., : x.shape[self.axis]]
        return Blocks(
            np.ascontiguousarray(np.moveaxis(flat, -1, self.axis)),
            np.ascontiguousarray(np.moveaxis(exponent + BIAS, -1, self.axis).astype(np.uint8)),
        )

    def decode(self, blocks: Blocks) -> np.ndarray:
        """float32; exact, since m has at most 15 bits and the step is at least 2^-141."""
        step = self._spread(blocks)
        return (blocks.mantissa * step).astype(np.float32)

    def bound(self, x: np.ndarray) -> np.ndarray:
        """Largest |x - decode(encode(x))| (float64, shape of `x`).

        With the step s = 2^(E - bits + 2): rounding moves a value by at most s / 2. Only values
        beyond (largest + 1/2) s are clipped; they are below 2^(E + 1) = (largest + 1) s, so that
        clipping moves them by less than s.
        """
        x = finite_f32(x, "tensor").astype(np.float64)
        step = self._spread(self.encode(x))
        return np.where(np.abs(x) > (self.largest + 0.5) * step, step, 0.5 * step)

    def bits_per_value(self) -> float:
        """Mantissa and the share of the exponent."""
        return self.bits + 8 / self.block

    def _step(self, exponent: np.ndarray) -> np.ndarray:
        return np.ldexp(1.0, exponent.astype(np.int64) - (self.bits - 2))

    def _spread(self, blocks: Blocks) -> np.ndarray:
        """The step of every value (float64)."""
        step = self._step(blocks.exponent.astype(np.int64) - BIAS)
        wide = np.repeat(step, self.block, self.axis)
        length = blocks.mantissa.shape[self.axis]
        return np.moveaxis(np.moveaxis(wide, self.axis, -1)[..., :length], -1, self.axis)

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """(..., blocks, block) in float64, zeros after the end."""
        moved = np.moveaxis(x, self.axis, -1).astype(np.float64)
        short = -moved.shape[-1] % self.block
        padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, short)])
        return padded.reshape(*moved.shape[:-1], -1, self.block)
