"""Codebooks: the bound on any vectors, exactness where it can be, the metric, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.formats import codebook

from .strategies import tensors


def clusters(seed: int = 0, count: int = 4000) -> np.ndarray:
    """Vectors around a curve, as latents of a texture with few parameters are."""
    rng = np.random.default_rng(seed)
    t = rng.random((count, 2))
    curve = np.stack([np.sin(3 * t[:, 0] + k) * (1 + t[:, 1] * k) for k in range(8)], 1)
    return (curve + 0.02 * rng.normal(size=curve.shape)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    x=tensors(limit=2.0**96),
    stages=st.integers(1, 4),
    rows=st.integers(1, 20),
    spread=st.integers(0, 5),
    others=st.booleans(),
)
def test_error_stays_within_the_bound(
    x: np.ndarray, stages: int, rows: int, spread: int, others: bool
) -> None:
    """Also for vectors that the tables were not fitted to, in metrics with weights to 10^5."""
    rng = np.random.default_rng(spread)
    turn, _ = np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))
    metric = turn.T * 10.0 ** rng.uniform(0, spread, x.shape[1]) @ turn
    book = codebook.fit(x[: (len(x) + 1) // 2] if others else x, stages, rows=rows, metric=metric)
    back = book.decode(book.encode(x))
    assert back.dtype == np.float32 and np.isfinite(back).all()
    assert (np.abs(x.astype(np.float64) - back) <= book.bound(x)).all()


def test_bound_is_no_excuse() -> None:
    """Of one table it is the distance to the nearest row itself, in one dimension."""
    x = clusters()[:, :1]
    book = codebook.fit(x, 1, rows=16)
    error = np.abs(x.astype(np.float64) - book.decode(book.encode(x)))
    np.testing.assert_allclose(book.bound(x), error, atol=1e-5)


def test_few_different_vectors_are_exact() -> None:
    rng = np.random.default_rng(3)
    few = (rng.integers(-99, 100, (7, 8)) / 4).astype(np.float32)
    x = few[rng.integers(0, 7, 500)]
    book = codebook.fit(x, 2, rows=16)
    # tables have 16 bits relative to a channel's largest entry
    np.testing.assert_allclose(book.decode(book.encode(x)), x, atol=25 * 2.0**-14)


def test_each_table_helps() -> None:
    x, errors = clusters(), []
    for stages in (1, 2, 3, 4):
        book = codebook.fit(x, stages, rows=64)
        errors.append(float(((x - book.decode(book.encode(x))) ** 2).mean()))
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.7 * errors[1] and errors[3] < errors[2]


def test_nearest_rows_one_by_one() -> None:
    x = clusters(count=50)
    book = codebook.fit(clusters(), 2, rows=32)
    codes, tables = book.encode(x), book.tables.values().astype(np.float64)
    for vector, code in zip(x.astype(np.float64), codes, strict=True):
        left = vector
        for stage in range(2):
            distances = ((left - tables[stage]) ** 2).sum(1)
            assert distances[code[stage]] <= distances.min() * (1 + 1e-9)
            left = left - tables[stage][code[stage]]


def test_metric_decides_what_is_kept() -> None:
    x = clusters()
    metric = np.diag([100.0, 1, 1, 1, 1, 1, 1, 0.01])
    errors = []
    for g in (None, metric):
        book = codebook.fit(x, 2, metric=g, rows=64)
        errors.append(((x - book.decode(book.encode(x))) ** 2).mean(0))
    assert errors[1][0] < 0.5 * errors[0][0] and errors[1][7] > errors[0][7]


def test_equal_input_gives_equal_tables() -> None:
    a, b = (codebook.fit(clusters(), 2, rows=32, seed=5).tables for _ in range(2))
    np.testing.assert_array_equal(a.mantissa, b.mantissa)
    np.testing.assert_array_equal(a.exponent, b.exponent)


def test_bad_input() -> None:
    x = clusters(count=20)
    broken = x.copy()
    broken[4, 6] = np.inf
    with pytest.raises(InputError, match=r"latents\[4, 6\]: cannot be encoded; got inf"):
        codebook.fit(broken, 1, name="latents")
    book = codebook.fit(x, 1, rows=4)
    with pytest.raises(InputError, match=r"tensor\[4, 6\]"):
        book.encode(broken)
    with pytest.raises(InputError, match="beyond the range of a codebook"):
        book.encode(np.full((1, 8), 1e30, np.float32))
    with pytest.raises(InputError, match=r"list of vectors; got \(8,\)"):
        book.encode(x[0])
    with pytest.raises(InputError, match="cannot be fitted; got 1 tables of 300 rows"):
        codebook.fit(x, 1, rows=300)
    with pytest.raises(InputError, match="for 0 vectors"):
        codebook.fit(x[:0], 1)
    with pytest.raises(InputError, match="not positive definite"):
        codebook.fit(x, 1, metric=np.diag([1.0] * 7 + [-1.0]))
    assert book.encode(x[:0]).shape == (0, 1)
