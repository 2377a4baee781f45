"""Sets of radar tensors and poses in the folders of RT-Pose (Ho et al. 2024).

    Train.json, Test.json          {sequence: {frame: [{"Radar_frameID": .., "pose": [15][3]}]}}
    grid.json                      minimum, voxel, shape (speeds, z, y, x); of our own sets only
    sequences/ID/radar/npy_DZYX_f16/000000.npy       float16: dB above noise
    sequences/ID/radar/npy_DZYX_complex/000000.npy   complex64: amplitudes

Where a frame has both files, the first is read. What a network sees is bels, clipped at 0:
f16 / 10, or 2 log10(|x| / floor), whose floor is the median of |x| over the tensor without the
voxels that the radar did not see (exactly 0, or 1 in the published files). For thermal noise that
median is 1.6 dB below the root mean square.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from etendue.core.errors import InputError
from etendue.plugins.radar_pose.grids import RT_POSE, Grid

JOINTS = 15
DAMAGED = frozenset({44, 68, 107, 155})  # sequences of the published set
PUBLISHED_SPEEDS = (64, 32)  # as measured; halved, as the networks' files seem to be
KINDS = {"npy_DZYX_f16": np.dtype(np.float16), "npy_DZYX_complex": np.dtype(np.complex64)}
Part = Literal["Train", "Test"]


@dataclass(frozen=True)
class PoseSet:
    """Frames of one part of a set; tensors are read when asked for."""

    names: tuple[tuple[str, str], ...]  # (sequence, frame)
    poses: np.ndarray  # float32 (n, 15, 3), m, as x, y, z
    grid: Grid
    speeds: int  # bins of what `tensor` returns
    files: tuple[Path, ...]
    stored: int  # speeds in the files

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequence of every frame, (n,)."""
        return tuple(sequence for sequence, _ in self.names)

    def tensor(self, k: int) -> np.ndarray:
        """Frame k as float32 (speeds, Z, Y, X) in bels above noise, at least 0."""
        path = self.files[k]
        values = np.array(_opened(path, (self.stored, *self.grid.shape)))
        if not np.isfinite(values).all():
            raise InputError(path, "has values that are not finite",
                             got=int((~np.isfinite(values)).sum()), expected=0)  # fmt: skip
        return fold(bels(values), self.speeds)


def load_set(folder: Path | str, part: Part, speeds: int | Literal["zyx"] | None = None) -> PoseSet:
    """The frames of `part` that are there, with `speeds` bins ("zyx": one; none: as stored).

    Without grid.json the files have the published grid and 64 or 32 speeds. Frames without a file
    or a person, and the damaged sequences of the published set, are left out and counted on stderr.
    Anything else that is wrong is an `InputError` about the file.
    """
    folder = Path(folder)
    source = folder / f"{part}.json"
    grid, stored = _grid(folder)
    published = not (folder / "grid.json").is_file()
    names, poses, files = [], [], []
    left: Counter[str] = Counter()
    for sequence, frame, people in _annotations(source):
        if published and sequence.isdecimal() and int(sequence) in DAMAGED:
            left["of damaged sequences"] += 1
        elif not people:
            left["without a person"] += 1
        elif (file := _file(folder, sequence, radar_name(people, frame, source))) is None:
            left["without a file"] += 1
        else:
            names.append((sequence, frame))
            poses.append(_pose(people, f"{source}: {sequence}/{frame}"))
            files.append(file)
    if left:
        said = ", ".join(f"{count} {why}" for why, count in sorted(left.items()))
        print(f"{source}: frames left out: {said}", file=sys.stderr)
    if not names:
        raise InputError(source, "has no frames", got=0, expected="at least one",
                         fix="Are the files of sequences/ in the same folder?")  # fmt: skip
    if published:
        stored = _published_speeds(files[0], grid)
    for file in files:
        _opened(file, (stored, *grid.shape))
    kept = _kept(speeds, stored)
    return PoseSet(tuple(names), np.stack(poses), grid, kept, tuple(files), stored)


def bels(values: np.ndarray) -> np.ndarray:
    """float32, at least 0, from float16 decibels above noise or complex amplitudes."""
    if not np.iscomplexobj(values):
        return np.maximum(values.astype(np.float32) / 10, 0)
    size = np.abs(values).astype(np.float32)
    seen = (values != 0) & (values != 1)
    if not seen.any():
        return np.zeros_like(size)
    floor = np.median(size[seen])
    ratio = np.where(seen, size, 0) / max(float(floor), np.finfo(np.float32).tiny)
    return (2 * np.log10(np.maximum(ratio, 1))).astype(np.float32)


def fold(tensor: np.ndarray, speeds: int) -> np.ndarray:
    """Fewer speeds (speeds, Z, Y, X): each the strongest of neighbouring bins; must divide."""
    if speeds == len(tensor):
        return tensor
    if speeds < 1 or len(tensor) % speeds:
        raise InputError("speeds", "does not divide the speeds of the tensor", got=speeds,
                         expected=f"a divisor of {len(tensor)}")  # fmt: skip
    return tensor.reshape(speeds, -1, *tensor.shape[1:]).max(1)


def radar_name(people: list[Any], frame: str, source: object) -> str:
    """The stem of a frame's file: its `Radar_frameID`, else the name of the frame."""
    first = people[0]
    name = first.get("Radar_frameID", frame) if isinstance(first, dict) else frame
    name = f"{name:06d}" if isinstance(name, int) else name
    if not isinstance(name, str) or not _plain(name):
        raise InputError(f"{source}: {frame}", "has a Radar_frameID that is no name", got=name)
    return name


def _kept(speeds: int | str | None, stored: int) -> int:
    if speeds is None:
        return stored
    kept = 1 if speeds == "zyx" else speeds
    if not isinstance(kept, int) or kept < 1 or stored % kept:
        raise InputError("speeds", "does not divide the speeds of the set", got=speeds,
                         expected=f'"zyx" or a divisor of {stored}')  # fmt: skip
    return kept


def _plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, "cannot be read as JSON", got=error) from None


def _grid(folder: Path) -> tuple[Grid, int]:
    """The voxels and how many speeds the files have."""
    path = folder / "grid.json"
    if not path.exists():
        return RT_POSE, PUBLISHED_SPEEDS[0]
    found = _json(path)
    try:
        speeds, *shape = (int(n) for n in found["shape"])
        z, y, x = shape
        low, side = ([float(v) for v in found[key]] for key in ("minimum", "voxel"))
        grid = Grid((low[0], low[1], low[2]), (side[0], side[1], side[2]), (z, y, x))
        right = len(low) == len(side) == 3 and speeds >= 1
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        right, grid, speeds = False, RT_POSE, 0
    if not right:
        raise InputError(path, "does not describe a grid",
                         expected="minimum and voxel of 3 numbers, shape of 4")  # fmt: skip
    return grid.check(path), speeds


def _annotations(path: Path) -> list[tuple[str, str, list[Any]]]:
    """(sequence, frame, people) in the order of the file."""
    found = _json(path)
    shape = "{sequence: {frame: [{Radar_frameID, pose}]}}"
    if not isinstance(found, dict):
        raise InputError(path, "is not a list of poses", got=type(found).__name__, expected=shape)
    rows = []
    for sequence, frames in found.items():
        if not isinstance(frames, dict) or not _plain(sequence):
            raise InputError(f"{path}: {sequence}", "is not a sequence", expected=shape)
        for frame, people in frames.items():
            if not isinstance(people, list) or not _plain(frame) or len(people) > 1:
                raise InputError(f"{path}: {sequence}/{frame}", "is not a frame of one person",
                                 expected=shape)  # fmt: skip
            rows.append((sequence, frame, people))
    return rows


def _pose(people: list[Any], subject: str) -> np.ndarray:
    try:
        pose = np.array(people[0]["pose"], dtype=np.float32)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(subject, "has no pose", expected=f"[{JOINTS}][3] numbers") from None
    if pose.shape != (JOINTS, 3):
        raise InputError(subject, "has a pose of the wrong shape", got=list(pose.shape),
                         expected=[JOINTS, 3])  # fmt: skip
    if not np.isfinite(pose).all():
        raise InputError(subject, "has a pose that is not finite")
    return pose


def _file(folder: Path, sequence: str, name: str) -> Path | None:
    for kind in KINDS:
        path = folder / "sequences" / sequence / "radar" / kind / f"{name}.npy"
        if path.is_file():
            return path
    return None


def _published_speeds(path: Path, grid: Grid) -> int:
    try:
        return len(_opened(path, (PUBLISHED_SPEEDS[1], *grid.shape)))
    except InputError:
        return PUBLISHED_SPEEDS[0]


def _opened(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The file's values, not read yet; `InputError` for what its header or size rule out."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header may raise nearly anything
        raise InputError(path, "cannot be read as .npy", got=error,
                         fix="Copy or make it again") from None  # fmt: skip
    if not isinstance(values, np.ndarray):
        values.close()
        raise InputError(path, "is not a single array")
    wanted = KINDS[path.parent.name]
    if values.dtype != wanted:
        raise InputError(path, "has values of the wrong type", got=values.dtype, expected=wanted)
    if values.shape != shape:
        raise InputError(path, "has the wrong shape", got=values.shape, expected=shape)
    return values
