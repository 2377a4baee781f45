"""Training of the network on a set of poses: step k depends on the plan, the set and k only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from etendue.core.errors import InputError
from etendue.plugins.radar_pose.data import PoseSet
from etendue.plugins.radar_pose.grids import Grid
from etendue.plugins.radar_pose.model import SIZES, PoseNet, make_network
from etendue.plugins.radar_pose.targets import best, loss_at, targets

MIRRORED = (0, 4, 5, 6, 1, 2, 3, 7, 8, 12, 13, 14, 9, 10, 11)  # joint on the other side
RISE = 0.4  # of the steps until the learning rate is highest
START, END = 0.1, 1e-5  # of the learning rate, in parts of the highest
DECAY = 0.01
CLIP = 35.0
GAIN = 0.2  # bel, standard deviation of a tensor's random gain
EVERY = 50  # steps between snapshots

Snapshot = Mapping[str, torch.Tensor]
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Plan:
    """How a network is trained (Ho et al. 2024: Adam with one cycle, batches of 8)."""

    steps: int = 1500
    batch: int = 8
    rate: float = 2e-3
    seed: int = 0
    size: str = "cpu"
    mirror: bool = True  # half of the tensors, with left and right exchanged

    def check(self) -> None:
        """Raise `InputError` for what cannot be."""
        if self.size not in SIZES:
            raise InputError("--size", "is unknown", got=self.size, expected=", ".join(SIZES))
        for name, value in (("--steps", self.steps), ("--batch", self.batch)):
            if not 1 <= value <= 10**6:
                raise InputError(name, "is out of range", got=value, expected="1..1000000")


def rate_at(step: int, plan: Plan) -> float:
    """One cycle: up and down along half waves of a cosine."""
    top = max(1, round(RISE * plan.steps))
    up = step < top
    share = step / top if up else (step - top) / max(1, plan.steps - top)
    low, high = (START, 1.0) if up else (1.0, END)
    return plan.rate * (low + (high - low) * 0.5 * (1 - math.cos(math.pi * share)))


def batch_at(data: PoseSet, plan: Plan, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tensors (batch, speeds, z, y, x) and joints in voxels (batch, 15, 3) of a step."""
    rng = np.random.default_rng([plan.seed, 1, step])
    rows = [_row(plan, len(data), step * plan.batch + k) for k in range(plan.batch)]
    x = torch.from_numpy(np.stack([data.tensor(k) for k in rows]))
    joints = torch.from_numpy(data.grid.to_voxels(data.poses[rows])).float()
    if plan.mirror:
        turned = torch.from_numpy(rng.uniform(size=plan.batch) < 0.5)
        other, flipped = mirrored(x, joints, data.grid)
        x = torch.where(turned[:, None, None, None, None], other, x)
        joints = torch.where(turned[:, None, None], flipped, joints)
    gain = torch.from_numpy(rng.normal(scale=GAIN, size=(plan.batch, 1, 1, 1, 1)))
    return torch.where(x > 0, x + gain.float(), x).clamp(min=0), joints


def mirrored(
    x: torch.Tensor, joints: torch.Tensor, grid: Grid
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tensors and joints in voxels with left and right exchanged."""
    flipped = joints[:, list(MIRRORED)].clone()
    flipped[..., 1] = grid.shape[1] - 1 - flipped[..., 1]
    return x.flip(3), flipped


def train(
    data: PoseSet,
    plan: Plan,
    *,
    start: Snapshot | None = None,
    save: Callable[[int, Snapshot], None] = lambda step, snapshot: None,
    progress: Progress = lambda step, steps, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> PoseNet | None:
    """The trained network, or None where `stop` ended it after a last `save`.

    `start` is a snapshot that `save` got: from there on it goes on as if it had never stopped.
    """
    plan.check()
    size = SIZES[plan.size]
    if data.speeds != size.speeds:
        raise InputError("set", "has other speeds than the network", got=data.speeds,
                         expected=size.speeds)  # fmt: skip
    low = data.grid.minimum[1] + 0.5 * data.grid.voxel[1] * data.grid.shape[1]
    if plan.mirror and abs(low) > 1e-3 * data.grid.voxel[1]:
        raise InputError("set", "cannot be mirrored: its middle is not ahead", got=f"y {low:g} m",
                         expected="y 0", fix="Train with mirror off")  # fmt: skip
    network = make_network(size, plan.seed).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), plan.rate, weight_decay=DECAY)
    first = _restored(network, optimizer, start) if start else 0
    for step in range(first, plan.steps):
        if stop():
            save(step, _snapshot(network, optimizer, step))
            return None
        value = _step(network, optimizer, data, plan, step)
        progress(step + 1, plan.steps, value)
        if (step + 1) % EVERY == 0:
            save(step + 1, _snapshot(network, optimizer, step + 1))
    return network


def poses_of(network: PoseNet, data: PoseSet, batch: int = 8) -> np.ndarray:
    """Poses (frames, 15, 3) in metres that a network sees in a set, one person each."""
    found = []
    with torch.no_grad():
        for first in range(0, len(data), batch):
            rows = range(first, min(first + batch, len(data)))
            x = torch.from_numpy(np.stack([data.tensor(k) for k in rows]))
            joints, _ = best(*network(x.contiguous(memory_format=torch.channels_last_3d)))
            found.append(data.grid.to_metres(joints.numpy()))
    return np.concatenate(found)


def _step(
    network: PoseNet, optimizer: torch.optim.Optimizer, data: PoseSet, plan: Plan, step: int
) -> float:
    x, joints = batch_at(data, plan, step)
    wanted = targets(joints, data.grid.shape)
    for group in optimizer.param_groups:
        group["lr"] = rate_at(step, plan)
    optimizer.zero_grad()
    features = network.features(x.contiguous(memory_format=torch.channels_last_3d))
    error = loss_at(network.heat(features), network.offsets_at(features, wanted.voxels), wanted)
    error.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()
    return float(error.detach())


def _row(plan: Plan, count: int, number: int) -> int:
    """The frame with this number in a row of shuffled passes over the set."""
    order = np.random.default_rng([plan.seed, 0, number // count]).permutation(count)
    return int(order[number % count])


def _snapshot(network: PoseNet, optimizer: torch.optim.Optimizer, step: int) -> Snapshot:
    found = {f"param/{name}": p.detach().clone() for name, p in network.named_parameters()}
    for name, p in network.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            found[f"adam/{name}/{key}"] = value.detach().clone()
    return {**found, "step": torch.tensor(step)}


def _restored(network: PoseNet, optimizer: torch.optim.Optimizer, snapshot: Snapshot) -> int:
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(snapshot[f"param/{name}"])
            prefix = f"adam/{name}/"
            state = {k.removeprefix(prefix): v for k, v in snapshot.items() if k.startswith(prefix)}
            if state:
                optimizer.state[p] = {
                    k: v.clone() if k == "step" else torch.empty_like(p).copy_(v)
                    for k, v in state.items()
                }
    return int(snapshot["step"])
