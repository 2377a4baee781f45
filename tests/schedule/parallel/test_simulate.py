"""The simulation is exact: the bubble formulas, a slow twin, and what cannot run."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.schedule.parallel.order import BACKWARD, FORWARD, Op, Order, bubble, order
from etendue.schedule.parallel.simulate import Costs, simulate, stash_peak


def slow(order: Order, costs: Costs) -> dict[Op, Any]:
    """End of every pass, by the two rules alone, repeated until nothing changes."""
    ranks, last = len(order), len(costs.forward) - 1
    ends = {op: 0 for ops in order for op in ops}

    def way(a: int, b: int) -> Any:
        return costs.transfer[min(a, b)] if costs.transfer and a % ranks != b % ranks else 0

    while True:
        before = dict(ends)
        for ops in order:
            for k, op in enumerate(ops):
                starts = [0] if k == 0 else [ends[ops[k - 1]]]
                kind, s, m = op
                if kind == FORWARD and s > 0:
                    starts.append(ends[Op(FORWARD, s - 1, m)] + way(s - 1, s))
                if kind == BACKWARD and s == last:
                    starts.append(ends[Op(FORWARD, s, m)])
                if kind == BACKWARD and s < last:
                    starts.append(ends[Op(BACKWARD, s + 1, m)] + way(s, s + 1))
                ends[op] = max(starts) + (costs.forward if kind == FORWARD else costs.backward)[s]
        if ends == before:
            return ends


@pytest.mark.parametrize("chunks", range(1, 5))
@pytest.mark.parametrize("ranks", range(1, 9))
def test_bubble_is_the_formula(ranks: int, chunks: int) -> None:
    """(p - 1)/m and (p - 1)/(v m), whatever forward and backward passes cost."""
    for microbatches in range(1, 33):
        if chunks > 1 and microbatches % ranks:
            continue
        for forward, backward in ((1, 1), (1, 2), (5, 3)):
            costs = Costs.uniform(ranks * chunks, forward, backward)
            timeline = simulate(order(ranks, microbatches, chunks), costs)
            expected = Fraction(ranks - 1, chunks * microbatches)
            assert Fraction(timeline.idle, timeline.ideal) == expected
            assert Fraction(*bubble(ranks, microbatches, chunks)) == expected


@given(st.data())
def test_uneven_costs_agree_with_the_slow_twin(data: st.DataObject) -> None:
    ranks, chunks = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    rounds = data.draw(st.integers(1, 3))
    number = st.integers(0, 20)
    stages = ranks * chunks
    costs = Costs(
        data.draw(st.lists(number, min_size=stages, max_size=stages)),
        data.draw(st.lists(number, min_size=stages, max_size=stages)),
        data.draw(st.lists(number, min_size=stages - 1, max_size=stages - 1)),
    )
    ops = order(ranks, rounds * ranks, chunks)
    timeline = simulate(ops, costs)
    assert {span.op: span.end for rank in timeline.spans for span in rank} == slow(ops, costs)
    assert timeline.finish >= timeline.ideal
    for rank in timeline.spans:
        assert all(a.end <= b.start for a, b in itertools.pairwise(rank))


def test_transfers_delay_every_stage_once_each_way() -> None:
    alone = simulate(order(3, 1, 1), Costs.uniform(3, 1, 2)).finish
    delayed = simulate(order(3, 1, 1), Costs.uniform(3, 1, 2, transfer=10)).finish
    assert (alone, delayed) == (9, 49)


def test_chunks_on_one_rank_need_no_transfer() -> None:
    assert simulate(order(1, 2, 3), Costs.uniform(3, 1, 1, transfer=100)).finish == 12


def test_an_impossible_order_is_named() -> None:
    first, second = order(2, 1, 1)
    with pytest.raises(InputError, match="rank 0: pass 0B0 waits for 1B0, which is never run"):
        simulate((first[::-1], second), Costs.uniform(2, 1, 1))


def test_stash_counts_what_lies_between_forward_and_backward() -> None:
    ops = [Op(FORWARD, 0, 0), Op(FORWARD, 1, 0), Op(BACKWARD, 1, 0), Op(BACKWARD, 0, 0)]
    assert stash_peak(ops, (3, 5)) == 8
    assert stash_peak(ops[:1] + ops[3:], (3, 5)) == 3
