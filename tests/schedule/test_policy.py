"""Properties of the policy on random task sets, in simulated time (11,000 sets in all)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from etendue.schedule import Priority, Task
from etendue.schedule.frame import begin_frame
from etendue.schedule.job import State
from etendue.schedule.policy import AGE_S, Cost, Memory, Waiting, Window

MANY = settings(
    max_examples=1000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LONGEST = 0.4  # seconds of a step


def steps(number: int) -> Callable[[], Any]:
    """A function of `number` steps."""

    def run() -> Iterator[None]:
        for _ in range(number - 1):
            yield
        return number

    return run


def rows_of(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """Priority, arrival, duration, steps and memory of tasks; one draw of bytes is quick."""
    pairs = zip(data[::2], data[1::2], strict=False)
    return [(b & 3, a % 41, 1 + (b >> 2 & 3), 1 + (b >> 4) % 3, b >> 6) for a, b in pairs]


task_rows = st.binary(min_size=2, max_size=24).map(rows_of)


@pytest.mark.parametrize("shard", range(6))
def test_nothing_starves_under_a_saturating_load(simulation: Any, shard: int) -> None:
    @seed(shard)
    @MANY
    @given(task_rows, st.integers(0, 2), st.integers(1, 4), st.integers(2, 16))
    def check(rows: list[Any], above: int, length: int, number: int) -> None:
        sim = simulation()
        last_turn = [-math.inf] * 4
        waiting_since: dict[int, float] = {}

        def chosen(job: Any) -> None:
            lists = sim.scheduler.queues["null:0"].waiting.lists
            now, c = sim.clock.now(), job.priority
            # EDF inside the class: nothing with an earlier deadline is left behind
            assert all((job.due_s, job.number) <= row[:2] for row in lists[c])
            # the bound of the module's docstring, for every class that waits
            for k in range(4):
                if k == c or lists[k]:
                    since = max(last_turn[k], waiting_since.get(k, now))
                    assert now - since <= AGE_S[k] + 4 * LONGEST + 1e-9
            last_turn[c] = math.inf  # it runs

        sim.watch = chosen

        def track() -> None:
            lists = sim.scheduler.queues["null:0"].waiting.lists
            for k in range(4):
                if lists[k]:
                    waiting_since.setdefault(k, sim.clock.now())
                else:
                    waiting_since.pop(k, None)

        original = sim.scheduler.make_ready

        def make_ready(job: Any) -> None:
            original(job)
            track()

        pause = sim.scheduler.pause

        def paused(queue: Any, jobs: Any) -> None:
            pause(queue, jobs)
            last_turn[jobs[0].priority] = sim.clock.now()
            track()

        sim.scheduler.make_ready, sim.scheduler.pause = make_ready, paused
        jobs = []
        for k, (priority, arrival, duration, count, _) in enumerate(rows):
            sim.durations[f"t{k}"] = duration * LONGEST / 4
            task = Task(f"t{k}", steps(count), "null:0", Priority(priority))
            jobs.append(sim.submit_at(arrival / 10, task))
        # a stream of one class that alone fills the device
        sim.durations["load"] = length * LONGEST / 4
        for k in range(number):
            load = Task("load", steps(1), "null:0", Priority(above))
            sim.submit_at(k * length * LONGEST / 4, load)
        sim.run()
        assert all(job.state is State.DONE for (job,) in jobs)
        assert sim.nothing_left()

    check()


def test_the_load_starves_others_without_ageing(
    simulation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The property above can fail: strict priorities keep a bake waiting to the end."""
    for age, runs_early in ((AGE_S, True), ((0.0, 1e9, 1e9, 1e9), False)):
        monkeypatch.setattr("etendue.schedule.policy.AGE_S", age)
        sim = simulation()
        sim.durations = {"bake": 0.1, "frame": 0.11}
        for k in range(200):
            sim.submit_at(k * 0.1, Task("frame", steps(1), "null:0", Priority.FRAME))
        sim.submit_at(0.0, Task("bake", steps(1), "null:0", Priority.BAKE))
        sim.run()
        begin = next(begin for begin, _, job in sim.turns if job.task.name == "bake")
        assert (begin < AGE_S[Priority.BAKE] + 4 * 0.1) is runs_early


@seed(10)
@MANY
@given(task_rows, st.integers(0, 5))
def test_a_frame_is_delayed_by_at_most_three_foreign_steps(
    simulation: Any, rows: list[Any], offset: int
) -> None:
    sim = simulation()
    frames = []
    for k, (priority, arrival, duration, count, _) in enumerate(rows):
        sim.durations[f"t{k}"] = duration * 5.0  # far longer than any age
        sim.submit_at(arrival, Task(f"t{k}", steps(count), "null:0", Priority(max(priority, 1))))
    sim.durations["frame"] = 0.1
    for k in range(10):
        task = Task("frame", steps(1), "null:0", Priority.FRAME)
        frames.append(sim.submit_at(offset + 4.0 * k, task))
    sim.run()
    turns = sorted((begin, job.priority) for begin, _, job in sim.turns)
    first = turns.index(next(turn for turn in turns if turn[1] == 0))
    foreign = 0
    waiting = [job.submitted_s for (job,) in frames]
    served = 0
    for begin, priority in turns[first:]:
        if priority == Priority.FRAME:
            foreign, served = 0, served + 1
        elif served < len(waiting) and waiting[served] < begin:  # a frame was waiting then
            foreign += 1
            assert foreign <= 3
    assert served == 10


@seed(20)
@MANY
@given(st.binary(min_size=2, max_size=12), st.integers(0, 3))
def test_deadlines_are_met_whenever_some_order_meets_them(
    simulation: Any, data: bytes, priority: int
) -> None:
    """Jackson 1955: tasks that are all there, run to their ends; every order is tried."""

    def feasible(order: Any) -> bool:
        time = 0
        for duration, deadline in order:
            time += duration
            if time > deadline:
                return False
        return True

    rows = [(1 + a % 6, 1 + b % 20) for a, b in zip(data[::2], data[1::2], strict=False)]
    sim = simulation()
    tasks = []
    for k, (duration, deadline) in enumerate(rows):
        sim.durations[f"t{k}"] = duration
        name, due = f"t{k}", 1e3 * deadline
        tasks.append(Task(name, steps(1), "null:0", Priority(priority), deadline_ms=due))
    sim.submit_at(0.0, *tasks)
    sim.run()
    if any(feasible(order) for order in permutations(rows)):
        ends = {job.task.name: end for _, end, job in sim.turns}
        late = [k for k, (_, deadline) in enumerate(rows) if ends[f"t{k}"] > deadline + 1e-9]
        assert not late
        assert sim.scheduler.trace.late == 0


@seed(30)
@MANY
@given(st.binary(min_size=3, max_size=24))
def test_yielding_tasks_meet_their_deadlines_whenever_they_can(
    simulation: Any, data: bytes
) -> None:
    """Horn 1974: with unit steps a schedule exists iff no interval has to hold more than fits."""
    parts = zip(data[::3], data[1::3], data[2::3], strict=False)
    rows = [(a % 13, 1 + b % 4, c % 11) for a, b, c in parts]
    jobs = [(arrival, count, arrival + count + slack) for arrival, count, slack in rows]
    starts, ends = {a for a, _, _ in jobs}, {d for _, _, d in jobs}
    possible = all(
        sum(n for a, n, d in jobs if a >= start and d <= end) <= end - start
        for start in starts
        for end in ends
        if end > start
    )
    sim = simulation()
    for k, (arrival, count, deadline) in enumerate(jobs):
        sim.durations[f"t{k}"] = 1.0
        due = 1e3 * (deadline - arrival)
        sim.submit_at(arrival, Task(f"t{k}", steps(count), "null:0", deadline_ms=due))
    sim.run()
    finished: dict[str, float] = {}
    for _, end, job in sim.turns:
        finished[job.task.name] = max(end, finished.get(job.task.name, 0.0))
    met = all(finished[f"t{k}"] <= d + 1e-9 for k, (_, _, d) in enumerate(jobs))
    assert met == possible  # EDF can also do no more than is possible


@seed(40)
@MANY
@given(task_rows, st.integers(3, 5), st.integers(1, 3))
def test_the_memory_cap_holds_and_everything_runs(
    simulation: Any, rows: list[Any], cap: int, devices: int
) -> None:
    names = [f"null:{k}" for k in range(devices)]
    sim = simulation(names, memory_mb={"host": cap})
    memory = sim.scheduler.memories["host"]
    begun: dict[str, int] = {}

    def chosen(job: Any) -> None:
        begun[job.task.name] = job.variant.memory_mb
        live = sum(mb for n, mb in begun.items() if n not in over)
        assert live == memory.used_mb <= cap

    over: set[str] = set()
    finish = sim.scheduler.finish

    def finished(job: Any, *rest: Any, **more: Any) -> None:
        over.add(job.task.name)
        finish(job, *rest, **more)

    sim.watch, sim.scheduler.finish = chosen, finished
    jobs = []
    for k, (priority, arrival, duration, count, mb) in enumerate(rows):
        sim.durations[f"t{k}"] = duration / 10
        where = names[k % devices]
        task = Task(f"t{k}", steps(count), where, Priority(priority), memory_mb=mb)
        jobs.append(sim.submit_at(arrival / 10, task))
    sim.run()
    assert all(job.state is State.DONE for (job,) in jobs)
    assert sim.nothing_left()


@seed(50)
@MANY
@given(task_rows, st.integers(1, 5), st.integers(3, 12))
def test_what_fits_into_no_frame_still_runs(
    simulation: Any, rows: list[Any], used: int, number: int
) -> None:
    """Frames back to back that leave little or nothing; all else gets through, and a frame waits
    for at most one step of each class."""
    sim = simulation()
    budget = 0.5
    sim.durations["frame"] = used * budget / 5
    jobs, frames = [], []
    for k, (priority, arrival, duration, count, _) in enumerate(rows):
        sim.durations[f"t{k}"] = duration / 4
        task = Task(f"t{k}", steps(count), "null:0", Priority(max(1, priority)), cost_ms=250.0)
        jobs.append(sim.submit_at(arrival / 10, task))

    def begin() -> None:
        queue = sim.scheduler.queues["null:0"]
        assert queue.waiting.window is None or sim.clock.now() >= queue.waiting.window.end_s - 1e-9
        task = Task("frame", steps(1), "null:0", Priority.FRAME)
        frames.extend(begin_frame(sim.scheduler, 1e3 * budget, [task])[0])

    for k in range(number):
        sim.at(k * budget, begin)
    sim.run()
    assert all(job.state is State.DONE for (job,) in jobs)
    assert all(job.state is State.DONE for job in frames)
    assert sim.nothing_left()


def test_inside_a_frame_only_what_fits_is_admitted(simulation: Any) -> None:
    sim = simulation()
    sim.durations = {"frame": 0.02, "short": 0.008, "long": 0.03}
    for name in ("long", "short"):
        for _ in range(4):
            task = Task(name, steps(1), "null:0", cost_ms=1e3 * sim.durations[name])
            sim.submit_at(0.0, task)
    for k in range(4):
        frame = Task("frame", steps(1), "null:0", Priority.FRAME)
        sim.at(0.04 * k, lambda frame=frame: begin_frame(sim.scheduler, 40.0, [frame]))
    sim.run(until_s=0.16)
    frames = [begin for begin, _, job in sim.turns if job.task.name == "frame"]
    assert frames == pytest.approx([0.0, 0.04, 0.08, 0.12])  # none is late
    short = [begin for begin, _, job in sim.turns if job.task.name == "short"]
    assert short == pytest.approx([0.02, 0.028, 0.06, 0.068])  # two fit behind each frame
    assert not any(job.task.name == "long" for _, _, job in sim.turns)  # until its age
    sim.run()
    assert sim.nothing_left()


def test_a_missing_frame_ends_the_restraint() -> None:
    window = Window(end_s=1.0, until_s=2.0)
    assert window.admits(0.5, Cost(0.5, 0.5))
    assert not window.admits(0.5, Cost(0.6, 0.6))
    assert not window.admits(1.5, Cost(0.0, 0.0))
    assert window.admits(2.0, Cost(9.0, 9.0))


def test_a_window_bears_rare_lateness_up_to_its_slack() -> None:
    window = Window(end_s=1.0, until_s=2.0, slack_s=0.1)
    assert window.admits(0.5, Cost(0.5, 0.6))
    assert not window.admits(0.5, Cost(0.51, 0.6)), "it would be late more often than not"
    assert not window.admits(0.5, Cost(0.4, 0.61))
    assert Cost(0.5, 2.0).times(3) == Cost(1.5, 6.0)


def test_choosing_from_nothing() -> None:
    assert Waiting(Memory(1), lambda job: Cost(0.0, 0.0)).choose(0.0) == (None, math.inf)
