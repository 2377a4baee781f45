"""`etendue radar eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json
from etendue.commands import _render_options as options
from etendue.commands.radar.train import load
from etendue.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from etendue.plugins.radar_pose.data import PoseSet

EXAMPLES = (
    "etendue radar eval people/ pose.eta",
    "etendue radar eval people/ pose.eta --against still.eta --json",
)


def run(
    data: Annotated[Path, typer.Argument(help="A folder of `etendue radar dataset` or RT-Pose.")],
    network: Annotated[Path, typer.Argument(help="What `etendue radar train` wrote.")],
    against: Annotated[
        Path | None, typer.Option(help="Another network: the difference on the same frames.")
    ] = None,
    part: Annotated[str, typer.Option(help="Test|Train")] = "Test",
    smooth: Annotated[bool, typer.Option("--smooth", help="Filter the poses over time.")] = False,
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Judge a network by people, motions and rooms that it was not trained on."""
    from etendue.plugins.radar_pose import metrics

    if part not in ("Test", "Train"):
        raise InputError("--part", "is unknown", got=part, expected="Test, Train")
    found, poses, mean = _seen(data, network, part, smooth)
    sequences = [sequence for sequence, _ in found.names]
    figures: dict[str, Any] = metrics.report(poses, found.poses, sequences, mean)
    if against is not None:
        other = _seen(data, against, part, smooth)[1]
        errors = [metrics.mpjpe(p, found.poses) for p in (poses, other)]
        middle, low, high = metrics.paired_interval(*errors, sequences, seed)
        figures["mpjpe_cm_less_other"] = [100 * v for v in (middle, low, high)]
    if json:
        print_json(figures)
        return
    print(f"{figures['frames']} frames of {figures['sequences']} sequences: pelvis "
          f"{figures['localisation_cm']:.1f} cm, joints {figures['mpjpe_cm']:.1f} cm, with the "
          f"pelvis in place {figures['root_aligned_mpjpe_cm']:.1f} cm")  # fmt: skip
    print(f"the mean pose instead: joints {figures['baseline_mpjpe_cm']:.1f} cm, with the pelvis "
          f"in place {figures['baseline_root_aligned_mpjpe_cm']:.1f} cm "
          f"(ratio {figures['ratio']:.2f})")  # fmt: skip
    if against is not None:
        middle, low, high = figures["mpjpe_cm_less_other"]
        print(f"joints less {against.name}: {middle:.2f} cm, 95 % from {low:.2f} to {high:.2f}")


def _seen(
    folder: Path, file: Path, part: str, smooth: bool
) -> tuple[PoseSet, np.ndarray, np.ndarray]:
    """Set, poses (frames, 15, 3) in metres, and the mean pose of the training."""
    from etendue.plugins.radar_pose.file import read_pose_net
    from etendue.plugins.radar_pose.smooth import smooth_sequences
    from etendue.plugins.radar_pose.train import poses_of

    trained = read_pose_net(file)
    found = load(folder, part, trained.size)
    if found.grid != trained.grid:
        raise InputError(file, "was trained on another grid", got=trained.grid, expected=found.grid)
    poses = poses_of(trained.network, found)
    if smooth:
        poses = smooth_sequences(poses, [sequence for sequence, _ in found.names])
    return found, poses, trained.mean
