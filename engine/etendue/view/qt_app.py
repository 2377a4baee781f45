"""Starting the viewer: the application, a session, a renderer, a window."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from etendue.view import qt_theme
from etendue.view.model import Loading, Model
from etendue.view.present import Picture, Presenter
from etendue.view.qt_window import Bridge, Window
from etendue.view.session import Session
from etendue.view.worker import Event, Frame, Worker


def make_window(session: Session, keep: Path | None, loading: Loading) -> Window:
    """A window with its renderer and presenter, not yet shown."""
    bridge = Bridge()

    def show(picture: Picture) -> None:
        bridge.picture.emit(picture)

    presenter = Presenter(show)

    def tell(event: Event) -> None:
        if isinstance(event, Frame):
            presenter.present(event)
        else:
            bridge.heard.emit(event)

    worker = Worker(tell)
    model = Model(session, worker.send, keep, loading)
    window = Window(model, worker, presenter, bridge)
    model.begin()
    worker.start()
    return window


def application() -> QApplication:
    """The one application of this process, with the theme."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("etendue")
    qt_theme.apply(app)
    return app


def run(
    session: Session,
    keep: Path | None,
    loading: Loading,
    begin: Callable[[Window], None] | None = None,
) -> int:
    """Show a window until it is closed; `begin` is called with it first."""
    app = application()
    window = make_window(session, keep, loading)
    window.show()
    window.canvas.setFocus()
    signal.signal(signal.SIGINT, lambda *_: window.close())
    waking = QTimer()  # lets Python see Ctrl-C
    waking.timeout.connect(lambda: None)
    waking.start(200)
    if begin is not None:
        begin(window)
    return app.exec()


def has_display() -> bool:
    """Whether there is a screen, or a platform that needs none was chosen."""
    if os.environ.get("QT_QPA_PLATFORM", "") not in ("", "xcb", "wayland"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
