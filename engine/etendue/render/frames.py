"""Pictures of a moving camera: which frames there are, what they are called, which are done."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from etendue.core.errors import InputError
from etendue.core.image import read_metadata
from etendue.render.job import Options, picture_identity, prepare
from etendue.scene.camera_path import CameraPath, load_path, turned
from etendue.scene.edit import camera_edits, numbers
from etendue.scene.scene import Scene

MAX_FRAMES = 10**6
_RANGE = re.compile(r"(-?\d+):(-?\d+)")
_HASHES = re.compile(r"#+")
Move = Callable[[int], dict[str, str]]  # frame -> edits of the camera


@dataclass(frozen=True)
class Wish:
    """What moves: a camera path, or a turn around the target in a number of frames."""

    frames: str | None = None  # FIRST:LAST, else all
    camera_path: Path | None = None
    turntable: int | None = None

    def __bool__(self) -> bool:
        return (self.frames, self.camera_path, self.turntable) != (None, None, None)


@dataclass(frozen=True)
class Shot:
    """One frame: its scene, where its picture goes, and what identifies it."""

    number: int
    scene: Scene
    path: Path
    identity: str
    done: bool  # its picture is there already


def frame_range(text: str) -> range:
    """`A:B`, both included."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not 0 <= int(match[2]) - int(match[1]) <= MAX_FRAMES:
        raise InputError("--frames", "cannot be read", got=repr(text), expected="FIRST:LAST")
    return range(int(match[1]), int(match[2]) + 1)


def frame_path(output: Path, frame: int) -> Path:
    """`out.exr` as `out.0007.exr`, `out-###.exr` as `out-007.exr`."""
    if _HASHES.search(output.name):
        name = _HASHES.sub(lambda m: f"{frame:0{len(m[0])}d}", output.name)
        return output.with_name(name)
    return output.with_name(f"{output.stem}.{frame:04d}{output.suffix}")


def shots(scene: Scene, output: Path, options: Options, wish: Wish) -> Iterator[Shot]:
    """The frames of `wish` in order; with `options.resume` those that are there are done."""
    frames, move = plan(scene, options, wish)
    for frame in frames:
        here = replace(scene, edits={**scene.edits, **move(frame)}, following=move(frame + 1))
        path, key = frame_path(output, frame), picture_identity(here, options)
        yield Shot(frame, here, path, key, options.resume and is_done(path, key))


def plan(scene: Scene, options: Options, wish: Wish) -> tuple[range, Move]:
    """The frames, and where the camera is in each."""
    if wish.camera_path is not None and wish.turntable is not None:
        raise InputError("--turntable", "does not go together with --camera-path")
    asked = frame_range(wish.frames) if wish.frames is not None else None
    if wish.camera_path is not None:
        path = load_path(wish.camera_path)
        first, last = path.span
        return asked or range(first, last + 1), _along(path)
    if wish.turntable is not None:
        if not 1 <= wish.turntable <= MAX_FRAMES:
            raise InputError("--turntable", "is out of range", got=wish.turntable, expected="1..")
        return asked or range(1, wish.turntable + 1), _turn(scene, options, wish.turntable)
    raise InputError("--frames", "nothing moves", fix="Give --camera-path FILE or --turntable N")


def _along(path: CameraPath) -> Move:
    return lambda frame: camera_edits(path.at(frame))


def _turn(scene: Scene, options: Options, count: int) -> Move:
    """Once around the target in `count` frames, starting where the scene's camera is."""
    from etendue.render.build import build
    from etendue.render.build_edits import camera_pose

    variant, _ = prepare(options, lambda text: None)
    built = build(scene, size=options.size, camera=options.camera, variant=variant)
    origin, target, _ = camera_pose(built.mi_scene)
    if "camera.target" in scene.edits:
        target = numbers("--set camera.target", scene.edits["camera.target"], (3,))

    def move(frame: int) -> dict[str, str]:
        eye = turned(tuple(origin), tuple(target), 2 * math.pi * (frame - 1) / count)
        return camera_edits({"origin": eye, "target": tuple(target)})

    return move


def is_done(path: Path, identity: str) -> bool:
    """Whether a frame need not be rendered again; what a .png shows is taken on trust."""
    if not path.is_file():
        return False
    if path.suffix.lower() != ".exr":
        return True
    found = read_metadata(path)
    return found.get("identity") == identity and found.get("complete", 1) == 1
