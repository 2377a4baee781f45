"""The panels that work beside the renderer: decoder, bakes, plugins, timeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QScrollArea, QWidget

from etendue.view.qt_bake import BakePanel
from etendue.view.qt_decoder import DecoderPanel
from etendue.view.qt_plugins import PluginPanel
from etendue.view.qt_timeline import Timeline

if TYPE_CHECKING:
    from etendue.view.qt_window import Window


@dataclass(frozen=True)
class Panels:
    """The widgets."""

    decoder: DecoderPanel
    bake: BakePanel
    plugins: PluginPanel
    timeline: Timeline


def add_panels(window: Window) -> Panels:
    """Make the panels, put them into docks, and connect them."""
    panels = Panels(
        DecoderPanel(),
        BakePanel(),
        PluginPanel(window.layers_seen, lambda: window.model.session.look),
        Timeline(),
    )
    left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
    decoder = window.add_dock("Decoder", panels.decoder, left)
    bake = window.add_dock("Bake", _scrolled(panels.bake), right)
    plugins = window.add_dock("Plugins", _scrolled(panels.plugins), right)
    below = window.add_dock("Timeline", panels.timeline, Qt.DockWidgetArea.BottomDockWidgetArea)
    picture = window.docks["Picture"]
    window.tabifyDockWidget(picture, bake)
    window.tabifyDockWidget(picture, plugins)
    window.tabifyDockWidget(window.docks["Scene"], window.docks["Materials"])
    window.addDockWidget(left, window.docks["Pixel"])
    window.tabifyDockWidget(decoder, window.docks["Pixel"])
    window.docks["Scene"].raise_()
    picture.raise_()
    below.hide()
    window.resizeDocks([picture], [330], Qt.Orientation.Horizontal)
    _connect(window, panels)
    return panels


def _connect(window: Window, panels: Panels) -> None:
    model = window.model
    panels.decoder.chosen.connect(lambda shape, file: window.assign(shape, Path(file)))
    window.tree.currentItemChanged.connect(lambda *_: _follow(window, panels))
    model.listeners.append(lambda _: _follow(window, panels))
    window.browser.list.currentItemChanged.connect(
        lambda *_: panels.bake.choose(window.browser.current() or Path())
    )
    panels.bake.started.connect(lambda output: _started(window, Path(output)))
    panels.bake.finished.connect(lambda output: _finished(window, panels, Path(output)))
    panels.bake.failed.connect(window.warn)
    panels.bake.follow(model.session.bakes)
    panels.plugins.failed.connect(window.warn)
    panels.timeline.failed.connect(window.warn)
    panels.timeline.asked.connect(lambda: window.worker.send({"do": "trace"}))


def _follow(window: Window, panels: Panels) -> None:
    shape, session = window.tree.selected(), window.model.session
    file = None
    if shape is not None:
        file = session.materials.get(shape) or window.model.baked.get(shape)
    panels.decoder.follow(shape, file, window.browser.folders)
    panels.bake.follow(session.bakes)


def _started(window: Window, output: Path) -> None:
    """The bake is found again whatever becomes of this window."""
    session = window.model.session
    if output not in session.bakes:
        window.model.history.session = replace(session, bakes=(*session.bakes, output))
    window.guarded(window.model.save)
    window.say(f"baking {output.name}; it goes on when the window is closed")


def _finished(window: Window, panels: Panels, output: Path) -> None:
    window.browser.add_folder(output.parent)
    _follow(window, panels)
    window.warn(f"{output.name} is baked: it is in the list of materials.")


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidget(widget)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area
