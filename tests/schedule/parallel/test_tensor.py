"""Tensor-split layers, against whole ones and against PyTorch's own tensor parallel layers."""

from __future__ import annotations

from collections import Counter

import parallel_cases as cases
import pytest
import torch
from torch import nn

from etendue.core.errors import InputError
from etendue.schedule.parallel import tensor
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.launch import launch
from etendue.schedule.parallel.wire import Line

pytestmark = pytest.mark.usefixtures("ranks_are_quick")


def line(index: int, size: int) -> Line:
    """A line that cannot talk: for what needs no exchange."""
    return Line(tuple(range(size)), index, None, Counter())


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("dim", [0, 1])
def test_shares_join_to_the_whole(dim: int, parts: int) -> None:
    x = torch.arange(12 * 12).reshape(12, 12)
    shares = [tensor.cut(x, line(index, 2), dim, parts) for index in range(2)]
    assert torch.equal(tensor.join(shares, dim, parts), x)
    assert all(share.shape[dim] == 6 for share in shares)


def test_fused_parts_are_cut_one_by_one() -> None:
    """q, k and v stand one after the other; each rank needs some heads of all three."""
    share = tensor.cut(torch.arange(12), line(1, 2), 0, 3)
    assert share.tolist() == [2, 3, 6, 7, 10, 11]


def test_equal_to_torch_tensor_parallel() -> None:
    """Outputs and every gradient of a two-layer network, with both in one process group."""
    for ours, theirs in launch(cases.beside_torch, Grid(tensor=2)):
        assert set(ours) == set(theirs) == {"out", "x", "0.weight", "0.bias", "2.weight", "2.bias"}
        for name, value in ours.items():
            assert abs(value - theirs[name]).max() < 1e-12, name


def test_loss_over_split_classes() -> None:
    for errors in launch(cases.vocabulary_loss, Grid(tensor=3)):
        assert max(errors) < 1e-12


def test_split_leaves_the_module_alone() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))
    styles: dict[str, tensor.Style] = {"0": tensor.Column(), "2": tensor.Row()}
    share = tensor.split(module, styles, line(1, 2))
    assert isinstance(share.get_submodule("0"), tensor.ColumnLinear)
    assert share.get_submodule("2").weight.shape == (4, 3)
    assert isinstance(module[0], nn.Linear) and module[0].weight.shape == (6, 4)
    assert torch.equal(share.get_submodule("0").weight, module[0].weight[3:])


def test_frozen_layers_stay_frozen() -> None:
    module = nn.Sequential(nn.Linear(4, 4).requires_grad_(False))
    share = tensor.split(module, {"0": tensor.Column()}, line(0, 2))
    assert not any(p.requires_grad for p in share.parameters())


@pytest.mark.parametrize(
    ("layer", "style", "message"),
    [
        (nn.Linear(4, 9), tensor.Column(), "its outputs do not divide .* got 9, expected .* of 2"),
        (nn.Linear(9, 4), tensor.Row(), "its inputs do not divide .* got 9, expected .* of 2"),
        (nn.Linear(4, 12), tensor.Column(3, 4), "outputs .* got 12, expected a multiple of 24"),
        (nn.Embedding(9, 4), tensor.Vocabulary(), "its rows do not divide .* got 9"),
        (nn.Linear(4, 4), tensor.Vocabulary(), "got Linear, expected Embedding"),
        (nn.LayerNorm(4), tensor.Row(), "got LayerNorm, expected Linear"),
        (nn.Embedding(8, 4, padding_idx=0), tensor.Vocabulary(), "padding_idx and max_norm"),
    ],
)
def test_bad_layers(layer: nn.Module, style: tensor.Style, message: str) -> None:
    with pytest.raises(InputError, match=f"layer 0: .*{message}"):
        tensor.split(nn.Sequential(layer), {"0": style}, line(0, 2))


def test_pattern_without_a_layer() -> None:
    with pytest.raises(InputError, match="'1': names no layer"):
        tensor.split(nn.Sequential(nn.Linear(2, 2)), {"1": tensor.Row()}, line(0, 2))
