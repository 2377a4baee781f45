"""The scheduler: a queue per device, and the graph of jobs over them.

One lock guards all state; functions of tasks run outside it. Nothing polls: workers and whoever
waits for a result sleep on condition variables.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any

from etendue.core.errors import InputError
from etendue.device.compute import Place, places
from etendue.schedule import worker
from etendue.schedule.child import Child
from etendue.schedule.clock import Clock, SystemClock
from etendue.schedule.cost import Costs
from etendue.schedule.job import Job, State, graph
from etendue.schedule.policy import PATIENCE_S, Cost, Memory, Waiting
from etendue.schedule.task import Priority, Task, TaskCancelledError, topological
from etendue.schedule.trace import Trace

LIMIT = 4096


class QueueFullError(InputError):
    """More tasks of one priority are unfinished than the scheduler accepts."""


@dataclass
class Queue:
    """A device, what waits for it, and who serves it."""

    place: Place
    waiting: Waiting
    changed: threading.Condition
    children: list[Child] = field(default_factory=list)  # idle worker processes
    thread: threading.Thread | None = None
    running: list[Job] = field(default_factory=list)  # the last one, inside the ones before it
    owner: int | None = None  # the thread that serves it when it has none
    asleep: bool = False  # its thread waits for `changed`


class Scheduler:
    """Runs graphs of tasks on `devices`, each served by a thread of its own.

    With `threads=False`, and always on `null:n`, the jobs run in the thread that waits for them;
    a collection of names gives those devices threads and no others.
    `memory_mb` caps what the tasks of a memory (`host`, `cuda:0`, ...) hold together. Submitting
    blocks while `limit` tasks of the same priority are unfinished. `on_failure` hears of every
    failed job once; jobs that were not run because of it are not failures of their own.
    """

    def __init__(
        self,
        devices: Sequence[str] = ("cpu:0",),
        *,
        threads: bool | Collection[str] = True,
        clock: Clock | None = None,
        memory_mb: dict[str, int] | None = None,
        limit: int = LIMIT,
        costs: Costs | None = None,
        trace: Trace | None = None,
        on_failure: Callable[[Job], None] | None = None,
    ) -> None:
        self.clock = SystemClock() if clock is None else clock
        self.costs = Costs() if costs is None else costs
        self.trace = Trace() if trace is None else trace
        self.on_failure = on_failure
        self.limit = limit
        self.lock = threading.RLock()
        self.room = threading.Condition(self.lock)
        self.unfinished = [0] * len(Priority)
        self.numbers = count()
        self.asleep = 0  # threads that wait for results, room or a frame
        self.closing = False
        self.memories: dict[str, Memory] = {}
        self.queues: dict[str, Queue] = {}
        for name, place in places(devices).items():
            cap = (memory_mb or {}).get(place.memory, place.memory_mb)
            memory = self.memories.setdefault(place.memory, Memory(cap))
            waiting = Waiting(memory, self._cost)
            queue = Queue(place, waiting, threading.Condition(self.lock))
            self.queues[name] = queue
            served = threads if isinstance(threads, bool) else name in threads
            if served and place.kind != "null":
                name = f"etendue {name}"
                queue.thread = threading.Thread(
                    target=worker.serve, args=(self, queue), name=name, daemon=True
                )
        for queue in self.queues.values():
            if queue.thread is not None:
                queue.thread.start()

    def _cost(self, job: Job) -> Cost:
        return Cost(self.costs.typical(job.variant), self.costs.seconds(job.variant))

    # submitting and cancelling

    def submit(self, *tasks: Task, wait: bool = True) -> list[Job]:
        """Enter the graph under `tasks`; one job for each of them.

        Raises `InputError` for a task that can never run here, and `QueueFullError` instead of
        blocking when `wait` is false or a task submits from inside.
        """
        order = topological(tasks)
        for task in order:
            self.check(task)
        with self.lock:
            self._wait_for_room(order, wait)
            return self.enter(tasks, order)

    def enter(self, tasks: Sequence[Task], order: list[Task]) -> list[Job]:
        """The graph of `tasks`, which `order` sorts, begins to wait; the lock is held."""
        if self.closing:
            raise TaskCancelledError("scheduler", "is closed")
        jobs = graph(self, tasks, order, self.numbers, self.clock.now())
        for job in jobs.values():
            self.unfinished[job.priority] += 1
            if job.missing == 0:
                self.make_ready(job)
        return [jobs[id(task)] for task in tasks]

    def check(self, task: Task) -> None:
        """Raise `InputError` for a task that can never run here."""
        queue = self.queues.get(task.device)
        if queue is None:
            raise InputError(
                task.name,
                "its device is not open",
                got=task.device,
                expected=" or ".join(self.queues),
            )
        cap = queue.waiting.memory.cap_mb
        if task.memory_mb > cap and self.next_variant(task) is None:
            raise InputError(
                task.name,
                "needs more memory than the cap",
                got=f"{task.memory_mb} MB",
                expected=f"at most {cap} MB on {task.device}",
            )

    def next_variant(self, task: Task) -> Task | None:
        """What can run here instead of `task`."""
        variant = task.otherwise
        while variant is not None:
            queue = self.queues.get(variant.device)
            if queue is not None and variant.memory_mb <= queue.waiting.memory.cap_mb:
                return variant
            variant = variant.otherwise
        return None

    def _wait_for_room(self, order: list[Task], wait: bool) -> None:
        if sum(self.unfinished) + len(order) <= self.limit:
            return
        for priority in {task.priority for task in order} - {Priority.FRAME}:
            new = sum(task.priority == priority for task in order)
            while self.unfinished[priority] and self.unfinished[priority] + new > self.limit:
                if not wait or worker.running(self) is not None:
                    raise QueueFullError(
                        f"{priority.name} tasks",
                        "the queue is full",
                        got=self.unfinished[priority],
                        expected=f"at most {self.limit}",
                    )
                self.pass_time(None, None)

    def cancel(self, job: Job) -> None:
        """See `Job.cancel`."""
        with self.lock:
            if job.asked or job.done:
                return
            job.asked = True
            queue = self.queues[job.variant.device]
            if job.child is not None:
                job.child.kill()
            if job.state is State.RUNNING:
                queue.changed.notify_all()  # it may wait in a checkpoint
            elif job.state is State.READY and job.steps is not None:
                queue.waiting.remove(job)  # its worker has to close it, soon
                self.unfinished[job.priority] -= 1
                job.priority, job.due_s = int(Priority.FRAME), -math.inf
                self.unfinished[job.priority] += 1
                self.make_ready(job)
            else:
                self.finish(job, State.CANCELLED, error=self.cancelled(job))

    @staticmethod
    def cancelled(job: Job) -> TaskCancelledError:
        """The error of a job that was taken back."""
        return TaskCancelledError(job.task.name, "was cancelled")

    # transitions, called with the lock held

    def make_ready(self, job: Job) -> None:
        """All that `job` needs is there."""
        while job.variant.memory_mb > self.queues[job.variant.device].waiting.memory.cap_mb:
            variant = self.next_variant(job.variant)
            assert variant is not None  # checked when it was submitted
            job.variant = variant
        queue = self.queues[job.variant.device]
        job.state = State.READY
        if job.steps is not None and job.waits and not job.asked:
            # equals take turns
            job.due_s, job.number = self.clock.now() + PATIENCE_S, next(self.numbers)
        queue.waiting.add(job, self.clock.now())
        if queue.asleep:  # its thread, or a job in a checkpoint
            queue.changed.notify_all()
        if queue.thread is None:
            self._news()

    def take(self, queue: Queue, only: Job | None = None) -> tuple[list[Job], float]:
        """What the worker of `queue` has to run now, several for a batch; or when to ask again."""
        now = self.clock.now()
        job, again = queue.waiting.choose(now, only)
        if job is None:
            return [], again
        jobs = [job]
        if job.variant.batch is not None and job.steps is None and not job.alone:
            jobs += queue.waiting.companions(job, now)
        for each in jobs:
            queue.waiting.begun(each, now)
            each.state = State.RUNNING
            each.started_s = now
        queue.running += jobs
        return jobs, now

    def pause(self, queue: Queue, jobs: list[Job]) -> None:
        """The end of a step of `jobs`, which keep their memory."""
        now = self.clock.now()
        queue.waiting.ended(jobs[0].priority, now)
        for job in jobs:
            queue.running.remove(job)
            self.costs.record(job.variant, (now - job.started_s) / len(jobs))
            self.trace.step(job, now, len(jobs))

    def finish(
        self,
        job: Job,
        state: State,
        value: Any = None,
        error: BaseException | None = None,
    ) -> None:
        """`job` has ended; tell who waits, release what hangs on it."""
        todo: list[tuple[Job, State, Any, BaseException | None]] = [(job, state, value, error)]
        while todo:
            job, state, value, error = todo.pop()
            if job.done:
                continue
            if job.state is State.READY:
                self.queues[job.variant.device].waiting.remove(job)
            job.state, job.value, job.error = state, value, error
            self.unfinished[job.priority] -= 1
            self._release(job)
            self.trace.finished(job, self.clock.now())
            for other in job.needed_by:
                if state is State.DONE:
                    other.missing -= 1
                    if other.missing == 0 and other.state is State.WAITING:
                        self.make_ready(other)
                elif other.state is State.WAITING:
                    fate = State.CANCELLED if state is State.CANCELLED else State.FAILED
                    todo.append((other, fate, None, job.dependant_error()))
            for need in job.needs:
                need.wanted -= 1
                if need.wanted == 0 and need.state is State.WAITING:
                    todo.append((need, State.CANCELLED, None, self.cancelled(need)))
                elif need.wanted == 0:
                    self.cancel(need)
            job.needs, job.needed_by, job.args, job.steps = [], [], (), None
            if job.waiter is not None:
                job.waiter.notify_all()
        self._news()

    def _release(self, job: Job) -> None:
        memory = self.queues[job.variant.device].waiting.memory
        held = job.holds or memory.reserved is job
        memory.give(job)
        if held:
            self._wake()

    def retry(self, job: Job) -> bool:
        """After out-of-memory: run the next variant of `job` if there is one."""
        variant = self.next_variant(job.variant)
        if variant is None or job.asked:
            return False
        self._release(job)
        job.variant, job.steps = variant, None
        self.make_ready(job)
        return True

    # waiting

    def wait_for(self, job: Job, timeout_s: float | None) -> None:
        """Return when `job` has ended; without a thread, run jobs until then."""
        with self.lock:
            if not job.done and worker.running(self) is not None:
                raise InputError(job.task.name, "a task cannot wait for it", fix="Use `after`")
            end = None if timeout_s is None else self.clock.now() + timeout_s
            while not job.done:
                if end is not None and self.clock.now() >= end:
                    raise TimeoutError(f"{job.task.name}: not ready after {timeout_s} s")
                self.pass_time(job, end)

    def _news(self) -> None:
        """Something ended or became ready."""
        if self.asleep:
            self.room.notify_all()

    def _waiter(self, job: Job | None) -> threading.Condition:
        if job is None:
            return self.room
        if job.waiter is None:
            job.waiter = threading.Condition(self.lock)
        return job.waiter

    def pass_time(self, job: Job | None, end: float | None) -> None:
        """Wait for `job`, else for any, or until `end`; run what has no thread of its own."""
        me, wake = threading.get_ident(), [math.inf if end is None else end]
        for queue in self.queues.values():
            if queue.thread is not None:
                continue
            job = None  # anything may be news
            if queue.owner not in (None, me):
                continue
            jobs, again = self.take(queue)
            if jobs:
                before, queue.owner = queue.owner, me
                try:
                    with self.unlocked():
                        worker.perform(self, queue, jobs)
                finally:
                    queue.owner = before
                    self._news()
                return
            wake.append(again)
        self.asleep += 1
        try:
            worker.sleep(self.clock, self._waiter(job), min(wake))
        finally:
            self.asleep -= 1

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """The lock, which this thread holds, is free meanwhile."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    # the end

    def close(self, *, cancel: bool = False) -> None:
        """Run what is left, or cancel it; stop the workers; keep the measured costs."""
        with self.lock:
            if cancel:
                for job in self._known():
                    self.cancel(job)
            while any(self.unfinished):
                self.pass_time(None, None)
            self.closing = True
            self._wake()
        for queue in self.queues.values():
            if queue.thread is not None and queue.thread is not threading.current_thread():
                queue.thread.join()
            while queue.children:
                queue.children.pop().close()
        self.costs.save()

    def _wake(self) -> None:
        for queue in self.queues.values():
            queue.changed.notify_all()

    def _known(self) -> list[Job]:
        queues = self.queues.values()
        ready = [row[2] for queue in queues for rows in queue.waiting.lists for row in rows]
        return ready + [job for queue in queues for job in queue.running]

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(cancel=error is not None)
