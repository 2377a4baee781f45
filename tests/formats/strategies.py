"""Tensors of single precision from hypothesis: denormals, zeros, wide ranges, ragged sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

LARGEST = float(np.finfo(np.float32).max)


def tensors(*, dims: int = 2, limit: float = LARGEST) -> st.SearchStrategy[np.ndarray]:
    """float32 arrays whose blocks are zero, denormal, huge, or all of it at once.

    Values are drawn as bit patterns, so that no library needs to know denormal numbers.
    """
    exponent = np.frexp(np.float32(limit))[1] + 126
    bits = st.one_of(
        st.integers(0, (int(exponent) << 23) - 1),  # any finite magnitude below the limit
        st.integers(0, (1 << 23) - 1),  # denormal
        st.sampled_from([0, 1, 0x00800000, 0x3F800000, 0x3F800001, 0x407FFFFF]),
    )
    sign = st.sampled_from([0, 1 << 31])
    element = st.builds(lambda b, s: b | s, bits, sign)
    shape = hnp.array_shapes(min_dims=dims, max_dims=dims, min_side=1, max_side=41)
    raw = hnp.arrays(np.uint32, shape, elements=element, fill=st.just(0))
    return raw.map(lambda a: a.view(np.float32))
