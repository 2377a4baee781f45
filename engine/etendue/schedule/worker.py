"""Running jobs: the loop of a device's thread, one step of a job, and `checkpoint`."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from etendue.schedule.child import Child, WorkerDiedError, steps
from etendue.schedule.clock import Clock
from etendue.schedule.job import Job, State
from etendue.schedule.task import TaskCancelledError

if TYPE_CHECKING:
    from etendue.schedule.queue import Queue, Scheduler

_here = threading.local()  # .stack: (scheduler, queue, job) that run in this thread


def _stack() -> list[tuple[Any, Any, Any]]:
    if not hasattr(_here, "stack"):
        _here.stack = []
    return _here.stack


def running(scheduler: Scheduler) -> Any:
    """The queue of `scheduler` whose task calls this, else None."""
    return next((queue for owner, queue, _ in reversed(_stack()) if owner is scheduler), None)


def sleep(clock: Clock, changed: threading.Condition, until_s: float) -> None:
    """Wait for a change or a time; the lock of `changed` is held."""
    clock.wait(changed, None if until_s == math.inf else max(0.0, until_s - clock.now()))


def serve(scheduler: Scheduler, queue: Queue) -> None:
    """The thread of a device."""
    with queue.place.bound():
        while True:
            with scheduler.lock:
                jobs, again = scheduler.take(queue)
                while not jobs:
                    if scheduler.closing:
                        return
                    queue.asleep = True
                    sleep(scheduler.clock, queue.changed, again)
                    queue.asleep = False
                    jobs, again = scheduler.take(queue)
            perform(scheduler, queue, jobs)
            jobs.clear()  # keep no result alive while waiting


def checkpoint() -> None:
    """Called by a long task between its steps: more urgent tasks of its device run here and now.

    Returns when it is this task's turn again. Raises `TaskCancelledError` when it was cancelled.
    Outside a task it does nothing.
    """
    here: tuple[Any, Any, Any] = _stack()[-1] if _stack() else (None, None, None)
    scheduler, queue, job = here
    if job is None:
        return
    with scheduler.lock:
        scheduler.pause(queue, [job])
        queue.waiting.add(job, scheduler.clock.now())
        while True:
            if job.asked:
                queue.waiting.remove(job)
                queue.running.append(job)
                job.started_s = scheduler.clock.now()
                raise TaskCancelledError(job.task.name, "was cancelled")
            jobs, again = scheduler.take(queue, only=job)
            if jobs and jobs[0] is job:
                return
            if jobs:
                with scheduler.unlocked():
                    perform(scheduler, queue, jobs)
            else:
                queue.asleep = True
                sleep(scheduler.clock, queue.changed, again)
                queue.asleep = False


def perform(scheduler: Scheduler, queue: Queue, jobs: list[Job]) -> None:
    """Run `jobs`, which `take` has chosen, for one step."""
    stack, job = _stack(), jobs[0]
    stack.append((scheduler, queue, job if len(jobs) == 1 else None))
    values: list[Any] = []
    error: BaseException | None = None
    ended = True
    try:
        queue.place.enter()
        if len(jobs) > 1:
            values = _batch(jobs)
        else:
            ended, value = _step(scheduler, queue, job)
            values = [value]
        queue.place.synchronise()
    except BaseException as caught:
        error = caught
    stack.pop()
    failed = _settle(scheduler, queue, jobs, ended, values, error)
    if failed and scheduler.on_failure is not None:
        try:
            scheduler.on_failure(job)
        except Exception:  # whoever listens must not take the worker down
            traceback.print_exc()
    if error is not None and not isinstance(error, Exception) and queue.thread is None:
        raise error  # Ctrl-C


def _settle(
    scheduler: Scheduler,
    queue: Queue,
    jobs: list[Job],
    ended: bool,
    values: list[Any],
    error: BaseException | None,
) -> bool:
    """What becomes of `jobs` after a step; whether a failure has to be reported."""
    job = jobs[0]
    with scheduler.lock:
        scheduler.pause(queue, jobs)
        if len(jobs) > 1 and error is not None:  # find the guilty one
            for each in jobs:
                each.alone = True
                scheduler.make_ready(each)
        elif not ended and error is None:
            scheduler.make_ready(job)
        elif error is None:
            for each, value in zip(jobs, values, strict=True):
                if each.asked:
                    scheduler.finish(each, State.CANCELLED, error=scheduler.cancelled(each))
                else:
                    scheduler.finish(each, State.DONE, value)
        elif job.asked and isinstance(error, TaskCancelledError | WorkerDiedError):
            scheduler.finish(job, State.CANCELLED, error=scheduler.cancelled(job))
        elif not (out_of_memory(error) and scheduler.retry(job)):
            scheduler.finish(job, State.FAILED, error=error)
            return True
    return False


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller variant might succeed."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in str(error).lower()
    )


def _step(scheduler: Scheduler, queue: Queue, job: Job) -> tuple[bool, Any]:
    """Whether the job has ended, and its result."""
    if job.asked:
        if job.steps is not None:
            job.steps.close()
        raise TaskCancelledError(job.task.name, "was cancelled")
    if job.steps is None:
        if job.needs:
            job.args = tuple(need.value for need in job.needs)
        if job.variant.process:
            job.steps = _in_child(scheduler, queue, job)
        else:
            value = job.variant.run(*job.args)
            if not isinstance(value, Generator):
                return True, value
            job.steps = value
    try:
        next(job.steps)
    except StopIteration as stop:
        return True, stop.value
    return False, None


def _in_child(scheduler: Scheduler, queue: Queue, job: Job) -> Generator[None, None, Any]:
    with scheduler.lock:
        child = queue.children.pop() if queue.children else None
    if child is None:
        child = Child(queue.place.cores)
    with scheduler.lock:
        job.child = child
    usable = False
    try:
        value = yield from steps(child, job.variant.run, job.args)
        usable = True
        return value
    except WorkerDiedError:
        raise
    except Exception:
        usable = True  # the task failed, the process did not
        raise
    finally:
        with scheduler.lock:
            job.child = None
            usable = usable and not job.asked and not scheduler.closing and not queue.children
            if usable:
                queue.children.append(child)
        if not usable:
            child.close()


def _batch(jobs: list[Job]) -> list[Any]:
    batch = jobs[0].variant.batch
    assert batch is not None
    for job in jobs:
        job.args = tuple(need.value for need in job.needs)
    values = list(batch.run([job.args for job in jobs]))
    if len(values) != len(jobs):
        raise ValueError(f"{batch.key}: {len(values)} results for {len(jobs)} tasks")
    return values
