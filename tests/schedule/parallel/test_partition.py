"""A network split over processes gives the outputs, loss and gradients of one process."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import parallel_cases as cases
import pytest
import torch
from torch import nn

from etendue.core.errors import InputError
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.groups import alone
from etendue.schedule.parallel.launch import launch
from etendue.schedule.parallel.order import peak_stash
from etendue.schedule.parallel.partition import even_bounds, partition
from etendue.schedule.parallel.ring import ring_bytes
from etendue.schedule.parallel.tensor import Column, Row, Vocabulary
from etendue.schedule.parallel.traffic import all_reduce_bytes, block_bytes, pipeline_bytes
from etendue.schedule.parallel.wire import HEADER_BYTES, Line

pytestmark = pytest.mark.usefixtures("ranks_are_quick")

GRIDS = {
    "tensor 2": Grid(tensor=2),
    "pipeline 2": Grid(pipeline=2),
    "data 2": Grid(data=2),
    "sequence 3": Grid(sequence=3),
    "pipeline 2 x tensor 2": Grid(pipeline=2, tensor=2),
    "pipeline 2 x data 2": Grid(pipeline=2, data=2),
    "data 2 x tensor 2": Grid(data=2, tensor=2),
    "pipeline 2 x data 2 x tensor 2": Grid(2, 2, 1, 2),
    "data 2 x sequence 2 x tensor 2": Grid(1, 2, 2, 2),
    "pipeline 2 x sequence 2 x tensor 2": Grid(2, 1, 2, 2),
}
LIMITS = {"float64": 1e-12, "float32": 1e-6}


def cases_for(grid: Grid) -> list[cases.Case]:
    """Single and double precision; with tied weights; interleaved where there is a pipeline."""
    some = [
        cases.Case(infer=True),
        cases.Case("float32", tied=True, causal=False, microbatches=1),
        cases.Case(batch=9, microbatches=4, tied=True),
    ]
    if grid.pipeline > 1:
        some.append(cases.Case(batch=9, microbatches=4, chunks=2, tied=True, infer=True))
    return some[1:] if grid.size == 8 else some  # eight processes on few cores are slow


@pytest.mark.parametrize("name", GRIDS)
def test_equal_to_one_process(name: str) -> None:
    grid = GRIDS[name]
    some = cases_for(grid)
    ranks = launch(cases.compare, grid, *some)
    for k, case in enumerate(some):
        results = [results[k] for results in ranks]
        limit = LIMITS[case.dtype]
        for result in results:
            assert result["smallest"] > 1e-3  # no gradient is there only in name
            for what in ("loss", "outputs", "inferred", "gradients"):
                assert result.get(what, 0.0) <= limit, (case, what, result[what])
        # together the ranks hold every parameter, and those of the last stage the outputs
        assert {n for r in results for n in r["names"]} == set(results[0]["all_names"])
        assert sum("outputs" in r for r in results) == grid.size // grid.pipeline
        peak = peak_stash(grid.pipeline, case.microbatches, case.chunks)
        assert max(r["stash_peak"] for r in results) == peak


def activation(case: cases.Case, grid: Grid, place: dict[str, int]) -> int:
    """Bytes of the activations (batch, rows, width) that a rank sees in one step."""
    batch, rows = (
        (total // parts) + (at < total % parts)
        for total, parts, at in (
            (case.batch, grid.data, place["data"]),
            (cases.ROWS, grid.sequence, place["sequence"]),
        )
    )
    return batch * rows * cases.WIDTH * 8


@pytest.mark.parametrize(
    "grid", [Grid(tensor=2), Grid(2, 2), Grid(1, 2, 2, 2), Grid(2, 2, 1, 2)], ids=str
)
def test_bytes_on_the_wire(grid: Grid) -> None:
    """Every line of every rank sends what the formulas say, no byte more."""
    chunks = 2 if grid.pipeline > 1 else 1
    case = cases.Case(batch=9, microbatches=4, chunks=chunks, tied=True)
    stages = grid.pipeline * chunks
    bounds = even_bounds(cases.BLOCKS + 3, stages)
    for result in launch(cases.count_bytes, grid, case):
        sent, place = result["sent"], result["place"]
        size, t = activation(case, grid, place), grid.tensor
        mine = range(place["pipeline"], stages, grid.pipeline)
        layers = [k for s in mine for k in range(bounds[s], bounds[s + 1])]
        blocks = sum(1 <= k <= cases.BLOCKS for k in layers)
        last = cases.BLOCKS + 2 in layers

        expected = blocks * block_bytes(size, t)
        # the embedding's sum; before the head's columns; three numbers per row of the loss
        expected += (0 in layers) * all_reduce_bytes(size, t)
        expected += last * all_reduce_bytes(size + 3 * size // cases.WIDTH, t)
        assert sent["tensor"].get("tensor", 0) == expected

        assert sent["pipeline"].get("pipeline", 0) == pipeline_bytes(
            place["pipeline"], grid.pipeline, chunks, [size] * stages
        )
        outgoing = sum(s < stages - 1 for s in mine) if grid.pipeline > 1 else 0
        assert sent["pipeline"].get("header", 0) == outgoing * case.microbatches * HEADER_BYTES

        replicas = grid.data * grid.sequence
        assert sent["replica"].get("data", 0) == all_reduce_bytes(result["parameters"], replicas)
        if grid.pipeline > 1:
            table = cases.VOCABULARY * cases.WIDTH * 8 // t
            assert sent["tied"].get("tied", 0) == all_reduce_bytes(table, 2)

        rows = [len(part) for part in torch.zeros(cases.ROWS).tensor_split(grid.sequence)]
        row = 2 * size // rows[place["sequence"]] // t  # of keys and values, this rank's heads
        ring = sum(ring_bytes(rows, place["sequence"], row, grad) for grad in (False, True))
        assert sent["sequence"].get("sequence", 0) == blocks * ring


def test_one_rank_is_the_network_itself() -> None:
    mesh, case = alone(), cases.Case(batch=6, microbatches=3, chunks=2, tied=True)
    [result] = cases.compare(mesh, case)
    assert max(result[k] for k in ("loss", "outputs", "gradients")) <= 1e-12
    assert not mesh.tensor.sent and not mesh.pipeline.sent


def test_training_goes_the_same_way() -> None:
    """Steps of an optimizer on shares equal those on the whole network, tied weights included."""
    grid = Grid(pipeline=2, tensor=2)
    case = cases.Case(batch=4, tied=True)
    expected = cases.trained_alone(case, 3)
    seen: set[str] = set()
    for result in launch(cases.trained, grid, case, 3):
        for name, values in result.items():
            assert abs(values - expected[name]).max() < 1e-12
            seen.add(name)
    assert seen == set(expected)


def test_one_weight_everywhere() -> None:
    """Its gradient is counted once per place, also where a rank holds it in two stages."""
    for worst in launch(cases.shared, Grid(pipeline=2)):
        assert worst < 1e-12


def test_other_weights_on_a_rank() -> None:
    with pytest.raises(InputError, match="ranks 1 were given other weights than rank 0"):
        launch(cases.other_weights, Grid(data=2))


@pytest.mark.parametrize(
    ("layer", "axis", "message"),
    [
        (nn.Dropout(0.1), "tensor", "layer 0: Dropout cannot be split this way: .*masks"),
        (nn.BatchNorm1d(2), "data", "layer 0: BatchNorm1d cannot .*micro-batches"),
        (nn.MultiheadAttention(2, 1), "sequence", "layer 0: MultiheadAttention cannot .*part"),
    ],
)
def test_layers_that_cannot_be_split(layer: nn.Module, axis: str, message: str) -> None:
    mesh = replace(alone(), grid=Grid(**{axis: 2}), **{axis: Line((0, 1))})
    with pytest.raises(InputError, match=message):
        partition([layer], mesh)


def test_frozen_normalisation_may_be_split() -> None:
    part = partition([nn.BatchNorm1d(2).eval(), nn.Dropout(0.0)], alone())
    assert set(part.parameters()) == {"0.weight", "0.bias"}


def test_stages_of_equal_size() -> None:
    assert even_bounds(7, 3) == [0, 3, 5, 7]
    with pytest.raises(InputError, match="fewer layers than stages; got 2, expected 3 or more"):
        even_bounds(2, 3)


def test_bounds_that_do_not_fit() -> None:
    layers = [nn.Linear(2, 2) for _ in range(3)]
    for bounds in ([0, 3, 2], [1, 3], [0, 2], [0]):
        with pytest.raises(InputError, match="bounds of the stages do not fit"):
            partition(layers, alone(), bounds=bounds)


def test_pattern_without_a_layer() -> None:
    with pytest.raises(InputError, match="'nowhere': names no layer of the network"):
        partition([nn.Linear(2, 2)], alone(), styles={"nowhere": Column()})


def test_batch_smaller_than_the_microbatches() -> None:
    part = partition([nn.Linear(2, 2)], alone())
    x = torch.zeros(3, 2)

    def loss_sum(y: Any, target: Any) -> Any:
        return ((y - target) ** 2).sum()

    with pytest.raises(InputError, match="smaller than the number of micro-batches; got 3"):
        part.step(x, x, loss_sum, 4)


@pytest.mark.parametrize(
    ("styles", "message"),
    [
        ({"1": Column(unit=3)}, "layer 1: its outputs do not divide .* got 8, expected .* of 6"),
        ({"1": Row(unit=8)}, "layer 1: its inputs do not divide .* got 8, expected .* of 16"),
        ({"0": Vocabulary()}, "layer 0: its rows do not divide .* got 5, expected .* of 2"),
        ({"0": Column()}, "layer 0: cannot be split as Column; got Embedding, expected Linear"),
    ],
)
def test_sizes_that_do_not_divide(styles: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        launch(cases.refused, Grid(tensor=2), styles)


def test_tied_layers_split_differently() -> None:
    styles = {"0": Vocabulary(), "1": Row()}
    with pytest.raises(InputError, match=r"shared parameter 0.weight = 1.weight: .*different ways"):
        launch(cases.refused, Grid(tensor=2), styles, True)


def test_grids_are_distinct() -> None:
    assert all(a != b for a, b in itertools.combinations(GRIDS.values(), 2))
