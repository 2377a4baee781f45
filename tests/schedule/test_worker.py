"""The same with real threads and processes; events, not sleeping, set the order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etendue.schedule import (
    Frame,
    Job,
    Priority,
    Scheduler,
    Task,
    TaskCancelledError,
    TaskError,
    checkpoint,
)
from etendue.schedule.child import WorkerDiedError
from etendue.schedule.job import State

WAIT_S = 60.0


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    with Scheduler(("cpu:0",)) as scheduler:
        yield scheduler


def test_threads_finish_everything_and_each_result_is_right() -> None:
    with Scheduler(("cpu:0", "cpu:1"), limit=50) as scheduler:
        jobs: list[Job] = []
        total = Task("zero", lambda: 0)
        for k in range(300):
            where = f"cpu:{k % 2}"
            square = Task("square", lambda k=k: k * k, where)
            jobs += scheduler.submit(Task("plus", lambda x: x + 1, where, after=(square,)))
        for k in range(100):
            total = Task("sum", lambda x: x + 1, f"cpu:{k % 2}", after=(total,))
        assert scheduler.submit(total)[0].result(WAIT_S) == 100
        assert [job.result(WAIT_S) for job in jobs] == [k * k + 1 for k in range(300)]
    assert not any(scheduler.unfinished)


def test_several_threads_submit_and_wait(scheduler: Scheduler) -> None:
    results: list[int] = []

    def user(start: int) -> None:
        for k in range(start, start + 100):
            results.append(scheduler.submit(Task("t", lambda k=k: k))[0].result(WAIT_S))

    threads = [threading.Thread(target=user, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(results) == list(range(400))


def test_two_threads_share_a_device_without_one() -> None:
    scheduler = Scheduler(("null:0",))

    def steps() -> Iterator[None]:
        for _ in range(20):
            yield

    jobs = scheduler.submit(*(Task("t", steps, "null:0") for _ in range(10)))
    threads = [threading.Thread(target=job.result, args=(WAIT_S,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert all(job.state is State.DONE for job in jobs)


def test_a_frame_runs_in_the_middle_of_a_bake(scheduler: Scheduler) -> None:
    began, frame_done = threading.Event(), threading.Event()

    def bake() -> int:
        began.set()
        count = 0
        while not frame_done.is_set():  # a test that hangs here would fail by its timeout
            count += 1
            checkpoint()
        return count

    (job,) = scheduler.submit(Task("bake", bake, priority=Priority.BAKE))
    assert began.wait(WAIT_S)
    frame = Task("frame", lambda: threading.current_thread().name, priority=Priority.FRAME)
    assert Frame(20.0, scheduler).run(frame) == ["etendue cpu:0"]
    frame_done.set()
    assert job.result(WAIT_S) >= 1


def test_cancelling_a_bake_that_waits_for_its_turn(scheduler: Scheduler) -> None:
    began = threading.Event()

    def bake() -> None:
        began.set()
        while True:
            checkpoint()

    (job,) = scheduler.submit(Task("bake", bake, priority=Priority.BAKE))
    assert began.wait(WAIT_S)
    job.cancel()
    with pytest.raises(TaskCancelledError):
        job.result(WAIT_S)


def test_workers_sleep_when_there_is_nothing_to_do(scheduler: Scheduler) -> None:
    """No polling: an idle worker waits without a time at which it would wake by itself."""
    waits: list[Any] = []
    slept = threading.Event()

    class Clock(type(scheduler.clock)):  # type: ignore[misc]
        @staticmethod
        def wait(changed: threading.Condition, timeout_s: float | None) -> None:
            waits.append(timeout_s)
            slept.set()
            changed.wait(timeout_s)

    with Scheduler(("cpu:0",), clock=Clock()) as other:
        assert slept.wait(WAIT_S)
        other.submit(Task("a", lambda: 1))[0].result()
    assert set(waits) == {None}


def pid_of(*args: Any) -> tuple[int, tuple[Any, ...]]:
    return os.getpid(), args


def die(*args: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def abort_in_native_code() -> None:
    os.abort()


def refuse() -> None:
    raise ValueError("in the child")


def unpicklable() -> Any:
    return lambda: None


class OddError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("odd")


def raise_odd() -> None:
    raise OddError(1, 2)


def three_steps(folder: str) -> Iterator[None]:
    for k in range(3):
        Path(folder, str(k)).touch()
        yield
    return "stepped"  # type: ignore[return-value]


def wait_forever(folder: str) -> None:
    Path(folder, "began").touch()
    threading.Event().wait()


def process(name: str, run: Any, *needs: Task) -> Task:
    return Task(name, run, process=True, after=needs)


def test_worker_processes(tmp_path: Path) -> None:
    failures: list[Job] = []
    with Scheduler(("cpu:0",), on_failure=failures.append) as scheduler:

        def run(*tasks: Task) -> Any:
            return scheduler.submit(*tasks)[0].result(WAIT_S)

        source = Task("source", lambda: 7)
        first, args = run(process("pid", pid_of, source))
        assert first != os.getpid()
        assert args == (7,)
        assert run(process("pid", pid_of))[0] == first  # it is kept
        with pytest.raises(TaskError, match="ValueError: in the child"):
            run(process("refuse", refuse))
        assert run(process("pid", pid_of))[0] == first  # a failed task does not cost it
        for name, task, problem in (
            ("unpicklable", unpicklable, "pickle"),
            ("odd", raise_odd, "OddError: odd"),
        ):
            with pytest.raises(TaskError, match=problem):
                run(process(name, task))
        folder = Task("folder", lambda: str(tmp_path))
        assert run(process("steps", three_steps, folder)) == "stepped"
        assert len(list(tmp_path.iterdir())) == 3
        jobs = scheduler.submit(process("die", die), process("abort", abort_in_native_code))
        for job, code in zip(jobs, (-9, -6), strict=True):
            with pytest.raises(WorkerDiedError, match=f"exit code {code}"):
                job.result(WAIT_S)
        second = run(process("pid", pid_of))[0]
        assert second not in (first, os.getpid())  # restarted
        names = [job.task.name for job in failures]
        assert names == ["refuse", "unpicklable", "odd", "die", "abort"]  # each once


def test_cancelling_a_task_in_a_process_kills_it(scheduler: Scheduler, tmp_path: Path) -> None:
    folder = Task("folder", lambda: str(tmp_path))
    (job,) = scheduler.submit(process("forever", wait_forever, folder))
    other = Scheduler(("cpu:0",))  # its task waits until the first one has begun
    watch = Task("watch", lambda: _until(tmp_path / "began"))
    other.submit(watch)[0].result(WAIT_S)
    job.cancel()
    with pytest.raises(TaskCancelledError):
        job.result(WAIT_S)
    other.close()


def _until(path: Path) -> Iterator[None]:
    while not path.exists():
        yield
