"""The main window: viewport, panels, menus, status; everything that is done goes to the `Model`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PyQt6.QtCore import QObject, Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QResizeEvent
from PyQt6.QtWidgets import QDockWidget, QFileDialog, QLabel, QMainWindow, QWidget

from etendue.core.errors import EtendueError
from etendue.scene.scene import GLTF_SUFFIXES, MITSUBA_SUFFIXES
from etendue.view import materials, navigate
from etendue.view.exports import export
from etendue.view.model import Model
from etendue.view.present import Picture, Presenter
from etendue.view.qt_canvas import Canvas, timer
from etendue.view.qt_help import Help
from etendue.view.qt_inspector import Inspector
from etendue.view.qt_look import LookPanel
from etendue.view.qt_materials import MaterialBrowser
from etendue.view.qt_menus import add_menus
from etendue.view.qt_panels import add_panels
from etendue.view.qt_scene import SceneTree
from etendue.view.session import Session, camera_of
from etendue.view.status import status
from etendue.view.tonemap import MAX_STOPS
from etendue.view.worker import Event, Frame, Worker

SAVE_MS, PICK_MS, BANNER_MS = 400, 60, 6000


class Bridge(QObject):
    """Carries what other threads say into the window's thread."""

    heard = pyqtSignal(object)
    picture = pyqtSignal(object)


class Window(QMainWindow):
    """One scene."""

    def __init__(self, model: Model, worker: Worker, presenter: Presenter, bridge: Bridge) -> None:
        super().__init__()
        self.model, self.worker, self.presenter, self.bridge = model, worker, presenter, bridge
        self.canvas = Canvas(model.camera)
        self.look, self.inspector = LookPanel(), Inspector()
        self.tree = SceneTree()
        scene = model.session.scene
        self.browser = MaterialBrowser([] if scene is None else [scene.parent])
        self.picture: Picture | None = None
        self.scale = 1.0
        self._seen: dict[str, np.ndarray] = {}  # layers of the present view
        self._view: object = None  # what they belong to
        self._token: str | None = None  # of the answer that is waited for
        self.docks: dict[str, QDockWidget] = {}
        self._build()
        self.panels = add_panels(self)
        self.menus = add_menus(self)
        self._connect()
        self.follow(model.session)

    # ---- building

    def _build(self) -> None:
        self.setWindowTitle("étendue")
        self.resize(1280, 800)
        self.setCentralWidget(self.canvas)
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        self.add_dock("Scene", self.tree, left)
        self.add_dock("Materials", self.browser, left)
        self.add_dock("Picture", self.look, right)
        self.add_dock("Pixel", self.inspector, right)
        self.banner = QLabel(self.canvas)
        self.banner.setObjectName("banner")
        self.banner.setWordWrap(True)
        self.banner.hide()
        self.progress = QLabel("no picture yet")
        bar = self.statusBar()
        assert bar is not None
        bar.addPermanentWidget(self.progress)
        self._saving = timer(self, SAVE_MS, lambda: self.guarded(self.model.save))
        self._asking = timer(self, PICK_MS, self._ask)
        self._place = (0.5, 0.5)
        self._hide = timer(self, BANNER_MS, self.banner.hide)

    def add_dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        """A panel; its menu entry is made by `add_menus`."""
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        self.docks[title] = dock
        return dock

    def _connect(self) -> None:
        self.bridge.heard.connect(self._event)
        self.bridge.picture.connect(self._picture)
        self.model.listeners.append(self.follow)
        canvas, model = self.canvas, self.model
        canvas.moved.connect(lambda camera, moving: model.move(camera, moving=moving))
        canvas.rested.connect(model.rest)
        canvas.resized.connect(lambda *_: self._resize())
        canvas.wiped.connect(lambda a, b: self.presenter.adjust(wipe=(a, b)))
        canvas.pointed.connect(self._pointed)
        canvas.focused.connect(lambda x, y: self.pick(x, y, "focus"))
        canvas.dropped.connect(lambda file, x, y: self.pick(x, y, f"drop:{file}"))
        self.tree.framed.connect(self.frame)
        self.tree.cleared.connect(lambda shape: self.assign(shape, None))
        self.tree.dropped.connect(lambda file, shape: self.assign(shape, Path(file)))
        self.browser.chosen.connect(self._chosen)
        look = self.look
        look.exposure.connect(lambda stops: self._look(exposure=stops))
        look.curve.connect(lambda curve: self._look(curve=curve))
        look.layer.connect(self.layer)
        look.spp.connect(lambda spp: model.edit("samples", "spp", spp=spp))
        look.kernel.connect(lambda kernel: model.edit("kernel", kernel=kernel))
        look.compare.connect(self.compare)
        look.scale.connect(self._rescale)

    # ---- following

    def follow(self, session: Session) -> None:
        """Show the session; keep it on disk soon."""
        view = (session.scene, session.camera, session.materials)
        if view != self._view:
            self._view = view
            self._seen.clear()
        self.look.follow(session)
        self.presenter.adjust(look=session.look)
        self.tree.follow(self.model.shapes, self.model.baked, session)
        self.menus.follow(self.model.history, session)
        if session.scene is not None:
            self.setWindowTitle(f"{session.scene.name} - étendue")
        self._saving.start()

    def _event(self, event: Event) -> None:
        if isinstance(event, Frame):
            return  # the presenter shows it
        handler = getattr(self, f"_on_{event.get('say')}", None)
        if handler is not None:
            handler(event)

    def _picture(self, picture: Picture) -> None:
        self.picture = picture
        self.canvas.show_picture(picture)
        self.progress.setText(status(picture.frame))
        if picture.frame.divisor == 1 and not picture.frame.moving:
            self._seen[picture.frame.layer] = picture.frame.images[0]

    def layers_seen(self) -> dict[str, np.ndarray]:
        """Layers (H, W, 3) of the present view that have been rendered, of one size."""
        shape = None if self.picture is None else self.picture.frame.images[0].shape
        return {name: image for name, image in self._seen.items() if image.shape == shape}

    def _on_trace(self, event: dict[str, Any]) -> None:
        self.panels.timeline.traced(event["events"])

    def _on_busy(self, event: dict[str, Any]) -> None:
        self.say(f"{event['text']} …")

    def _on_ready(self, event: dict[str, Any]) -> None:
        model = self.model
        model.shapes = tuple(event["shapes"])
        model.baked = {name: Path(file) for name, file in event["baked"].items()}
        model.file_camera = camera_of(event["camera"])
        self.tree.follow(model.shapes, model.baked, model.session)
        notes = "; ".join(event["notes"])
        self.say(f"loaded in {event['seconds']:.1f} s" + (f" (note: {notes})" if notes else ""))

    def _on_error(self, event: dict[str, Any]) -> None:
        self.warn(event["text"])

    def _on_died(self, event: dict[str, Any]) -> None:
        after = "it is being started again" if event["again"] else "View > Restart the renderer"
        self.warn(f"The renderer stopped ({event['reason']}); {after}. Nothing was lost.")

    def _on_recovered(self, event: dict[str, Any]) -> None:
        self.warn(f"The renderer is back after {event['seconds']:.1f} s.")

    def _on_bounds(self, event: dict[str, Any]) -> None:
        camera = self.model.camera()
        if camera is not None:
            aspect = self.canvas.width() / max(self.canvas.height(), 1)
            low, high = tuple(event["low"]), tuple(event["high"])
            self.model.move(navigate.frame(camera, low, high, aspect))

    def _on_picked(self, event: dict[str, Any]) -> None:
        token = str(event.get("token"))
        if token == self._token:
            self._token = None
        shape, camera = event.get("shape"), self.model.camera()
        if token == "point":
            self.inspector.picked(event)
        elif shape is None:
            self.say("nothing there")
        elif token == "focus" and camera is not None:
            x, y, z = event["position"]
            self.model.move(navigate.focus(camera, (x, y, z)))
            self.tree.select(shape)
        elif token.startswith("drop:"):
            self.assign(shape, Path(token.removeprefix("drop:")))

    # ---- doing

    def say(self, text: str) -> None:
        """A line in the status bar."""
        bar = self.statusBar()
        assert bar is not None
        bar.showMessage(text)

    def warn(self, text: str) -> None:
        """A line over the picture that goes after a while."""
        self.banner.setText(text)
        self.lay_banner()
        self.banner.show()
        self.banner.raise_()
        self._hide.start()
        self.say(text)

    def lay_banner(self) -> None:
        """Put the banner over the middle of the viewport."""
        width = max(min(self.canvas.width() - 24, 760), 100)
        self.banner.setFixedWidth(width)
        self.banner.adjustSize()
        self.banner.move((self.canvas.width() - width) // 2, 40)

    def guarded(self, run: Callable[[], Any]) -> None:
        """Run something that may fail for the user's fault; the reason is shown."""
        try:
            run()
        except EtendueError as error:
            self.warn(str(error))

    def pick(self, x: float, y: float, token: str) -> None:
        """Ask the renderer what lies at (x, y)."""
        self.worker.send({"do": "pick", "x": x, "y": y, "token": token})

    def _pointed(self, x: float, y: float) -> None:
        if self.picture is not None:
            self.inspector.point(self.picture, x, y)
        self._place = (x, y)
        if not self._asking.isActive():
            self._asking.start()

    def _ask(self) -> None:
        if self._token is None:  # one question at a time
            self._token = "point"
            self.pick(*self._place, "point")

    def _look(self, **fields: Any) -> None:
        look = self.model.session.look
        self.model.edit("look", "look", look=replace(look, **fields))

    def expose(self, by: float) -> None:
        """Brighter or darker by so many stops."""
        now = self.model.session.look.exposure + by
        self._look(exposure=min(max(now, -MAX_STOPS), MAX_STOPS))

    def layer(self, name: str) -> None:
        """Show colour or an auxiliary image."""
        self.model.edit("layer", layer=name)

    def _resize(self) -> None:
        ratio = self.canvas.devicePixelRatioF() * self.scale
        self.model.resize((round(self.canvas.width() * ratio), round(self.canvas.height() * ratio)))
        self.lay_banner()

    def _rescale(self, scale: float) -> None:
        self.scale = scale
        self._resize()

    def home(self) -> None:
        """Back to the camera of the file."""
        self.model.edit("camera", camera=None)

    def frame(self, shape: str) -> None:
        """See all of a shape."""
        self.worker.send({"do": "bounds", "shape": shape})

    def frame_selected(self) -> None:
        """See all of the selected shape, or everything."""
        self.worker.send({"do": "bounds", "shape": self.tree.selected()})

    def assign(self, shape: str, material: Path | None) -> None:
        """Put a material onto a shape."""
        session = self.model.session.assigned(shape, material)
        if session.compare:
            session = self._with_references(session)
        name = "the scene's own" if material is None else material.name
        self.model.change(session, f"{name} on {shape}")
        self.tree.select(shape)
        self.say(f"{shape}: {name}")

    def _chosen(self, file: str) -> None:
        shape = self.tree.selected()
        if shape is None:
            self.warn("Select a shape in the scene tree first, or drag the material onto one.")
        else:
            self.assign(shape, Path(file))

    def toggle_compare(self) -> None:
        """Compare, or no longer."""
        self.compare(not self.model.session.compare)

    def compare(self, wanted: bool) -> None:
        """Show the layered references beside the baked materials."""
        session = self.model.session
        if wanted:
            session = self._with_references(session)
            if not session.references:
                self.look.follow(self.model.session)
                self.warn("Nothing to compare: no shape has a baked material whose .mtlx is known.")
                return
        self.model.change(replace(session, compare=wanted), "comparison")

    def _with_references(self, session: Session) -> Session:
        shown = {**self.model.baked, **session.materials}
        shown = {shape: file for shape, file in shown.items() if file.suffix == ".eta"}
        found = {s: materials.reference_of(f, self.browser.folders) for s, f in shown.items()}
        known = {shape: file for shape, file in found.items() if file is not None}
        return replace(session, references=known, compare=session.compare and bool(known))

    def walk(self, way: str) -> None:
        """`undo` or `redo`."""
        what = getattr(self.model, way)()
        self.say(f"{way}: {what}" if what else f"nothing to {way}")

    def open(self, path: Path) -> None:
        """Another scene."""
        self.canvas.image = type(self.canvas.image)()
        self.model.change(self.model.session.opened(path.resolve()), f"open {path.name}")
        self.browser.add_folder(path.parent)

    def ask_open(self) -> None:
        """Choose a scene."""
        kinds = " ".join(f"*{suffix}" for suffix in MITSUBA_SUFFIXES + GLTF_SUFFIXES)
        name, _ = QFileDialog.getOpenFileName(self, "Open a scene", "", f"Scenes ({kinds})")
        if name:
            self.open(Path(name))

    def export(self, path: Path) -> None:
        """Write the picture to a file."""
        if self.picture is None:
            self.warn("There is no picture yet.")
            return
        export(path, self.picture)
        self.say(f"wrote {path}")

    def ask_export(self) -> None:
        """Choose a file for the picture."""
        kinds = "Linear (*.exr);;As shown (*.png *.jpg)"
        name, _ = QFileDialog.getSaveFileName(self, "Export the picture", "view.exr", kinds)
        if name:
            self.export(Path(name))

    def ask_screenshot(self) -> None:
        """Choose a file for a picture of the window."""
        shot = self.grab()
        name, _ = QFileDialog.getSaveFileName(self, "Screenshot", "window.png", "PNG (*.png)")
        if name and not shot.save(name):
            self.warn(f"{name}: cannot be written. Choose a writable folder")

    def show_help(self) -> None:
        """Every key."""
        self.help = Help(self, self.menus.shortcuts)
        self.help.open()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Keep the banner in the middle."""
        super().resizeEvent(event)
        self.lay_banner()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End renderer and threads; the session is kept as cleanly closed."""
        self._saving.stop()
        self.panels.plugins.close_process()
        self.guarded(self.model.close)
        self.presenter.close()
        self.worker.close()
        super().closeEvent(event)
