"""Training: batches by number, mirrors, the learning rate, and going on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.core.errors import InputError
from etendue.plugins.radar_pose import model, train
from etendue.plugins.radar_pose.data import PoseSet, load_set
from etendue.plugins.radar_pose.train import MIRRORED, Plan, Snapshot

SHAPE = (2, 4, 12, 16)
GRID = {"minimum": [-1.0, -1.2, 1.0], "voxel": [0.5, 0.2, 0.1], "shape": list(SHAPE)}
TINY = Plan(steps=6, batch=2, size="tiny")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model.SIZES, "tiny", model.Size(2, (8, 8, 8, 8), 8))


@pytest.fixture
def data(tmp_path: Path) -> PoseSet:
    """Five frames with a spot at the pelvis."""
    rng, frames = np.random.default_rng(0), {}
    (tmp_path / "grid.json").write_text(json.dumps(GRID))
    folder = tmp_path / "sequences" / "0000" / "radar" / "npy_DZYX_f16"
    folder.mkdir(parents=True)
    for k in range(5):
        pose = rng.normal(scale=0.2, size=(15, 3))
        pose[0] = rng.uniform([1.3, -0.8, -0.4], [2.3, 0.8, 0.4])
        pose[1:] += pose[0]
        x = rng.uniform(0, 5, SHAPE)
        z, y, a = np.floor((pose[0, ::-1] - GRID["minimum"]) / GRID["voxel"]).astype(int)
        x[:, z, y, a] = 40
        np.save(folder / f"{k:06d}.npy", x.astype(np.float16))
        frames[f"{k:06d}"] = [{"Radar_frameID": f"{k:06d}", "pose": pose.tolist()}]
    (tmp_path / "Train.json").write_text(json.dumps({"0000": frames}))
    return load_set(tmp_path, "Train")


def test_offsets_at_a_voxel_are_those_of_the_whole_grid() -> None:
    """Also in corners, where the head sees beyond the grid."""
    network = model.make_network(model.SIZES["tiny"])
    x = torch.rand(4, 2, 5, 9, 12)
    voxels = torch.tensor([[2, 4, 6], [0, 0, 0], [4, 8, 11], [1, 8, 0]])
    with torch.no_grad():
        whole = network(x)[1]
        found = network.offsets_at(network.features(x), voxels)
    wanted = torch.stack([whole[k, :, z, y, a] for k, (z, y, a) in enumerate(voxels.tolist())])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_the_rate_goes_up_and_down_once() -> None:
    plan = Plan(steps=1000)
    rates = np.array([train.rate_at(k, plan) for k in range(1000)])
    assert rates[0] == pytest.approx(2e-4) and rates.argmax() == 400
    assert rates.max() == pytest.approx(2e-3) and rates[-1] < 1e-6
    assert (np.diff(rates[:400]) > 0).all() and (np.diff(rates[400:]) < 0).all()


def test_every_frame_comes_once_in_a_pass(data: PoseSet) -> None:
    rows = [train._row(TINY, 5, k) for k in range(15)]
    for first in (0, 5, 10):
        assert sorted(rows[first : first + 5]) == list(range(5))
    assert rows[:5] != rows[5:10]


def test_mirroring_twice_is_nothing(data: PoseSet) -> None:
    x = torch.from_numpy(np.stack([data.tensor(k) for k in range(5)]))
    joints = torch.from_numpy(data.grid.to_voxels(data.poses)).float()
    once = train.mirrored(x, joints, data.grid)
    twice = train.mirrored(*once, data.grid)
    torch.testing.assert_close(twice[0], x)
    torch.testing.assert_close(twice[1], joints)
    poses = data.grid.to_metres(once[1].numpy())
    np.testing.assert_allclose(poses, (data.poses * [1, -1, 1])[:, list(MIRRORED)], atol=1e-5)


def test_stopped_and_gone_on_with_it_is_the_same_network(data: PoseSet) -> None:
    whole = train.train(data, TINY)
    kept: list[Snapshot] = []
    steps: list[int] = []
    stopped = train.train(
        data, TINY, save=lambda step, snapshot: kept.append(snapshot),
        progress=lambda step, total, loss: steps.append(step), stop=lambda: len(steps) == 3,
    )  # fmt: skip
    assert stopped is None and int(kept[-1]["step"]) == 3
    again = train.train(data, TINY, start=kept[-1])
    assert whole is not None and again is not None
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_learns_where_people_are(data: PoseSet) -> None:
    losses: list[float] = []
    plan = Plan(steps=120, batch=4, rate=1e-2, size="tiny")
    network = train.train(data, plan, progress=lambda step, total, loss: losses.append(loss))
    assert network is not None
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    found = train.poses_of(network, data)
    gap = np.linalg.norm(found[:, 0] - data.poses[:, 0], axis=1)
    assert np.median(gap) < 0.35


def test_what_cannot_be_trained(data: PoseSet) -> None:
    with pytest.raises(InputError, match="--size: is unknown; got huge"):
        train.train(data, Plan(size="huge"))
    with pytest.raises(InputError, match="--steps: is out of range"):
        train.train(data, Plan(steps=0))
    with pytest.raises(InputError, match="set: has other speeds than the network; got 2"):
        train.train(data, Plan(size="cpu"))
