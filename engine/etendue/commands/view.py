"""`etendue view`."""

from __future__ import annotations

import importlib.util
import os
import webbrowser
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.commands import _render_options as options
from etendue.core.errors import DeviceError, InputError

if TYPE_CHECKING:
    from etendue.view.session import Session

WEB_SPP = 1024
EXAMPLES = (
    "etendue view scene.xml",
    "etendue view scene.xml --material Ball=varnish.eta",
    "etendue view model.glb --spp 64",
    "etendue view                       # the last session, as it was",
    "etendue view scene.xml --web       # in a browser, with WebGPU",
)
Scene = Annotated[
    Path | None, typer.Argument(help="A Mitsuba .xml or a glTF 2.0 file (else the last session).")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do not restore a session that crashed.")]
Web = Annotated[bool, typer.Option("--web", help="Show it in a browser (WebGPU, else frames).")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Of --web; 0 chooses a free one.")]


def run(
    scene: Scene = None,
    material: options.Material = None,
    spp: options.Spp = None,
    define: options.Define = None,
    set_: options.Set = None,
    search: options.Search = None,
    fresh: Fresh = False,
    web: Web = False,
    port: Port = 0,
) -> int:
    """Look at a scene while it renders: orbit, change materials, compare, bake.

    Needs the extra `viewer` (PyQt6) and a display. The session is kept: a crash loses nothing.
    With --web a page on this machine traces the paths itself (extra `web`); Ctrl-C ends it.
    """
    options.check_numbers(spp, 0, None)
    options.check_choices("auto", "auto", "auto", search or [])
    loading = options.loading(define or [], set_ or [], search or [], material or [])
    if web:
        return _web(scene, loading, port, spp)
    if port:
        raise InputError("--port", "goes together with --web only")
    _check_window()
    session = _session(scene, fresh)
    materials = {name: file.resolve() for name, file in loading["assignments"].items()}
    session = replace(
        session, materials={**session.materials, **materials}, spp=spp or session.spp, clean=False
    )
    from etendue.view.model import Loading
    from etendue.view.qt_app import run as show
    from etendue.view.session import session_file

    return show(
        session,
        session_file(),
        Loading(loading["parameters"], loading["search"], loading["edits"]),
    )


def _web(scene: Path | None, loading: dict[str, Any], port: int, spp: int | None) -> int:
    """Serve the page until Ctrl-C."""
    if scene is None:
        raise InputError("SCENE", "is missing", fix="Name a scene: etendue view scene.xml --web")
    if importlib.util.find_spec("slangpy") is None:
        raise DeviceError(
            "etendue view --web", "needs slangpy, which is not installed",
            fix='Run: pip install "etendue[web]"',
        )  # fmt: skip
    from etendue.scene.scene import load_scene
    from etendue.view.web import Server, serve

    def ready(server: Server) -> None:
        typer.echo(f"{server.address}  (Ctrl-C ends)")
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(server.address)

    described = load_scene(scene, **loading)
    with suppress(KeyboardInterrupt):
        serve(described, scene.name, port=port, spp=spp or WEB_SPP, ready=ready)
    return 0


def _check_window() -> None:
    """PyQt6, its system libraries and a display are there, or a clear error says what to do."""
    if importlib.util.find_spec("PyQt6") is None:
        raise DeviceError(
            "etendue view", "needs PyQt6, which is not installed",
            fix='Run: pip install "etendue[viewer]"',
        )  # fmt: skip
    try:
        from etendue.view.qt_app import has_display
    except ImportError as error:
        raise DeviceError(
            "PyQt6", f"cannot be loaded ({' '.join(str(error).split())})",
            fix="On Debian or Ubuntu: apt-get install libgl1 libegl1 libxkbcommon0 libdbus-1-3 "
            "libfontconfig1 libxcb-cursor0",
        ) from error  # fmt: skip
    if not has_display():
        raise DeviceError(
            "etendue view", "finds no display (DISPLAY and WAYLAND_DISPLAY are not set)",
            fix="Run it on a desktop or through `xvfb-run`, or use `etendue render`",
        )  # fmt: skip


def _session(scene: Path | None, fresh: bool) -> Session:
    """The last session if it is wanted or was not closed; else a new one with its recent files."""
    from etendue.view.session import Session, load, session_file

    try:
        last = Session() if not session_file().exists() else load(session_file())
    except InputError as error:
        typer.echo(f"note: {error}", err=True)
        last = Session()
    if scene is None:
        if last.scene is None:
            raise InputError("SCENE", "is missing, and there is no last session to go on with")
        scene, fresh = last.scene, False
        crashed = True
    else:
        crashed = not last.clean and last.scene == scene.resolve()
    if not os.path.isfile(scene):
        raise InputError(scene, "no such file", fix="Check the path")
    if crashed and not fresh:
        if not last.clean:
            typer.echo("note: the last session was cut short; it goes on where it was", err=True)
        return last
    return Session(recent=last.recent, look=last.look, bakes=last.bakes).opened(scene.resolve())
