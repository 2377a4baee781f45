"""The grammar of Biovision hierarchy files: bones with offsets and channels, then rows of numbers.

The number of poses is that of the rows and not what the file declares: files with one more or one
fewer than they say are common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from etendue.core.errors import InputError

MAX_BYTES = 1 << 28
MAX_BONES = 1000
LARGEST = 1e9  # of all numbers


@dataclass(frozen=True)
class Bone:
    """One bone as it stands in the file."""

    name: str
    parent: int  # -1 for the root
    offset: tuple[float, float, float]  # from the parent's head
    channels: tuple[str, ...]  # such as Xposition or Zrotation
    ends: list[tuple[float, float, float]] = field(default_factory=list)  # end sites


@dataclass(frozen=True)
class BvhFile:
    """Everything that a file says."""

    bones: tuple[Bone, ...]  # parents before children
    frame_time: float  # s
    rows: np.ndarray  # (frames, channels of all bones)


def read_bvh(path: Path) -> BvhFile:
    """Parse a file; `InputError` says what is wrong with it."""
    text = _text(path)
    head, found, body = text.partition("MOTION")
    if not found:
        raise InputError(path, "is no complete BVH file", expected="HIERARCHY and MOTION")
    bones = _bones(path, head)
    lines = [line.split() for line in body.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0][:1] != ["Frames:"] or lines[1][:2] != ["Frame", "Time:"]:
        raise InputError(path, "has no rows", expected="Frames: and Frame Time: after MOTION")
    frame_time = _number(path, lines[1][2] if len(lines[1]) > 2 else "")
    if not frame_time > 0:
        raise InputError(path, "has an unusable frame time", got=frame_time, expected="> 0 s")
    width = sum(len(bone.channels) for bone in bones)
    for number, line in enumerate(lines[2:]):
        if len(line) != width:
            raise InputError(
                path, f"pose {number} is not complete", got=f"{len(line)} numbers", expected=width
            )
    try:
        rows = np.array(lines[2:], np.float64).reshape(-1, width)
    except ValueError as error:
        raise InputError(path, f"has something else among its numbers ({error})") from None
    if not (np.abs(rows) < LARGEST).all():
        raise InputError(path, "has something else among its numbers", got="one too large")
    return BvhFile(bones, frame_time, rows)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, "is too large for a motion", expected=f"<= {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", fix="Check the path") from None
    except UnicodeDecodeError:
        raise InputError(path, "is no text") from None


def _bones(path: Path, text: str) -> tuple[Bone, ...]:
    """Bones of the hierarchy, in the order of their channels."""
    tokens = iter(text.split())
    if next(tokens, None) != "HIERARCHY":
        raise InputError(path, "is no BVH file", expected="HIERARCHY at its start")
    bones: list[Bone] = []
    open_bones: list[int] = []  # the last one is an end site when it is -2
    for token in tokens:
        if token == "}" and open_bones:
            open_bones.pop()
        elif token in ("ROOT", "JOINT") and (token == "ROOT") == (not bones):
            parent = open_bones[-1] if open_bones else -1
            if (parent < 0 and bones) or len(bones) >= MAX_BONES:
                raise InputError(path, "has a bone that cannot be there", expected="one tree")
            name = next(tokens, "")
            offset, channels = _block(path, tokens, name)
            open_bones.append(len(bones))
            bones.append(Bone(name, parent, offset, channels))
        elif token == "End" and open_bones and open_bones[-1] >= 0:
            next(tokens, None)
            _expect(path, tokens, "{", "OFFSET")
            bones[open_bones[-1]].ends.append(_offset(path, tokens))
            open_bones.append(-2)
        else:
            raise InputError(path, "has something that is no bone", got=token)
    if open_bones or not bones:
        raise InputError(path, "has a hierarchy that does not end", got=f"{len(bones)} bones")
    return tuple(bones)


def _block(
    path: Path, tokens: Iterator[str], name: str
) -> tuple[tuple[float, float, float], tuple[str, ...]]:
    """What opens a bone: { OFFSET x y z CHANNELS n names."""
    _expect(path, tokens, "{", "OFFSET")
    offset = _offset(path, tokens)
    _expect(path, tokens, "CHANNELS")
    count = next(tokens, "")
    channels = [next(tokens, "") for _ in range(int(count))] if count in "0 3 6".split() else [""]
    known = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
    turns = [channel for channel in channels if channel.endswith("rotation")]
    if not known.issuperset(channels) or len(set(channels)) < len(channels) or len(turns) % 3:
        got = " ".join([count, *channels])
        raise InputError(path, f"channels of {name} cannot be used", got=got)
    return offset, tuple(channels)


def _expect(path: Path, tokens: Iterator[str], *words: str) -> None:
    for word in words:
        token = next(tokens, "the end")
        if token != word:
            raise InputError(path, "has a bone that cannot be read", got=token, expected=word)


def _offset(path: Path, tokens: Iterator[str]) -> tuple[float, float, float]:
    x, y, z = (_number(path, next(tokens, "")) for _ in range(3))
    return x, y, z


def _number(path: Path, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not abs(value) < LARGEST:
        raise InputError(path, "has something else for a number", got=text or "the end")
    return value
