"""What the viewer knows: the scene, the camera, the look, materials; undo, and keeping it on disk.

A `Session` is immutable; whoever changes something makes a new one. It is written as JSON after
each change, so a crash of the viewer loses nothing; `clean` says whether it was closed by the user.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.scene.camera import Camera
from etendue.view.tonemap import Look

VERSION = 1
MAX_RECENT = 12
MAX_UNDO = 200
KERNELS = ("coherent", "divergent", "virtual")


@dataclass(frozen=True)
class Session:
    """Everything that is restored when the viewer starts again."""

    scene: Path | None = None
    camera: Camera | None = None  # None = the file's
    look: Look = field(default_factory=Look)
    materials: Mapping[str, Path] = field(default_factory=dict)  # shape -> .eta or .mtlx
    references: Mapping[str, Path] = field(default_factory=dict)  # shape -> .mtlx to compare with
    layer: str = "rgb"
    compare: bool = False
    kernel: str = "coherent"
    spp: int = 256
    recent: tuple[Path, ...] = ()
    bakes: tuple[Path, ...] = ()  # outputs of bakes that were started here
    clean: bool = True

    def opened(self, scene: Path) -> Session:
        """Another scene: camera and materials are its own, and it is the most recent file."""
        recent = (scene, *(path for path in self.recent if path != scene))[:MAX_RECENT]
        return replace(
            self, scene=scene, camera=None, materials={}, references={}, layer="rgb",
            compare=False, recent=recent, clean=False,
        )  # fmt: skip

    def assigned(self, shape: str, material: Path | None) -> Session:
        """A shape with another material, None for the file's own."""
        kept = {name: file for name, file in self.materials.items() if name != shape}
        return replace(self, materials=kept if material is None else {**kept, shape: material})


class History:
    """Sessions to go back to and forward to; states that follow closely may be merged by key."""

    def __init__(self, session: Session) -> None:
        self.past: list[tuple[Session, str]] = []
        self.future: list[tuple[Session, str]] = []
        self.session = session
        self._key: str | None = None

    def record(self, session: Session, what: str, key: str | None = None) -> None:
        """Make `session` the present; equal `key`s in a row are one step to undo."""
        if session == self.session:
            return
        if key is None or key != self._key:
            self.past = [*self.past, (self.session, what)][-MAX_UNDO:]
        self.future, self._key = [], key
        self.session = session

    def seal(self) -> None:
        """The next change is a step of its own, whatever its key."""
        self._key = None

    def undo(self) -> str | None:
        """Go back; what was undone, None when there is nothing."""
        return self._move(self.past, self.future)

    def redo(self) -> str | None:
        """Go forward; what was done again."""
        return self._move(self.future, self.past)

    def _move(
        self, source: list[tuple[Session, str]], target: list[tuple[Session, str]]
    ) -> str | None:
        if not source:
            return None
        before, what = source.pop()
        target.append((self.session, what))
        now = self.session  # files used and bakes started are facts, not edits
        self.session = replace(before, recent=now.recent, bakes=now.bakes, clean=now.clean)
        self._key = None
        return what


def state_folder() -> Path:
    """Where sessions lie: $XDG_STATE_HOME/etendue, by default ~/.local/state/etendue."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "etendue"


def session_file() -> Path:
    """The file of the last session."""
    return state_folder() / "viewer.json"


def save(session: Session, path: Path) -> None:
    """Write `session` through a temporary file."""
    table = {**asdict(session), "version": VERSION}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(table, default=str, indent=1), encoding="utf-8")


def load(path: Path) -> Session:
    """Read a session; `InputError` for anything but a file that `save` wrote."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["version"] != VERSION:
            raise InputError(path, "is of another version", got=table["version"], expected=VERSION)
        return _session(table)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, "is no session of the viewer", fix="Delete it") from error


def _session(table: Mapping[str, Any]) -> Session:
    kernel, spp = table["kernel"], table["spp"]
    if kernel not in KERNELS or type(spp) is not int or spp < 1:
        raise ValueError("kernel or spp")
    return Session(
        scene=None if table["scene"] is None else Path(table["scene"]),
        camera=None if table["camera"] is None else camera_of(table["camera"]),
        look=Look(float(table["look"]["exposure"]), str(table["look"]["curve"])),
        materials={str(k): Path(v) for k, v in table["materials"].items()},
        references={str(k): Path(v) for k, v in table["references"].items()},
        layer=str(table["layer"]),
        compare=table["compare"] is True,
        kernel=kernel,
        spp=spp,
        recent=tuple(map(Path, table["recent"]))[:MAX_RECENT],
        bakes=tuple(map(Path, table["bakes"])),
        clean=table["clean"] is True,
    )


def camera_of(table: Mapping[str, Any]) -> Camera:
    """A camera from JSON; `ValueError` unless it is finite and looks somewhere."""
    origin, target, up = (_vector(table[name]) for name in ("origin", "target", "up"))
    fov = float(table["fov_deg"])
    if not 0.0 < fov < 180.0 or origin == target or not any(up):
        raise ValueError("camera")
    near, far = float(table.get("near", 1e-2)), float(table.get("far", 1e4))
    if not 0.0 < near < far < math.inf:
        raise ValueError("clip planes")
    aspect = table.get("aspect")
    if aspect is not None and not 0.0 < float(aspect) < math.inf:
        raise ValueError("aspect")
    return Camera(origin, target, up, fov, near, far, None if aspect is None else float(aspect))


def _vector(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError("not finite")
    return x, y, z
