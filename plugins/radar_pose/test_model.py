"""The network: its published size, its shapes, and that it can learn a pose."""

from __future__ import annotations

import pytest
import torch

from etendue.plugins.radar_pose.model import (
    SIZES,
    Size,
    count_parameters,
    count_products,
    make_network,
)
from etendue.plugins.radar_pose.targets import best, loss, targets

REGION = (16, 64, 160)
TINY = Size(2, (8, 8, 8, 8), 8)


@pytest.mark.parametrize(
    ("name", "millions", "gflop"),
    [("zyx", 2.03, 125), ("doppler", 2.22, 185), ("phase", 8.30, 557)],
)
def test_published_parameters_and_products(name: str, millions: float, gflop: float) -> None:
    """Within 1 %; a product and a sum are two FLOP."""
    network = make_network(SIZES[name])
    assert count_parameters(network) / 1e6 == pytest.approx(millions, rel=0.01)
    products = count_products(network, SIZES[name].speeds, REGION)
    assert 2 * products / 1e9 == pytest.approx(gflop, rel=0.01)


def test_products_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    network = make_network(TINY).to("meta")
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 2, 8, 16, 24, device="meta"))
    assert counter.get_total_flops() == 2 * count_products(make_network(TINY), 2, (8, 16, 24))


@pytest.mark.parametrize("grid", [(8, 16, 24), (5, 9, 13)])
def test_maps_have_the_grid_of_the_tensor(grid: tuple[int, int, int]) -> None:
    heat, offsets = make_network(TINY)(torch.rand(2, 2, *grid))
    assert heat.shape == (2, 1, *grid) and offsets.shape == (2, 45, *grid)


def test_before_training_people_are_rare() -> None:
    heat, _ = make_network(TINY)(torch.zeros(1, 2, 8, 16, 24))
    assert torch.sigmoid(heat).mean().item() == pytest.approx(0.1, abs=0.05)


def test_weights_come_from_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (make_network(TINY, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    pairs = zip(first.parameters(), other.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_it_learns_two_frames() -> None:
    """Two tensors with a spot at the pelvis: found to a fraction of a voxel."""
    rng = torch.Generator().manual_seed(0)
    shape = (4, 12, 16)
    pelvis = torch.tensor([[1.2, 4.4, 6.3], [2.3, 8.1, 10.8]])
    joints = pelvis[:, None] + torch.randn(2, 15, 3, generator=rng) * 0.8
    joints[:, 0] = pelvis
    x = 0.1 * torch.rand(2, 2, *shape, generator=rng)
    for k, (a, b, c) in enumerate(pelvis.round().long().tolist()):
        x[k, :, a, b, c] += 3
    network, wanted = make_network(TINY), targets(joints, shape)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss(*network(x), wanted).backward()
        optimizer.step()
    with torch.no_grad():
        found, score = best(*network(x))
    assert (found - joints).abs().mean() < 0.3 and (found[:, 0] - pelvis).abs().max() < 1
    assert (score > 0.5).all()
