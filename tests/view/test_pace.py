"""How large passes and moving pictures are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.view.pace import DIVISORS, LEAST_PATHS, MOST_SAMPLES, Pace, divisor, even, samples


@pytest.mark.parametrize(("rate", "launch"), [(1e6, 0.0), (2e5, 0.02), (3e7, 0.001)])
def test_passes_come_to_take_the_time_they_may(rate: float, launch: float) -> None:
    pace = Pace(0.1)
    for _ in range(30):
        pace = pace.measured(pace.paths, launch + pace.paths / rate)
    assert launch + pace.paths / rate == pytest.approx(0.1, rel=0.05)


def test_a_small_quick_pass_says_nothing_and_a_slow_one_does() -> None:
    pace = Pace(0.1, 100_000)
    assert pace.measured(10_000, 0.09) == pace
    assert pace.measured(10_000, 5.0).paths >= LEAST_PATHS
    assert pace.measured(100_000, 1.0).paths < 100_000


@given(st.tuples(st.integers(2, 4000), st.integers(2, 4000)), st.integers(1, 10**7))
def test_the_divisor_fits_and_is_the_smallest(size: tuple[int, int], paths: int) -> None:
    found = divisor(size, paths)
    width, height = even(size, found)
    assert width % 2 == 0 == height % 2
    assert width * height <= paths or found == DIVISORS[-1]
    for smaller in DIVISORS[: DIVISORS.index(found)]:
        w, h = even(size, smaller)
        assert w * h > paths


@given(st.integers(1, 10**7), st.integers(0, 1000), st.integers(1, 2000), st.integers(1, 10**8))
def test_samples_never_overshoot(pixels: int, spp: int, wanted: int, paths: int) -> None:
    count = samples(pixels, spp, wanted, paths)
    assert count & (count - 1) == 0 and 1 <= count <= MOST_SAMPLES
    assert count == 1 or spp + count <= wanted
