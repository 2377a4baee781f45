"""Detections of known targets, and a network that does not mind the order of points."""

from __future__ import annotations

import numpy as np
import torch

from etendue.plugins.radar_pose.grids import Grid
from etendue.plugins.radar_pose.points import GUARD, PointPose, _average, cfar, point_loss

GRID = Grid((-1.0, -2.0, 0.5), (0.5, 0.5, 0.25), (2, 3, 40))


def test_targets_are_found_where_they_are() -> None:
    tensor = np.random.default_rng(0).uniform(0, 0.4, (4, 2, 3, 40)).astype(np.float32)
    tensor[3, 1, 0, 20], tensor[0, 0, 2, 1] = 4.0, 3.0
    points, mask = cfar(tensor, 8, GRID)
    assert mask.sum() == 2 and points.shape == (8, 5) and points.dtype == np.float32
    np.testing.assert_allclose(points[0], [0.5 + 20.5 * 0.25, -1.75, -0.25, 0.75, 4.0])
    np.testing.assert_allclose(points[1], [0.5 + 1.5 * 0.25, -0.75, -0.75, -0.75, 3.0])
    assert (points[2:] == 0).all()
    one, _ = cfar(tensor, 1, GRID)
    np.testing.assert_array_equal(one, points[:1])


def test_what_is_everywhere_is_not_detected() -> None:
    for level in (0.0, 3.0):
        assert not cfar(np.full((4, 2, 3, 40), level, np.float32), 8, GRID)[1].any()


def test_the_average_leaves_out_the_guard() -> None:
    power = np.ones(40)
    power[20 - GUARD : 21 + GUARD] = 1e6
    assert _average(power)[20] == 1
    assert _average(power)[20 + GUARD + 1] > 1e4
    assert np.isinf(_average(np.ones(3))).all()


def network(seed: int = 0) -> tuple[PointPose, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(256) < torch.tensor([[200], [256], [1]])
    points = torch.randn(3, 256, 5, generator=generator) * mask[..., None]
    return PointPose(seed), points, mask


def test_the_order_of_points_does_not_matter() -> None:
    net, points, mask = network()
    order = torch.randperm(256, generator=torch.Generator().manual_seed(1))
    for a, b in zip(net(points, mask), net(points[:, order], mask[:, order]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_what_is_masked_plays_no_part() -> None:
    net, points, mask = network()
    other = torch.where(mask[..., None], points, torch.nan)
    for a, b in zip(net(points, mask), net(other, mask), strict=True):
        torch.testing.assert_close(a, b)


def test_a_person_elsewhere_has_the_same_pose() -> None:
    net, points, mask = network()
    shift = torch.tensor([3.0, -1.0, 0.5])
    moved = points + torch.cat([shift, torch.zeros(2)]) * mask[..., None]
    torch.testing.assert_close(net.poses(moved, mask), net.poses(points, mask) + shift)


def test_without_points_there_is_a_pose() -> None:
    net = PointPose()
    pelvis, offsets = net(torch.zeros(2, 256, 5), torch.zeros(2, 256, dtype=torch.bool))
    assert pelvis.shape == (2, 3) and offsets.shape == (2, 45)
    assert torch.isfinite(offsets).all()


def test_it_learns_where_the_points_are() -> None:
    torch.set_num_threads(1)
    net, points, mask = network()
    true = points[:, :1, :3].expand(3, 15, 3) + torch.linspace(0, 1, 15)[:, None]
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    losses = []
    for _ in range(60):
        loss = point_loss(*net(points, mask), true)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all(p.grad is not None for p in net.parameters())
