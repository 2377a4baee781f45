"""`parallel_cases` can be imported here and in the processes that are started from here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def ranks_are_quick() -> None:
    """Load PyTorch into the process that ranks are forked from, so that no test has to wait."""
    import parallel_cases

    from etendue.schedule.parallel.grid import Grid
    from etendue.schedule.parallel.launch import launch

    assert launch(parallel_cases.nothing, Grid(data=2)) == [0, 1]
