"""`etendue view --web`: a page on loopback that path-traces with WebGPU, or shows our pictures.

The address holds a token, without which nothing is answered; the page may load from here alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import EtendueError, InputError
from etendue.render.live import Live
from etendue.scene.scene import Scene
from etendue.schedule import Scheduler, Task
from etendue.view.tonemap import Look, display
from etendue.view.web_scene import WebScene, wanted_camera, web_scene

PAGE = Path(__file__).with_name("page")
HOST = "127.0.0.1"
MOST = 1 << 16  # bytes of a request's body
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".wgsl": "text/plain",
         ".json": "application/json"}  # fmt: skip


class Frames:
    """Pictures of the engine, for browsers that cannot make their own."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.shown: Any = None

    def next(self, wish: dict[str, Any]) -> tuple[bytes, int]:
        """Another sample per pixel of the picture that is wished for: RGBA bytes, and samples."""
        camera, size = wanted_camera(self.live, wish)
        look = Look(float(wish.get("stops", 0.0)), str(wish.get("curve", "ACES")))
        if self.shown != (camera, size):
            self.live.look(camera, size)
            self.shown = (camera, size)
        while not self.live.step(1 << 18):
            pass
        rgb = display(self.live.rgb(), look)
        return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]).tobytes(), self.live.spp


class Server(ThreadingHTTPServer):
    """Answers on loopback; frames are rendered by a device of the scheduler, one at a time."""

    daemon_threads = True

    def __init__(self, port: int, scene: WebScene, frames: Frames, scheduler: Scheduler) -> None:
        super().__init__((HOST, port), Handler)
        self.scene, self.frames, self.scheduler = scene, frames, scheduler
        self.token = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def frame(self, wish: dict[str, Any]) -> tuple[bytes, int]:
        """See `Frames.next`."""
        task = Task("web frame", lambda: self.frames.next(wish))
        return self.scheduler.submit(task)[0].result()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, the description, buffers and kernels."""
        path = self._inside()
        if path is None:
            return
        scene = self.server.scene
        kind, _, name = path.partition("/")
        if path == "scene.json":
            self._send(json.dumps(scene.description).encode(), ".json")
        elif kind == "buffers" and name in scene.contents:
            self._send(scene.contents[name], "")
        elif kind == "balls" and name.isdecimal() and int(name) < len(scene.balls):
            self._send(scene.balls[int(name)].content, "")
        elif kind == "kernel" and name.endswith(".wgsl"):
            code = scene.kernel(name.removesuffix(".wgsl"))
            self._no("no such kernel") if code is None else self._send(code.encode(), ".wgsl")
        elif (file := PAGE / (path or "index.html")) in PAGE.iterdir():
            self._send(file.read_bytes(), file.suffix)
        else:
            self._no("no such file")

    def do_POST(self) -> None:
        """A streamed frame."""
        path = self._inside()
        if path is None:
            return
        length = self.headers.get("Content-Length") or ""
        size = int(length) if length.isdecimal() else 0
        if path != "frame" or not 0 < size <= MOST:
            self.close_connection = True
            self._no("no such request")
            return
        try:
            wish = json.loads(self.rfile.read(size))
            if not isinstance(wish, dict):
                raise InputError("frame", "is no wish for a picture", got=type(wish).__name__)
            picture, samples = self.server.frame(wish)
        except (EtendueError, ValueError, TypeError) as error:
            self._no(str(error), HTTPStatus.BAD_REQUEST)
            return
        self._send(picture, "", {"X-Samples": str(samples)})

    def _inside(self) -> str | None:
        """The path behind the token, or None once the request has been refused.

        A foreign name in `Host` is a page elsewhere that had its own name point here.
        """
        host = (self.headers.get("Host") or "").partition(":")[0]
        path = self.path.partition("?")[0]
        token, _, rest = path.removeprefix("/").partition("/")
        if host in (HOST, "localhost") and secrets.compare_digest(
            token.encode(), self.server.token.encode()
        ):
            return rest
        self.close_connection = True
        self._no("the address is not complete: it holds a token", HTTPStatus.FORBIDDEN)
        return None

    def _no(self, text: str, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> None:
        self._send(text.encode(), ".wgsl", status=status)

    def _send(
        self,
        body: bytes,
        suffix: str,
        more: dict[str, str] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        kind = TYPES.get(suffix, "application/octet-stream")
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if "text" in kind else kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in {**HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def serve(scene: Scene, name: str, *, port: int, spp: int, ready: Callable[[Server], None]) -> None:
    """Answer until interrupted; `ready` gets the server once it listens.

    Raises `InputError` for a scene that shaders cannot show, or a port that is taken.
    """
    with Scheduler() as scheduler:
        task = Task("build scene", lambda: Live(scene, kernel="coherent"))
        live = scheduler.submit(task)[0].result()
        made = web_scene(live, name, spp)
        try:
            server = Server(port, made, Frames(live), scheduler)
        except OSError as error:
            raise InputError("--port", "cannot be opened", got=f"{port} ({error})") from error
        with server:
            ready(server)
            server.serve_forever()
