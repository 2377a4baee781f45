"""Ring attention equals attention of one process, gradients included, whatever each rank holds."""

from __future__ import annotations

import parallel_cases as cases
import pytest
import torch

from etendue.core.errors import InputError
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.launch import launch
from etendue.schedule.parallel.ring import ring_attention, ring_bytes
from etendue.schedule.parallel.wire import Line

pytestmark = pytest.mark.usefixtures("ranks_are_quick")

LENGTHS = {
    1: [(5,), (1,)],
    2: [(4, 4), (5, 2), (1, 6), (0, 3), (3, 0)],
    3: [(3, 3, 3), (4, 1, 2), (2, 0, 3)],
    4: [(2, 2, 2, 2), (3, 1, 4, 2), (1, 1, 1, 0), (0, 2, 0, 1)],
}
LIMITS = {"float64": 1e-12, "float32": 1e-6}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("size", LENGTHS)
def test_equal_to_one_process(size: int, dtype: str) -> None:
    width = torch.finfo(getattr(torch, dtype)).bits // 8
    row = 2 * 3 * (4 + 5) * width  # batch x heads x (key and value)
    results = launch(cases.attend_all, Grid(sequence=size), LENGTHS[size], dtype)
    for rank, of_rank in enumerate(results):
        for lengths, result in zip(LENGTHS[size], of_rank, strict=True):
            names = {f"{n} {kind}" for n in ("out", *"qkv") for kind in ("full", "causal")}
            assert set(result["errors"]) == (names if lengths[rank] else set())
            for name, value in result["errors"].items():
                assert value <= LIMITS[dtype], (lengths, name, value)
            # the same for full and causal: what is not needed is passed on all the same
            forward, backward = (ring_bytes(lengths, rank, row, grad) for grad in (False, True))
            assert result["sent"] == [(forward, backward)] * 2


def test_bytes_of_equal_parts() -> None:
    """(P - 1) blocks of keys and values forward; twice that and one block home backward."""
    for size in range(2, 6):
        for rank in range(size):
            assert ring_bytes((7,) * size, rank, 10) == 70 * (size - 1)
            assert ring_bytes((7,) * size, rank, 10, grad=True) == 70 * (2 * size - 1)


def test_scores_of_one_block_at_a_time() -> None:
    """Largest tensor: L/P x L/P scores, so P² times smaller than on one rank."""
    rows = 48
    for size in (1, 2, 4):
        for result in launch(cases.largest_scores, Grid(sequence=size), rows // size):
            assert result == ((rows // size) ** 2,) * 2


@pytest.mark.parametrize(
    ("shapes", "lengths", "message"),
    [
        (((1, 3, 4), (1, 2, 4), (1, 3, 4)), None, "queries, keys and values do not match"),
        (((1, 3, 4), (1, 3, 5), (1, 3, 4)), None, "queries, keys and values do not match"),
        (((1, 3, 4),) * 3, (2,), r"rank 0 of 1 holds 3 rows; got lengths \(2,\)"),
        (((1, 3, 4),) * 3, (3, 3), "expected the number of rows of each rank"),
    ],
)
def test_bad_input(shapes: tuple, lengths: tuple[int, ...] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ring_attention(*(torch.zeros(s) for s in shapes), Line(), lengths=lengths)
