"""The planner finds the best of all splits, and says so when none fits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.order import order
from etendue.schedule.parallel.plan import (
    Cost,
    Layer,
    Link,
    Machine,
    Share,
    Split,
    balance,
    evaluate,
    exhaustive,
    plan,
    splits,
)
from etendue.schedule.parallel.simulate import Costs, simulate


def layer(seconds: float, size: float = 1e6, output: float = 1e5) -> Layer:
    """A layer that splits perfectly over up to four ranks."""
    shares = {
        t: Share(
            Cost(0.0, seconds / t), Cost(0.0, 2 * seconds / t), size / t, 4 * output / t, output, 2
        )
        for t in (1, 2, 4)
    }
    return Layer(output, shares)


FAST, SLOW = Link(1e-6, 1e11), Link(1e-4, 1e9)


@settings(max_examples=40)
@given(st.data())
def test_best_of_all(data: st.DataObject) -> None:
    number = st.floats(1e-4, 1e-2)
    layers = [layer(data.draw(number)) for _ in range(data.draw(st.integers(1, 6)))]
    devices = data.draw(st.sampled_from([1, 2, 4, 8]))
    memory = data.draw(st.sampled_from([5e6, 1e7, 2e7, 1e12]))
    machine = Machine(devices, memory, FAST, SLOW, data.draw(st.sampled_from([2, 8])))
    batch = data.draw(st.sampled_from([4, 8, 12]))
    all_ = exhaustive(layers, machine, batch)
    if not all_:
        with pytest.raises(InputError, match="no split fits the memory"):
            plan(layers, machine, batch)
        return
    best, simulated = plan(layers, machine, batch)
    assert best == all_[0]
    assert simulated <= len(all_)
    assert best.memory_bytes <= memory


def test_time_is_that_of_the_schedule() -> None:
    """Equal layers without communication: ideal time and the bubble (p - 1)/(v m)."""
    free = Link(0.0, float("inf"))
    machine = Machine(4, 1e12, free, free, 4)
    for chunks, m in ((1, 4), (2, 4), (2, 8)):
        choice = evaluate([layer(1.0)] * 8, machine, 8, Split(Grid(4), chunks, m))
        assert choice.bubble == pytest.approx(3 / (chunks * m), rel=1e-12)
        assert choice.seconds == pytest.approx(8 * 3.0 * 8 / 4 * (1 + 3 / (chunks * m)), rel=1e-12)


def test_communication_is_added() -> None:
    """One layer, two tensor ranks: two all-reduces each way, each two messages of half the size."""
    machine = Machine(2, 1e12, Link(0.5, 100.0), SLOW, 2)
    choice = evaluate([layer(1.0, output=100.0)], machine, 1, Split(Grid(tensor=2), 1, 1))
    assert choice.seconds == pytest.approx(3.0 / 2 + 4 * 2 * (0.5 + 50 / 100))
    data = evaluate([layer(1.0, size=100.0)], machine, 2, Split(Grid(data=2), 1, 1))
    assert data.seconds == pytest.approx(3.0 + 2 * (0.5 + 50 / 100))


def test_memory_is_state_and_stash() -> None:
    """Rank 0 of 1F1B keeps p micro-batches; state is four times the parameters."""
    machine = Machine(2, 1e12, FAST, FAST, 2)
    choice = evaluate([layer(1.0, 1000.0, 10.0)] * 2, machine, 4, Split(Grid(2), 1, 4))
    assert choice.memory_bytes == 4 * 1000 + 2 * 40


def test_without_memory_limit_replicas_win_and_with_it_a_pipeline() -> None:
    layers = [layer(3e-3)] * 8
    free, tight = (Machine(4, memory, SLOW, SLOW, 1) for memory in (1e12, 1.5e7))
    assert plan(layers, free, 8)[0].split.grid == Grid(data=4)
    best = plan(layers, tight, 8)[0]
    assert best.split.grid.pipeline > 1
    one = Split(best.split.grid, 1, best.split.microbatches)
    assert evaluate(layers, tight, 8, one).seconds >= best.seconds


def test_tensor_groups_need_a_common_host() -> None:
    widths = {s.grid.tensor for s in splits([layer(1.0)] * 4, Machine(8, 1, FAST, SLOW, 2), 8)}
    assert widths == {1, 2}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.data())
def test_stages_are_balanced(costs: list[int], data: st.DataObject) -> None:
    stages = data.draw(st.integers(1, len(costs)))
    bounds = balance(costs, stages)

    def dearest(cuts: tuple[int, ...]) -> int:
        return max(sum(costs[a:b]) for a, b in itertools.pairwise(cuts))

    every = itertools.combinations(range(1, len(costs)), stages - 1)
    assert len(bounds) == stages + 1 and all(a < b for a, b in itertools.pairwise(bounds))
    assert dearest(bounds) == min(dearest((0, *cuts, len(costs))) for cuts in every)


def test_more_chunks_shorten_the_pipeline_by_the_formula() -> None:
    """p = 4, m = 8: bubbles 3/8, 3/16 and 3/32 (Narayanan et al. 2021, section 2.2)."""
    times = [
        simulate(order(4, 8, v), Costs.uniform(4 * v, 12 // v, 24 // v)).finish for v in (1, 2, 4)
    ]
    assert [t / (8 * 36) - 1 for t in times] == [3 / 8, 3 / 16, 3 / 32]
