"""Latents in the words they are stored in, decoded in the kernel after the gather.

Oracle: `formats.latents.decode`, equal bit for bit. (Where it gives denormal numbers kernels flush
them to zero.) A store's `gather(texel, active)` returns the eight latents of a texel per lane.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from etendue.formats import blockfloat, latents

CHANNELS = latents.CHANNELS


def packet_type(mi: Any) -> Any:
    """The `ArrayXf` of the active variant."""
    return sys.modules[mi.Float.__module__].ArrayXf


def store_of(mi: Any, form: str, tensors: Mapping[str, np.ndarray], texels: int = 0) -> Any:
    """The store for checked tensors of the format `form`; fields are decoded once, here.

    `texels` of those must be given.
    """
    if form in latents.FIELDS:
        return FloatStore(mi, latents.decode("artifact", form, tensors, texels))
    if form in latents.BLOCKS:
        return BlockStore(mi, latents.BLOCKS[form], tensors)
    if form in latents.STAGES:
        return CodebookStore(mi, latents.STAGES[form], tensors)
    return FloatStore(mi, tensors["latents"])


class FloatStore:
    """Single precision in memory: the fastest to read, and the largest."""

    def __init__(self, mi: Any, values: np.ndarray) -> None:
        import drjit as dr

        self._packet = packet_type(mi)
        self._data = mi.Float(np.ascontiguousarray(values, np.float32).ravel())
        dr.eval(self._data)

    @classmethod
    def joined(cls, mi: Any, stores: Sequence[FloatStore]) -> FloatStore:
        """The texels of `stores`, one store behind the other."""
        import drjit as dr

        store = cls(mi, np.zeros((0, CHANNELS)))
        store._data = dr.concat([other._data for other in stores])
        dr.eval(store._data)
        return store

    @property
    def texels(self) -> int:
        """Number of texels."""
        return len(self._data) // CHANNELS

    def gather(self, texel: Any, active: Any) -> list[Any]:
        """Latents of `texel` (UInt)."""
        return _packet(self._packet, self._data, texel, active)


class BlockStore:
    """Block floating point: mantissas by texel, exponents by block of texels."""

    def __init__(
        self, mi: Any, form: blockfloat.BlockFloat, tensors: Mapping[str, np.ndarray]
    ) -> None:
        import drjit as dr

        self._mi, self._bits, self._block = mi, form.bits, form.block
        self._mantissa = mi.UInt(tensors["latents.mantissa"].ravel())
        self._exponent = mi.UInt(tensors["latents.exponent"].ravel())
        self._centre = mi.Float(np.ascontiguousarray(tensors["latents.centre"], np.float32))
        dr.eval(self._mantissa, self._exponent, self._centre)

    def gather(self, texel: Any, active: Any) -> list[Any]:
        """Latents of `texel` (UInt)."""
        import drjit as dr

        mi, bits = self._mi, self._bits
        block, values = texel // self._block, []
        each = 32 // bits  # mantissas in a word
        for c in range(CHANNELS):
            if c % each == 0:
                word = dr.gather(mi.UInt, self._mantissa, texel * (bits // 4) + c // each, active)
            if c % 4 == 0:
                four = dr.gather(mi.UInt, self._exponent, block * 2 + c // 4, active)
            # to the top, and down again with the sign
            mantissa = mi.Int(word << (32 - bits * (c % each + 1))) >> (32 - bits)
            exponent = mi.Int((four >> (8 * (c % 4))) & 0xFF) - (bits - 2)
            # a biased exponent of 0 or less is a denormal step
            step = dr.reinterpret_array(mi.Float, mi.UInt(dr.maximum(exponent, 0)) << 23)
            centre = dr.gather(mi.Float, self._centre, mi.UInt(c))
            values.append(mi.Float(mantissa) * step + centre)
        return values


class CodebookStore:
    """One byte per table and texel; the latents are the sum of the rows that they name."""

    def __init__(self, mi: Any, stages: int, tensors: Mapping[str, np.ndarray]) -> None:
        import drjit as dr

        self._mi, self._stages, self._packet = mi, stages, packet_type(mi)
        table = latents.tables(tensors)
        self._rows = table.shape[1]
        self._codes = mi.UInt(tensors["latents.codes"])
        self._table = mi.Float(table.ravel())
        dr.eval(self._codes, self._table)

    def gather(self, texel: Any, active: Any) -> list[Any]:
        """Latents of `texel` (UInt)."""
        codes, total = self._read(texel, active), [None] * CHANNELS
        for stage in range(self._stages):
            row = ((codes >> (8 * stage)) & 0xFF) + stage * self._rows
            part = _packet(self._packet, self._table, row, active)
            total = [b if a is None else a + b for a, b in zip(total, part, strict=True)]
        return total

    def _read(self, texel: Any, active: Any) -> Any:
        """The texel's bytes in the low bits of a UInt, from one or two words."""
        import drjit as dr

        mi, first = self._mi, texel * self._stages
        word, shift = first >> 2, (first & 3) << 3
        low = dr.gather(mi.UInt, self._codes, word, active)
        if 4 % self._stages == 0:  # a texel never lies across two words
            return low >> shift
        high = dr.gather(mi.UInt, self._codes, word + 1, active)
        return mi.UInt(((mi.UInt64(high) << 32) | mi.UInt64(low)) >> mi.UInt64(shift))


def _packet(kind: Any, data: Any, index: Any, active: Any) -> list[Any]:
    import drjit as dr

    values = dr.gather(kind, data, index, active, shape=(CHANNELS, dr.width(index)))
    return [values[c] for c in range(CHANNELS)]
