"""The viewer without its windows: one session, its history, and the renderer that follows it.

Everything that a person does becomes a new `Session`; what differs from the one before is told to
the renderer. Undoing therefore needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from etendue.scene.camera import Camera
from etendue.view.pace import even
from etendue.view.protocol import Message
from etendue.view.session import History, Session, save


@dataclass(frozen=True)
class Loading:
    """How scene files are read, beside what the session says."""

    parameters: Mapping[str, str]
    search: tuple[Path, ...] = ()
    edits: Mapping[str, str] | None = None


class Model:
    """Changes the session, and tells the renderer through `send`."""

    def __init__(
        self,
        session: Session,
        send: Callable[[Message], None],
        keep: Path | None = None,
        loading: Loading | None = None,
    ) -> None:
        self.history, self.send, self.keep = History(session), send, keep
        self.loading = loading or Loading({})
        self.size = (640, 360)
        self.moving = False
        self.listeners: list[Callable[[Session], None]] = []
        self.file_camera: Camera | None = None
        self.shapes: tuple[str, ...] = ()
        self.baked: dict[str, Path] = {}

    @property
    def session(self) -> Session:
        """The present."""
        return self.history.session

    def begin(self) -> None:
        """Tell the renderer everything."""
        self._send_spp()
        self._send_layer()
        self._send_look()
        self._send_scene()

    def change(self, session: Session, what: str, key: str | None = None) -> None:
        """Make `session` the present; `what` names the change in menus."""
        before = self.session
        self.history.record(session, what, key)
        self._tell(before)

    def edit(self, what: str, key: str | None = None, **fields: Any) -> None:
        """`change` of some fields."""
        self.change(replace(self.session, **fields), what, key)

    def undo(self) -> str | None:
        """Go back a step; its name."""
        return self._walk(self.history.undo)

    def redo(self) -> str | None:
        """Go forward a step; its name."""
        return self._walk(self.history.redo)

    def _walk(self, step: Callable[[], str | None]) -> str | None:
        before = self.session
        what = step()
        self._tell(before)
        return what

    def move(self, camera: Camera, *, moving: bool = False) -> None:
        """Another camera; while `moving`, pictures are small, and it all is one step to undo."""
        self.moving = moving
        if camera == self.session.camera:
            self._send_look()
        self.edit("camera", "camera", camera=camera)
        if not moving:
            self.history.seal()

    def rest(self) -> None:
        """The camera has come to rest."""
        if self.moving:
            self.moving = False
            self.history.seal()
            self._send_look()

    def camera(self) -> Camera | None:
        """The session's, else the file's."""
        return self.session.camera or self.file_camera

    def resize(self, size: tuple[int, int]) -> None:
        """Pictures of another size from now on."""
        size = even(size)
        if size != self.size:
            self.size = size
            self._send_look()

    def save(self) -> None:
        """Keep the session on disk."""
        if self.keep is not None:
            save(self.session, self.keep)

    def close(self) -> None:
        """The user ends: nothing is to be rescued next time."""
        self.history.session = replace(self.session, clean=True)
        self.save()

    def _tell(self, before: Session) -> None:
        now = self.session
        if before == now:
            return
        if now.scene != before.scene:
            self.file_camera, self.shapes = None, ()
        if now.spp != before.spp:
            self._send_spp()
        if now.camera != before.camera:
            self._send_look()
        if now.layer != before.layer:
            self._send_layer()
        scene = ("scene", "materials", "kernel", "compare")
        if now.compare:
            scene = (*scene, "references")
        if any(getattr(now, name) != getattr(before, name) for name in scene):
            self._send_scene()
        for listener in self.listeners:
            listener(now)

    def _send_spp(self) -> None:
        self.send({"do": "spp", "spp": self.session.spp})

    def _send_layer(self) -> None:
        self.send({"do": "show", "layer": self.session.layer})

    def _send_look(self) -> None:
        camera = self.session.camera
        self.send(
            {
                "do": "look",
                "width": self.size[0],
                "height": self.size[1],
                "camera": None if camera is None else camera_message(camera),
                "moving": self.moving,
            }
        )

    def _send_scene(self) -> None:
        now = self.session
        if now.scene is None:
            return
        self.send(
            {
                "do": "scene",
                "scene": str(now.scene),
                "parameters": dict(self.loading.parameters),
                "search": [str(folder) for folder in self.loading.search],
                "edits": dict(self.loading.edits or {}),
                "materials": _texts(now.materials),
                "references": _texts(now.references) if now.compare else {},
                "kernel": now.kernel,
            }
        )


def camera_message(camera: Camera) -> Message:
    """What `session.camera_of` reads."""
    keys = ("origin", "target", "up", "fov_deg", "near", "far", "aspect")
    return {key: getattr(camera, key) for key in keys}


def _texts(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(file) for name, file in files.items()}
