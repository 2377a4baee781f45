"""The menus of the main window, and every shortcut as the help shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import QMenu

from etendue.view.qt_look import LAYER_NAMES
from etendue.view.session import History, Session

if TYPE_CHECKING:
    from etendue.view.qt_window import Window

THIRD = 1 / 3


@dataclass
class Menus:
    """What changes in the menus."""

    recent: QMenu
    open: Callable[[Path], None]
    actions: dict[str, QAction] = field(default_factory=dict)
    shortcuts: list[tuple[str, str]] = field(default_factory=list)

    def follow(self, history: History, session: Session) -> None:
        """Name what can be undone, list the recent files."""
        for verb, stack in (("Undo", history.past), ("Redo", history.future)):
            action = self.actions[verb]
            action.setEnabled(bool(stack))
            action.setText(f"&{verb} {stack[-1][1]}" if stack else f"&{verb}")
        self.recent.clear()
        for path in session.recent:
            action = QAction(str(path), self.recent)
            action.triggered.connect(lambda _, path=path: self.open(path))
            self.recent.addAction(action)
        self.recent.setEnabled(bool(session.recent))


def add_menus(window: Window) -> Menus:
    """Fill the menu bar of `window`."""
    bar = window.menuBar()
    assert bar is not None
    file, edit, view, tell = (_menu(bar, name) for name in ("&File", "&Edit", "&View", "&Help"))
    menus = Menus(QMenu("Open &recent", window), window.open)

    def add(menu: QMenu, text: str, keys: str, run: Callable[[], Any]) -> None:
        action = QAction(text, window)
        action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda: window.guarded(run))
        menu.addAction(action)
        name = text.replace("&", "")
        menus.actions[name] = action
        menus.shortcuts.append((keys, name))

    add(file, "&Open…", "Ctrl+O", window.ask_open)
    file.addMenu(menus.recent)
    add(file, "&Export picture…", "Ctrl+E", window.ask_export)
    add(file, "&Screenshot of the window…", "F12", window.ask_screenshot)
    file.addSeparator()
    add(file, "&Quit", "Ctrl+Q", window.close)
    add(edit, "&Undo", "Ctrl+Z", lambda: window.walk("undo"))
    add(edit, "&Redo", "Ctrl+Shift+Z", lambda: window.walk("redo"))
    add(view, "&Home: the scene's camera", "Home", window.home)
    add(view, "&Frame the selected shape", "Ctrl+F", window.frame_selected)
    add(view, "&Darker", "[", lambda: window.expose(-THIRD))
    add(view, "&Brighter", "]", lambda: window.expose(THIRD))
    add(view, "&Compare with the reference", "Ctrl+R", window.toggle_compare)
    add(view, "&Restart the renderer", "Ctrl+Shift+R", window.worker.restart)
    layers = _menu(view, "&Layers")
    for number, (name, text) in enumerate(LAYER_NAMES.items(), 1):
        add(layers, text, str(number), lambda name=name: window.layer(name))
    panels = _menu(view, "&Panels")
    for dock in window.docks.values():
        panels.addAction(dock.toggleViewAction())
    add(tell, "&Keys and mouse", "F1", window.show_help)
    return menus


def _menu(parent: Any, title: str) -> QMenu:
    menu = parent.addMenu(title)
    assert menu is not None
    return menu
