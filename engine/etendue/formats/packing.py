"""Integers of 1 to 32 bits as a little-endian stream in 32-bit words."""

from __future__ import annotations

import numpy as np

from etendue.core.errors import InputError

WORD = 32


def word_count(count: int, bits: int) -> int:
    """Words that `count` values of `bits` bits need."""
    return -(-count * bits // WORD)


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """Words (`word_count`,) of the lowest `bits` bits of integer `values`, flattened.

    Value i lies at the bits i * bits and up of the stream; bit k of the stream is bit k % 32 of
    word k // 32. Negative values are stored as two's complement.
    """
    flat = np.ascontiguousarray(values).ravel().astype(np.int64)
    low, high = -(1 << (bits - 1)), (1 << bits) - 1
    if flat.size and (flat.min() < low or flat.max() > high):
        raise InputError(
            "packing",
            f"a value does not fit into {bits} bits",
            got=f"{flat.min()}..{flat.max()}",
            expected=f"{low}..{high}",
        )
    stream = np.zeros(word_count(flat.size, bits) * WORD, np.uint8)
    stream[: flat.size * bits] = ((flat[:, None] >> np.arange(bits)) & 1).ravel()
    return np.packbits(stream, bitorder="little").view("<u4").astype(np.uint32)


def unpack(words: np.ndarray, bits: int, count: int, *, signed: bool = False) -> np.ndarray:
    """`count` integers (int64) from `pack`; `signed` reads them as two's complement."""
    if len(words) < word_count(count, bits):
        raise InputError(
            "packing", "too few words", got=len(words), expected=word_count(count, bits)
        )
    octets = np.ascontiguousarray(words, "<u4").view(np.uint8)
    stream = np.unpackbits(octets, bitorder="little", count=count * bits).reshape(count, bits)
    values = np.zeros(count, np.int64)
    for k in range(bits):
        values |= stream[:, k].astype(np.int64) << k
    sign = 1 << (bits - 1)
    return (values ^ sign) - sign if signed else values
