"""Packing: round trip at any width, the documented bit order, values that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.formats.packing import pack, unpack, word_count


@settings(max_examples=150, deadline=None)
@given(data=st.data(), bits=st.integers(1, 32), signed=st.booleans())
def test_round_trip(data: st.DataObject, bits: int, signed: bool) -> None:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    values = np.array(data.draw(st.lists(st.integers(low, high), max_size=40)), np.int64)
    words = pack(values, bits)
    assert words.dtype == np.uint32 and len(words) == word_count(len(values), bits)
    np.testing.assert_array_equal(unpack(words, bits, len(values), signed=signed), values)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.integers(0, 2**5 - 1), min_size=1, max_size=40))
def test_bit_order_is_that_of_one_long_integer(values: list[int]) -> None:
    stream = sum(value << (5 * k) for k, value in enumerate(values))
    words = [(stream >> (32 * k)) & 0xFFFFFFFF for k in range(word_count(len(values), 5))]
    assert pack(np.array(values), 5).tolist() == words


def test_what_does_not_fit() -> None:
    for value in (16, -9):
        with pytest.raises(InputError, match="does not fit into 4 bits"):
            pack(np.array([0, value]), 4)
    with pytest.raises(InputError, match=r"too few words; got 1, expected 2"):
        unpack(np.zeros(1, np.uint32), 8, 5)
