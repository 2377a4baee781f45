"""Places on the grid and devices for ranks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.schedule.parallel.grid import AXES, Grid, spread

EXTENT = st.integers(1, 3)


@given(EXTENT, EXTENT, EXTENT, EXTENT)
def test_places_and_lines(pipeline: int, data: int, sequence: int, tensor: int) -> None:
    grid = Grid(pipeline, data, sequence, tensor)
    assert grid.size == math.prod(grid.shape)
    assert [grid.rank(grid.place(rank)) for rank in range(grid.size)] == list(range(grid.size))
    for axes in (*((axis,) for axis in AXES), ("data", "sequence")):
        lines = grid.lines(*axes)
        assert sorted(rank for line in lines for rank in line) == list(range(grid.size))
        for line in lines:
            others = [{k: v for k, v in grid.place(r).items() if k not in axes} for r in line]
            assert all(other == others[0] for other in others)


def test_tensor_ranks_are_neighbours_and_stages_far_apart() -> None:
    grid = Grid(pipeline=2, data=2, tensor=2)
    assert grid.line(5, "tensor") == (4, 5)
    assert grid.line(5, "data") == (5, 7)
    assert grid.line(5, "pipeline") == (1, 5)


def test_tensor_groups_stay_within_a_host() -> None:
    hosts = {"a": ("cuda:0", "cuda:1", "cuda:2"), "b": ("cuda:0", "cuda:1")}
    placed = spread(Grid(data=2, tensor=2), hosts)
    assert placed == (("a", "cuda:0"), ("a", "cuda:1"), ("b", "cuda:0"), ("b", "cuda:1"))
    assert len(spread(Grid(data=5), hosts)) == 5
    with pytest.raises(InputError, match=r"too few devices for tensor groups of 3 .* got 3"):
        spread(Grid(data=2, tensor=3), hosts)


@pytest.mark.parametrize("axis", AXES)
def test_bad_extent(axis: str) -> None:
    with pytest.raises(InputError, match=f"grid: {axis} is too small; got 0"):
        Grid(**{axis: 0})
