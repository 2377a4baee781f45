"""`etendue render` of several frames: which there are, what they are called, which are done."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from etendue.commands._render_run import Manner, render_to
from etendue.core.errors import InputError
from etendue.core.image import read_metadata
from etendue.render.job import Options, picture_identity, prepare
from etendue.scene.camera_path import CameraPath, load_path, turned
from etendue.scene.edit import camera_edits, numbers
from etendue.scene.scene import Scene

MAX_TURN = 100_000
_RANGE = re.compile(r"(-?\d+):(-?\d+)")
_HASHES = re.compile(r"#+")
Move = Callable[[int], dict[str, str]]  # frame -> edits of the camera


@dataclass(frozen=True)
class Wish:
    """The options that ask for frames."""

    frames: str | None = None
    camera_path: Path | None = None
    turntable: int | None = None

    def __bool__(self) -> bool:
        return (self.frames, self.camera_path, self.turntable) != (None, None, None)


def frame_range(text: str) -> range:
    """`A:B`, both included."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not 0 <= int(match[2]) - int(match[1]) <= 10**6:
        raise InputError("--frames", "cannot be read", got=repr(text), expected="FIRST:LAST")
    return range(int(match[1]), int(match[2]) + 1)


def frame_path(output: Path, frame: int) -> Path:
    """`out.exr` as `out.0007.exr`, `out-###.exr` as `out-007.exr`."""
    if _HASHES.search(output.name):
        name = _HASHES.sub(lambda m: f"{frame:0{len(m[0])}d}", output.name)
        return output.with_name(name)
    return output.with_name(f"{output.stem}.{frame:04d}{output.suffix}")


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
        if not 1 <= wish.turntable <= MAX_TURN:
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


def render_frames(
    scene: Scene, output: Path, options: Options, manner: Manner, wish: Wish
) -> tuple[dict[str, Any], bool]:
    """Render frame after frame; with `resume` those that are there already are left alone.

    Ctrl-C drops the frame that it falls into, or leaves its checkpoint.
    """
    frames, move = plan(scene, options, wish)
    rows: list[Mapping[str, Any]] = []
    skipped = 0
    for frame in frames:
        here = replace(scene, edits={**scene.edits, **move(frame)}, following=move(frame + 1))
        path = frame_path(output, frame)
        key = picture_identity(here, options)
        if options.resume and is_done(path, key):
            skipped += 1
            continue
        label = f"frame {frame} of {frames[0]}..{frames[-1]}"
        own = replace(manner, label=label, keep_partial=False, identity=key)
        figures, interrupted = render_to(here, path, options, own)
        if interrupted:
            return {"frames": rows, "skipped": skipped, "interrupted_at": frame}, True
        rows.append({"frame": frame, **figures})
        manner = replace(manner, late=0.0)
        if not manner.quiet:
            print(f"{path}: {figures['spp']} spp in {figures['render_s']:.1f} s", file=sys.stderr)
    return {"frames": rows, "skipped": skipped}, False
