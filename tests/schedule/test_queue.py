from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etendue.core.errors import InputError
from etendue.schedule import (
    Batch,
    Job,
    Priority,
    Scheduler,
    Task,
    TaskCancelledError,
    TaskError,
    checkpoint,
)
from etendue.schedule.clock import ManualClock
from etendue.schedule.job import State
from etendue.schedule.queue import QueueFullError

NULL = "null:0"


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler((NULL,), clock=ManualClock(), memory_mb={"host": 100})


def task(name: str, run: Callable[..., Any] = lambda *args: None, **options: Any) -> Task:
    return Task(name, run, **({"device": NULL} | options))


def raising(error: BaseException) -> Callable[..., Any]:
    def run(*args: Any) -> None:
        raise error

    return run


def test_results_flow_along_the_graph_and_shared_nodes_run_once(scheduler: Scheduler) -> None:
    runs: list[str] = []
    a = task("a", lambda: runs.append("a") or 2)
    b = task("b", lambda x: 10 * x, after=(a,))
    c = task("c", lambda x, y, z: (x, y, z), after=(b, a, a))
    jobs = scheduler.submit(c, a)
    assert [job.result() for job in jobs] == [(20, 2, 2), 2]
    assert runs == ["a"]
    (again,) = scheduler.submit(a)  # a submission of its own runs again
    again.result()
    assert runs == ["a", "a"]


def test_what_is_needed_inherits_priority_and_deadline(scheduler: Scheduler) -> None:
    order: list[str] = []

    def note(name: str) -> Callable[..., Any]:
        return lambda *args: order.append(name)

    slow = task("slow", note("slow"), priority=Priority.BAKE)
    frame = task("frame", note("frame"), priority=Priority.FRAME, after=(slow,), deadline_ms=5.0)
    middle = task("middle", note("middle"), priority=Priority.PERCEIVE)
    for job in scheduler.submit(middle, frame):
        job.result()
    assert order == ["slow", "frame", "middle"]


def test_a_failure_is_told_and_takes_its_dependants_along_and_nothing_else() -> None:
    failures: list[Job] = []
    scheduler = Scheduler((NULL,), clock=ManualClock(), on_failure=failures.append)
    a = task("a", raising(ValueError("no\ngood")))
    b = task("b", after=(a,))
    c = task("c", after=(b,))
    d = task("d", lambda: 4)
    jobs = scheduler.submit(a, b, c, d)
    assert jobs[3].result() == 4
    with pytest.raises(TaskError, match=r"^a: failed \(ValueError: no good\)") as caught:
        jobs[0].result()
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(TaskError, match="what needs it was not run"):
        jobs[2].result()
    assert [job.task.name for job in failures] == ["a"]
    assert [job.state for job in jobs] == [State.FAILED] * 3 + [State.DONE]


def test_an_error_for_the_user_rises_unchanged(scheduler: Scheduler) -> None:
    error = InputError("file", "is missing")
    (job,) = scheduler.submit(task("a", raising(error)))
    with pytest.raises(InputError) as caught:
        job.result()
    assert caught.value is error


def test_ctrl_c_in_a_task_reaches_the_thread_that_runs_it(scheduler: Scheduler) -> None:
    (job,) = scheduler.submit(task("a", raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert job.state is State.FAILED
    assert scheduler.queues[NULL].owner is None  # another thread may go on


def test_whoever_listens_to_failures_may_fail(capsys: pytest.CaptureFixture[str]) -> None:
    scheduler = Scheduler((NULL,), clock=ManualClock(), on_failure=raising(OSError("listener")))
    jobs = scheduler.submit(task("a", raising(ValueError("a"))), task("b", lambda: 1))
    assert jobs[1].result() == 1
    assert "listener" in capsys.readouterr().err


def test_cancelling_takes_back_what_only_it_needs(scheduler: Scheduler) -> None:
    ran: list[str] = []
    shared = task("shared", lambda: ran.append("shared"))
    own = task("own", lambda: ran.append("own"))
    root = task("root", lambda *args: ran.append("root"), after=(shared, own))
    above = task("above", lambda *args: ran.append("above"), after=(root,))
    other = task("other", lambda *args: ran.append("other"), after=(shared,))
    jobs = scheduler.submit(root, above, other)
    jobs[0].cancel()
    jobs[0].cancel()  # again does no harm
    jobs[2].result()
    assert ran == ["shared", "other"]
    for job in jobs[:2]:
        with pytest.raises(TaskCancelledError):
            job.result()
    assert not any(scheduler.unfinished)


def test_a_long_chain_is_cancelled_without_recursion(scheduler: Scheduler) -> None:
    chain = task("0")
    for k in range(1, 3000):
        chain = task(str(k), after=(chain,))
    (job,) = scheduler.submit(chain)
    job.cancel()
    assert job.state is State.CANCELLED
    assert not any(scheduler.unfinished)
    assert len(scheduler.queues[NULL].waiting) == 0


def test_a_suspended_task_is_closed_when_cancelled(scheduler: Scheduler) -> None:
    seen: list[str] = []

    def steps() -> Iterator[None]:
        try:
            seen.append("step")
            yield
            seen.append("never")
        finally:
            seen.append("closed")

    (job,) = scheduler.submit(task("steps", steps, memory_mb=5))
    scheduler.submit(task("watch", job.cancel))
    with pytest.raises(TaskCancelledError):
        job.result()
    assert seen == ["step", "closed"]
    assert scheduler.memories["host"].used_mb == 0


def test_a_checkpoint_runs_what_is_more_urgent_and_only_that(scheduler: Scheduler) -> None:
    order: list[str] = []

    def bake() -> str:
        order.append("bake 1")
        for name, priority in (("frame", Priority.FRAME), ("bake too", Priority.BAKE)):
            scheduler.submit(task(name, lambda name=name: order.append(name), priority=priority))
        checkpoint()
        order.append("bake 2")
        checkpoint()
        return "baked"

    (job,) = scheduler.submit(task("bake", bake, priority=Priority.BAKE))
    assert job.result() == "baked"
    scheduler.close()
    assert order == ["bake 1", "frame", "bake 2", "bake too"]
    checkpoint()  # outside a task it does nothing


def test_a_checkpoint_raises_in_a_cancelled_task(scheduler: Scheduler) -> None:
    jobs: list[Job] = []

    def run() -> None:
        jobs[0].cancel()
        checkpoint()
        raise AssertionError("went on")

    jobs += scheduler.submit(task("run", run))
    with pytest.raises(TaskCancelledError):
        jobs[0].result()
    assert jobs[0].state is State.CANCELLED


def test_equal_yielding_tasks_take_turns(scheduler: Scheduler) -> None:
    order: list[str] = []

    def steps(name: str) -> Callable[[], Any]:
        def run() -> Iterator[None]:
            for _ in range(3):
                order.append(name)
                yield

        return run

    for job in scheduler.submit(task("a", steps("a")), task("b", steps("b"))):
        job.result()
    assert order == ["a", "b"] * 3


def test_after_out_of_memory_the_next_usable_variant_runs(scheduler: Scheduler) -> None:
    class OutOfMemoryError(RuntimeError): ...

    small = task("small", lambda x: ("small", x))
    elsewhere = Task("gpu", lambda x: None, device="cuda:7", otherwise=small)
    torch_like = task("half", raising(OutOfMemoryError("CUDA")), otherwise=elsewhere)
    full = task(
        "full", raising(MemoryError()), after=(task("in", lambda: 3),), otherwise=torch_like
    )
    (job,) = scheduler.submit(full)
    assert job.result() == ("small", 3)
    (lonely,) = scheduler.submit(task("lonely", raising(MemoryError())))
    with pytest.raises(TaskError, match="MemoryError"):
        lonely.result()
    (wrong,) = scheduler.submit(task("wrong", raising(ValueError()), otherwise=small))
    with pytest.raises(TaskError, match="ValueError"):  # not for other errors
        wrong.result()


def test_a_variant_that_never_fits_is_passed_over(scheduler: Scheduler) -> None:
    big = task("big", lambda: "big", memory_mb=101)
    with pytest.raises(InputError, match="needs more memory than the cap"):
        scheduler.submit(big)
    (job,) = scheduler.submit(task("big", memory_mb=101, otherwise=task("small", lambda: "small")))
    assert job.result() == "small"


def test_equal_tasks_are_run_in_one_call(scheduler: Scheduler) -> None:
    calls: list[int] = []

    def together(rows: list[tuple[Any, ...]]) -> list[int]:
        calls.append(len(rows))
        return [x + 1 for (x,) in rows]

    batch = Batch("infer", together, limit=4)
    jobs = [
        scheduler.submit(
            task(
                f"infer {k}",
                lambda x: x + 1,
                after=(task("in", lambda k=k: k),),
                batch=batch,
                priority=Priority.REFINE,  # the inputs go first
            )
        )[0]
        for k in range(9)
    ]
    assert [job.result() for job in jobs] == list(range(1, 10))
    assert calls == [4, 4]  # the ninth was alone and ran by its own function


@pytest.mark.parametrize("wrong", ["raises", "short"])
def test_in_a_batch_only_the_guilty_one_fails(scheduler: Scheduler, wrong: str) -> None:
    def together(rows: list[tuple[Any, ...]]) -> list[int]:
        if wrong == "raises":
            raise ValueError("one of them")
        return [1]

    batch = Batch("infer", together)
    tasks = [task(f"{k}", lambda k=k: 6 // k, batch=batch) for k in range(4)]
    jobs = scheduler.submit(*tasks)
    assert [job.result() for job in jobs[1:]] == [6, 3, 2]
    with pytest.raises(TaskError, match="ZeroDivisionError"):
        jobs[0].result()


def test_a_batch_keeps_to_the_memory_cap(scheduler: Scheduler) -> None:
    calls: list[int] = []
    batch = Batch("infer", lambda rows: [calls.append(len(rows))] * len(rows), limit=8)
    for job in scheduler.submit(*(task(f"{k}", batch=batch, memory_mb=40) for k in range(4))):
        job.result()
    assert calls == [2, 2]


def test_submitting_more_than_the_limit_runs_or_refuses() -> None:
    scheduler = Scheduler((NULL,), clock=ManualClock(), limit=3)
    for k in range(10):  # blocks by running what waits
        scheduler.submit(task(str(k)))
        assert sum(scheduler.unfinished) <= 3
    with pytest.raises(QueueFullError, match="the queue is full; got 3, expected at most 3"):
        scheduler.submit(task("more"), wait=False)
    scheduler.submit(task("frame", priority=Priority.FRAME), wait=False)  # a class of its own
    scheduler.close()
    (job,) = scheduler_of_one = Scheduler((NULL,), clock=ManualClock(), limit=1).submit(
        task("outer", lambda: None)
    )
    assert len(scheduler_of_one) == 1
    job.result()


def test_a_task_may_not_wait_for_another(scheduler: Scheduler) -> None:
    (other,) = scheduler.submit(task("other", deadline_ms=1e6))
    (job,) = scheduler.submit(task("waits", other.result))
    with pytest.raises(InputError, match="a task cannot wait for it"):
        job.result()


def test_an_unknown_device(scheduler: Scheduler) -> None:
    with pytest.raises(InputError, match="got cpu:3, expected null:0"):
        scheduler.submit(Task("a", lambda: None, device="cpu:3"))


def test_a_result_may_be_too_late(scheduler: Scheduler) -> None:
    other = Scheduler(("null:0", "null:1"), clock=ManualClock())
    other.queues["null:0"].owner = -1  # as if another thread served it
    (job,) = other.submit(task("a"))
    with pytest.raises(TimeoutError):
        job.result(timeout_s=1.0)


def test_a_closed_scheduler_accepts_nothing(scheduler: Scheduler) -> None:
    with pytest.raises(RuntimeError), scheduler:
        (job,) = scheduler.submit(task("a"))
        raise RuntimeError
    assert job.state is State.CANCELLED
    with pytest.raises(TaskCancelledError, match="closed"):
        scheduler.submit(task("b"))


def test_finished_jobs_release_results_and_arguments(scheduler: Scheduler) -> None:
    class Big: ...

    alive: list[weakref.ref[Big]] = []

    def make() -> Big:
        big = Big()
        alive.append(weakref.ref(big))
        return big

    (job,) = scheduler.submit(task("b", lambda big: 1, after=(task("a", make),)))
    assert job.result() == 1
    gc.collect()
    assert alive[0]() is None


def test_memory_does_not_grow_with_the_number_of_tasks(scheduler: Scheduler) -> None:
    def many(number: int) -> int:
        for k in range(number):
            scheduler.submit(task(f"t{k % 7}", shape=(k % 5,)))[0].result()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    many(500)
    tracemalloc.start()
    try:
        before = many(1000)
        assert many(3000) - before < 20_000  # bytes; a leaked job alone takes 400 each
    finally:
        tracemalloc.stop()
