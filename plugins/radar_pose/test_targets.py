"""Heat maps, losses, and what maps mean."""

from __future__ import annotations

import torch

from etendue.plugins.radar_pose.targets import best, loss, people, targets

SHAPE = (6, 9, 12)


def joints(seed: int = 0, count: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    pelvis = 2 + torch.rand(count, 1, 3, generator=rng) * (torch.tensor(SHAPE) - 5)
    spread = torch.randn(count, 15, 3, generator=rng)
    spread[:, 0] = 0
    return pelvis + spread


def maps(wanted_joints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a perfect network says."""
    wanted = targets(wanted_joints, SHAPE)
    heat = torch.logit(wanted.heat.clamp(1e-6, 1 - 1e-6))[:, None]
    offsets = wanted.offsets[:, :, None, None, None].expand(-1, -1, *SHAPE)
    return heat, offsets


def test_the_heat_is_a_gaussian_around_the_pelvis() -> None:
    wanted = targets(joints(), SHAPE)
    assert wanted.heat.shape == (3, *SHAPE)
    for heat, voxel in zip(wanted.heat, wanted.voxels, strict=True):
        a, b, c = voxel.tolist()
        assert heat[a, b, c] == 1 and (heat == 1).sum() == 1
        assert torch.isclose(
            heat[a, b - 1, c + 1], torch.exp(torch.tensor(-2 / (2 * (5 / 6) ** 2)))
        )
        assert (heat > 0).sum() <= 125


def test_a_perfect_answer_is_decoded_to_the_pose() -> None:
    wanted = joints()
    found, score = best(*maps(wanted))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert (score > 0.999).all()


def test_all_people_of_a_tensor() -> None:
    """Each near peak once, the surest first."""
    both = torch.tensor([[1.0, 2.0, 2.0], [4.0, 6.0, 9.0]])[:, None].expand(-1, 15, -1)
    heat, offsets = maps(both)
    power = torch.sigmoid(heat) * torch.tensor([0.6, 0.9])[:, None, None, None, None]
    joint = torch.logit(power.max(0).values.clamp(1e-6, 1 - 1e-6))
    found, scores = people(joint, offsets[0], 5, 0.3)
    assert len(found) == 2 and scores[0] > scores[1] > 0.5
    torch.testing.assert_close(found[:, 0], both[[1, 0], 0])
    assert len(people(joint, offsets[0], 1, 0.3)[0]) == 1
    assert len(people(joint, offsets[0], 5, 0.99)[0]) == 0


def test_a_saturated_peak_is_one_person() -> None:
    """Where the probability is 1 to the last bit in several voxels, the highest logit counts."""
    heat = torch.full((1, *SHAPE), -5.0)
    heat[0, 3, 4, 5:8] = torch.tensor([60.0, 90.0, 70.0])
    found, scores = people(heat, torch.zeros(45, *SHAPE), 5, 0.3)
    assert scores.tolist() == [1.0]
    assert found[0, 0].tolist() == [3.0, 4.0, 6.0]


def test_the_loss_is_least_where_the_answer_is_right() -> None:
    wanted = joints()
    heat, offsets = maps(wanted)
    aim = targets(wanted, SHAPE)
    right = loss(heat, offsets, aim)
    assert right < loss(heat, offsets + 0.1, aim)
    assert right < loss(torch.roll(heat, 1, -1), offsets, aim)
    off = loss(heat, offsets + 0.1, aim) - right
    torch.testing.assert_close(off, torch.tensor(0.5 * 45 * 0.1), atol=1e-3, rtol=0)


def test_a_pelvis_outside_counts_at_the_border() -> None:
    wanted = joints()
    wanted[0] -= torch.tensor([20.0, 0, 0])
    aim = targets(wanted, SHAPE)
    assert aim.voxels[0, 0] == 0
    back = best(*maps(wanted))[0]
    torch.testing.assert_close(back, wanted, atol=1e-4, rtol=0)


def test_mirrored_tensors_have_mirrored_targets() -> None:
    wanted = joints()
    mirrored = wanted.clone()
    mirrored[..., 1] = SHAPE[1] - 1 - wanted[..., 1]
    first, second = targets(wanted, SHAPE), targets(mirrored, SHAPE)
    torch.testing.assert_close(second.heat, first.heat.flip(2))
    turned = first.offsets.reshape(3, 15, 3) * torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(second.offsets.reshape(3, 15, 3), turned, atol=1e-5, rtol=0)
