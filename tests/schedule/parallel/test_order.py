"""Orders equal PyTorch's, and what is known about them in closed form."""

from __future__ import annotations

from typing import Any

import pytest
from torch.distributed.pipelining import Schedule1F1B, ScheduleInterleaved1F1B
from torch.distributed.pipelining.stage import _PipelineStageBase

from etendue.core.errors import InputError
from etendue.schedule.parallel.order import (
    BACKWARD,
    FORWARD,
    Op,
    forward_only,
    interleaved,
    one_f_one_b,
    order,
    peak_stash,
    stages_of,
)
from etendue.schedule.parallel.simulate import stash_peak

RANKS = range(1, 9)


class BareStage(_PipelineStageBase):
    """The little that PyTorch's schedules ask of a stage; it notes the passes it is told to run."""

    def __init__(self, index: int, ranks: int, stages: int) -> None:
        self.stage_index, self.num_stages = index, stages
        self.group_size, self.group_rank = ranks, index % ranks
        self.group = None
        self.has_backward = True
        self.ran: list[Op] = []

    def forward_one_chunk(self, number: int, *_: Any, **__: Any) -> None:
        self.ran.append(Op(FORWARD, self.stage_index, number))

    def backward_one_chunk(self, number: int, *_: Any, **__: Any) -> None:
        self.ran.append(Op(BACKWARD, self.stage_index, number))

    def _nothing(self, *_: Any, **__: Any) -> list[Any]:
        return []

    get_fwd_recv_ops = get_fwd_send_ops = get_bwd_recv_ops = get_bwd_send_ops = _nothing
    _create_grad_recv_info = _prepare_backward_infra = _prepare_forward_infra = _nothing
    perform_reduce_grad = _nothing


def from_torch(schedule: Any) -> Op | None:
    """One of PyTorch's actions; None for what is no pass."""
    kinds = {"F": FORWARD, "B": BACKWARD}
    kind = kinds.get(schedule.computation_type.value)
    return kind and Op(kind, schedule.stage_index, schedule.microbatch_index)


def torch_order(orders: dict[int, list[Any]]) -> tuple[tuple[Op, ...], ...]:
    """PyTorch's table without the gaps and the reduction of gradients at the end."""
    result = []
    for rank in sorted(orders):
        ops = [from_torch(action) for action in orders[rank] if action is not None]
        result.append(tuple(op for op in ops if op is not None))
    return tuple(result)


@pytest.mark.parametrize("ranks", RANKS)
def test_1f1b_is_what_torch_runs(ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schedule1F1B, "_initialize_stage", lambda *_: None)  # needs a real network
    for microbatches in range(ranks, 33):  # torch asks for at least as many as ranks
        ran = []
        for rank in range(ranks):
            stage = BareStage(rank, ranks, ranks)
            schedule = Schedule1F1B(stage, microbatches)
            schedule._step_microbatches([()] * microbatches, [{}] * microbatches)
            ran.append(tuple(stage.ran))
        assert one_f_one_b(ranks, microbatches) == tuple(ran)


@pytest.mark.parametrize("ranks", RANKS)
def test_1f1b_is_the_table_of_torch(ranks: int) -> None:
    """But for the last rank, whose forward passes the table counts from 1 (they run from 0)."""
    for microbatches in range(ranks, 33):
        table = Schedule1F1B(BareStage(0, ranks, ranks), microbatches)._get_pipeline_order()
        assert table is not None
        *others, last = torch_order(table)
        ours = one_f_one_b(ranks, microbatches)
        assert ours[:-1] == tuple(others)
        assert ours[-1] == tuple(op._replace(microbatch=op[2] - (op[0] == FORWARD)) for op in last)


@pytest.mark.parametrize("chunks", range(1, 5))
@pytest.mark.parametrize("ranks", RANKS)
def test_interleaved_is_that_of_torch(ranks: int, chunks: int) -> None:
    for microbatches in range(ranks, 33, ranks):
        stages = [BareStage(s, ranks, ranks * chunks) for s in stages_of(0, ranks, chunks)]
        schedule = ScheduleInterleaved1F1B(stages, microbatches)
        assert interleaved(ranks, microbatches, chunks) == torch_order(schedule.pipeline_order)


@pytest.mark.parametrize("ranks", RANKS)
def test_every_pass_once_and_forward_first(ranks: int) -> None:
    for microbatches, chunks in ((1, 1), (5, 1), (ranks, 2), (3 * ranks, 3)):
        for rank, ops in enumerate(order(ranks, microbatches, chunks)):
            places = {op: k for k, op in enumerate(ops)}
            assert len(places) == len(ops) == 2 * microbatches * chunks
            for stage in stages_of(rank, ranks, chunks):
                for k in range(microbatches):
                    assert places[Op(FORWARD, stage, k)] < places[Op(BACKWARD, stage, k)]


def test_forward_only_keeps_the_order() -> None:
    for full, part in zip(interleaved(3, 6, 2), forward_only(3, 6, 2), strict=True):
        assert part == tuple(op for op in full if op.kind == FORWARD)


@pytest.mark.parametrize("ranks", RANKS)
def test_most_activations_kept(ranks: int) -> None:
    """p for 1F1B whatever m, p(1 + (p - 1)/(p v)) times a rank's share when interleaved."""
    for chunks in range(1, 5):
        microbatches = 4 * ranks
        peak = stash_peak(order(ranks, microbatches, chunks)[0], (1,) * ranks * chunks)
        assert peak == peak_stash(ranks, microbatches, chunks)
        if chunks == 1:
            assert peak == ranks
        else:
            assert peak == chunks * ranks + ranks - 1


def test_operations_read_as_in_torch() -> None:
    assert " ".join(map(str, one_f_one_b(2, 2)[0])) == "0F0 0F1 0B0 0B1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 1), "too few ranks; got 0"),
        ((2, 0, 1), "too few micro-batches; got 0"),
        ((2, 4, 0), "too few chunks; got 0"),
        ((4, 6, 2), "got 6 micro-batches on 4 ranks, expected a multiple of 4"),
    ],
)
def test_bad_input(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        order(*arguments)
