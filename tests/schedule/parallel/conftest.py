"""`parallel_cases` can be imported here and in the processes that are started from here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def ranks_are_quick() -> None:
    """Load PyTorch into the process that ranks are forked from, so that no test has to wait."""
    import parallel_cases

    from etendue.schedule.parallel.grid import Grid
    from etendue.schedule.parallel.launch import launch

    assert launch(parallel_cases.nothing, Grid(data=2)) == [0, 1]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks here are tiny: threads that wait for each other would take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
