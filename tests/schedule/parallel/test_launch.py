"""Starting ranks, meeting, and what happens when one of them fails."""

from __future__ import annotations

import os
import time
from pathlib import Path

import parallel_cases as cases
import pytest

from etendue.core.errors import InputError
from etendue.schedule import Scheduler
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.groups import connect
from etendue.schedule.parallel.launch import RankError, grid_task, launch
from etendue.schedule.task import TaskCancelledError

pytestmark = pytest.mark.usefixtures("ranks_are_quick")


def test_results_in_order_of_rank() -> None:
    assert launch(cases.nothing, Grid(data=3)) == [0, 1, 2]


def test_lines_are_those_of_the_grid() -> None:
    grid = Grid(pipeline=2, sequence=2)
    for rank, lines in enumerate(launch(cases.lines, grid)):
        for axis in ("pipeline", "data", "sequence", "tensor"):
            ranks, index, total = lines[axis]
            assert ranks == grid.line(rank, axis)
            assert ranks[index] == rank
            assert total == sum(ranks)  # so the group holds just these


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raise", RankError, "rank 1: failed(.|\n)*ValueError: on purpose"),
        ("input", InputError, "^file: is broken. Mend it$"),
        ("exit", RankError, "rank 1: failed\nthe process ended with code 7"),
        ("hang", RankError, "rank 0: failed(.|\n)*[Tt]imed out"),
    ],
)
def test_a_rank_that_fails(how: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        launch(cases.fail, Grid(data=2), how, timeout_s=3.0 if how == "hang" else 60.0)


def test_ranks_live_on_the_cores_of_their_device() -> None:
    """Two devices share out the cores; what runs on the second does not touch the first's."""
    devices = ("cpu:0", "cpu:1")
    with Scheduler(devices) as scheduler:
        tasks = [grid_task("home", cases.home, Grid(data=2), device=name) for name in devices]
        found = [job.result() for job in scheduler.submit(*tasks)]
        places = [scheduler.queues[name].place for name in devices]
    for ranks, place in zip(found, places, strict=True):
        assert len({process for process, _ in ranks}) == 2
        assert all(set(cores) <= set(place.cores) for _, cores in ranks)


def test_a_cancelled_task_leaves_no_rank_behind(tmp_path: Path) -> None:
    with Scheduler() as scheduler:
        task = grid_task("endless", cases.wait_for_ever, Grid(data=2), str(tmp_path))
        (job,) = scheduler.submit(task)
        end = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        job.cancel()
        with pytest.raises(TaskCancelledError):
            job.result(20)
    ranks = [int(file.name) for file in tmp_path.iterdir()]
    assert len(ranks) == 2
    for process in ranks:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_missing_ranks_are_named() -> None:
    with pytest.raises(InputError, match=r"ranks 0, 2 did not come; got 1 of 3 within 0.5 s"):
        launch(cases.nothing, Grid(data=3), timeout_s=0.5, ranks=[1])


def test_wrong_number_of_processes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="number of processes; got 3 processes, expected 4"):
        connect(Grid(data=2, tensor=2), 0, 3, tmp_path / "meet")
    with pytest.raises(InputError, match="no such rank; got 2, expected 0 to 1"):
        connect(Grid(data=2), 2, 2, tmp_path / "meet")


def test_kernel_counts_the_same_bytes() -> None:
    """What the process really writes is what the formulas say, plus small headers."""
    if not Path("/proc/self/io").exists():
        pytest.skip("this kernel does not count written bytes (/proc/self/io)")
    for size in (2, 3, 4):
        for counts in launch(cases.kernel_bytes, Grid(data=size), 60_000):
            for name, written, counted in counts:
                assert counted <= written <= 1.01 * counted + 1000, (name, size)
