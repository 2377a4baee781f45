"""`etendue radar train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json
from etendue.commands import _field_options as fields
from etendue.commands import _render_options as options
from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.plugins.radar_pose.data import PoseSet
    from etendue.plugins.radar_pose.train import Plan

EXAMPLES = (
    "etendue radar train people/ -o pose.eta --steps 1500 --seed 1",
    "etendue radar train people/ -o pose.eta --steps 1500 --seed 1 --resume",
    "etendue radar train people/ -o still.eta --size cpu-zyx",
)


def run(
    data: Annotated[Path, typer.Argument(help="A folder of `etendue radar dataset` or RT-Pose.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The network, .eta.")],
    size: Annotated[str, typer.Option(help="cpu|cpu-zyx|zyx|doppler")] = "cpu",
    steps: Annotated[int, typer.Option(help="Batches to train on.")] = 1500,
    batch: Annotated[int, typer.Option(help="Frames of a batch.")] = 8,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    mirror: Annotated[
        bool, typer.Option("--mirror/--no-mirror", help="Also with left and right exchanged.")
    ] = True,
    seed: options.Seed = 0,
    resume: fields.Resume = False,
    restart: fields.Restart = False,
    json: options.Json = False,
) -> None:
    """Train a network that sees poses in radar tensors; Ctrl-C keeps the work for --resume."""
    from etendue.plugins.radar_pose.file import write_pose_net
    from etendue.plugins.radar_pose.metrics import mean_pose
    from etendue.plugins.radar_pose.train import Plan

    if output.suffix.lower() != ".eta":
        raise InputError(output, "unknown kind of file", got=output.suffix, expected=".eta")
    plan = Plan(steps, batch, rate, seed, size, mirror)
    plan.check()
    found = load(data, "Train", size)
    began = time.monotonic()
    network = _trained(found, plan, output, resume, restart)
    figures = {"steps": steps, "seed": seed, "seconds": round(time.monotonic() - began, 1)}
    more = {"provenance": {"command": "radar train", "frames": len(found), **figures}}
    write_pose_net(output, network, size, found.grid, mean_pose(found.poses), more)
    if json:
        print_json({"output": str(output), "bytes": output.stat().st_size, **figures})
    else:
        print(f"{output}: {output.stat().st_size} bytes, {steps} steps on {len(found)} frames "
              f"in {figures['seconds']} s")  # fmt: skip


def load(folder: Path, part: Any, size: str) -> PoseSet:
    """A part of a set with the speeds that a network of this size sees."""
    from etendue.plugins.radar_pose.data import load_set
    from etendue.plugins.radar_pose.model import SIZES

    if size == "phase":
        raise InputError("--size", "phase sees real and imaginary parts, which are not read yet",
                         fix="Take doppler")  # fmt: skip
    return load_set(folder, part, "zyx" if SIZES[size].speeds == 1 else SIZES[size].speeds)


def _trained(data: PoseSet, plan: Plan, output: Path, resume: bool, restart: bool) -> Any:
    from dataclasses import asdict

    from etendue.bake.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from etendue.bake.material import checkpoint_path
    from etendue.bake.train import BakeStoppedError
    from etendue.commands._progress import baking
    from etendue.plugins.radar_pose.train import train

    path = checkpoint_path(output)
    identity = {"material": _digest(data), "settings": asdict(plan),
                "of": "a training on another set"}  # fmt: skip
    if restart:
        path.unlink(missing_ok=True)
    elif path.exists() and not resume:
        raise InputError(path, "is there from an interrupted training",
                         fix="Go on with --resume, or discard it with --restart")  # fmt: skip
    start = load_checkpoint(path, identity).tensors if path.exists() else None

    def save(step: int, snapshot: Any) -> None:
        save_checkpoint(path, Checkpoint(step, identity, dict(snapshot), []))

    with baking(plan.steps, output) as (progress, stop):
        network = train(data, plan, start=start, save=save, progress=progress, stop=stop)
        if network is None:
            raise BakeStoppedError
    path.unlink(missing_ok=True)
    return network


def _digest(data: PoseSet) -> str:
    import hashlib

    state = hashlib.sha256(data.poses.tobytes())
    state.update(repr((data.names, data.grid, data.speeds)).encode())
    return state.hexdigest()
