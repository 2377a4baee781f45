"""The window, driven as a person would: mouse, keys, menus, panels."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PyQt6.QtWidgets", exc_type=ImportError)  # or a library that it loads
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from PyQt6.QtCore import QMimeData, QPoint, QPointF, Qt
from PyQt6.QtGui import QDropEvent
from PyQt6.QtTest import QTest

from etendue.core.image import read_parts
from etendue.view import navigate
from etendue.view.qt_canvas import MATERIAL
from etendue.view.session import load

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


def drag(canvas: Any, by: tuple[int, int], button: Any = LEFT, keys: Any = None) -> None:
    keys = keys or Qt.KeyboardModifier.NoModifier
    start = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mousePress(canvas, button, keys, start)
    from PyQt6.QtCore import QEvent
    from PyQt6.QtGui import QMouseEvent

    move = QMouseEvent(QEvent.Type.MouseMove, QPointF(start) + QPointF(*by), button, button, keys)
    canvas.mouseMoveEvent(move)
    QTest.mouseRelease(canvas, button, keys, start + QPoint(*by))


def test_progressive_picture_and_status(driven: Any) -> None:
    frame = driven.frame(lambda f: f.spp == 4)
    window = driven.window
    height, width = frame.images[0].shape[:2]
    assert (width, height) == window.model.size
    assert (
        "4/4 spp | " in window.progress.text() and f"{width} x {height}" in window.progress.text()
    )
    shown = window.canvas.grab().toImage()
    colours = {shown.pixelColor(x, shown.height() // 2).name() for x in range(0, shown.width(), 9)}
    assert len(colours) > 10
    driven.shot("test_picture")


def test_mouse_and_keys_move_the_camera(driven: Any) -> None:
    driven.frame(lambda f: f.spp == 4)
    window, canvas = driven.window, driven.window.canvas
    first = window.model.camera()
    drag(canvas, (60, 10))
    orbited = window.model.camera()
    assert orbited.target == first.target and orbited.origin != first.origin
    assert navigate.distance(orbited) == pytest.approx(navigate.distance(first))
    drag(canvas, (30, 0), LEFT, Qt.KeyboardModifier.ShiftModifier)
    panned = window.model.camera()
    assert panned.target != orbited.target
    drag(canvas, (30, 5), RIGHT)
    assert window.model.camera().origin == panned.origin
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    assert navigate.distance(window.model.camera()) < navigate.distance(panned)
    before = window.model.camera()
    QTest.keyPress(canvas, Qt.Key.Key_W)
    driven.until(lambda: window.model.camera() != before)
    QTest.keyRelease(canvas, Qt.Key.Key_W)
    QTest.keyClick(canvas, Qt.Key.Key_Left)
    driven.until(lambda: not window.model.moving)
    driven.frame(lambda f: f.spp == 4 and not f.moving)
    moves = len(window.model.history.past)
    for _ in range(moves):
        window.menus.actions["Undo"].trigger()
    assert window.model.session.camera is None
    assert window.menus.actions["Redo"].isEnabled() and not window.menus.actions["Undo"].isEnabled()
    window.menus.actions["Redo"].trigger()
    assert window.model.camera() == orbited


def test_focus_frame_and_home(driven: Any) -> None:
    driven.frame(lambda f: f.spp == 4)
    window, canvas = driven.window, driven.window.canvas
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mouseDClick(canvas, LEFT, pos=middle)
    driven.until(lambda: window.model.session.camera is not None)
    target = np.array(window.model.camera().target)
    assert np.linalg.norm(target - [0, 1, 0]) == pytest.approx(1.0, abs=0.02)  # on the sphere
    assert window.tree.selected() == "Sphere"
    focused = window.model.camera()
    window.menus.actions["Frame the selected shape"].trigger()
    driven.until(lambda: window.model.camera() != focused)
    assert window.model.camera().target == pytest.approx((0, 1, 0), abs=0.01)
    window.menus.actions["Home: the scene's camera"].trigger()
    assert window.model.session.camera is None


def test_pixel_inspector(driven: Any) -> None:
    driven.frame(lambda f: f.spp == 4)
    window, canvas = driven.window, driven.window.canvas
    canvas.pointed.emit(0.5, 0.5)
    driven.until(lambda: window.inspector.value("shape") == "Sphere")
    row, column = (side // 2 for side in window.picture.frame.images[0].shape[:2])
    pixel = window.picture.frame.images[0][row, column]
    assert window.inspector.value("radiance").split(", ")[0] == f"{pixel[0]:.4g}"
    assert window.inspector.value("normal").count(",") == 2
    assert window.inspector.value("display").startswith("#")
    driven.shot("test_inspector")


def test_exposure_curves_and_layers(driven: Any) -> None:
    driven.frame(lambda f: f.spp == 4)
    window = driven.window
    dark = window.picture.rgb.mean()
    window.look.stops.setValue(2.0)
    driven.until(lambda: window.picture.rgb.mean() > dark + 10)
    assert window.look.slider.value() == 40
    QTest.keyClick(window, Qt.Key.Key_BracketLeft)
    assert window.model.session.look.exposure == pytest.approx(2 - 1 / 3)
    before = window.picture.rgb.copy()
    window.look.curves.setCurrentText("false colour")
    driven.until(lambda: (window.picture.rgb != before).any())
    driven.shot("test_false_colour")
    for number in range(2, 10):
        QTest.keyClick(window, Qt.Key(Qt.Key.Key_0 + number))
        layer = window.model.session.layer
        driven.frame(lambda f, layer=layer: f.layer == layer and f.divisor == 1)
        assert window.look.layers.currentIndex() == number - 1
    driven.shot("test_lod")
    QTest.keyClick(window, Qt.Key.Key_1)
    driven.frame(lambda f: f.layer == "rgb")


def test_materials_are_dropped_chosen_and_undone(driven: Any, scene: Path) -> None:
    driven.frame(lambda f: f.spp == 4)
    window, canvas = driven.window, driven.window.canvas
    mtlx = scene.parent / "plum.mtlx"
    assert window.browser.select(mtlx)
    data = window.browser.list.mimeData([])
    assert data.data(MATERIAL).data().decode() == str(mtlx)
    drop = QDropEvent(
        QPointF(canvas.width() / 2, canvas.height() * 0.95), Qt.DropAction.CopyAction, data,
        LEFT, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    canvas.dropEvent(drop)
    driven.until(lambda: window.model.session.materials.get("Floor") == mtlx)
    rows = window.tree.findItems("Floor", Qt.MatchFlag.MatchExactly)
    assert rows[0].text(1) == "plum.mtlx"
    driven.until(lambda: "loaded in" in window.statusBar().currentMessage())
    driven.shot("test_materials")
    window.tree.select("Sphere")
    window.browser.list.itemActivated.emit(window.browser.list.currentItem())
    assert window.model.session.materials["Sphere"] == mtlx
    window.menus.actions["Undo"].trigger()
    window.menus.actions["Undo"].trigger()
    assert window.model.session.materials == {"Sphere": scene.parent / "plum.eta"}
    window.browser.filter.setText("plum")
    shown = [row for row in range(window.browser.list.count())
             if not window.browser.list.item(row).isHidden()]  # fmt: skip
    assert len(shown) == 3


def test_files_that_are_no_materials_are_refused(driven: Any) -> None:
    data = QMimeData()
    data.setText("nothing")
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier
    )
    event.setAccepted(False)
    driven.window.canvas.dropEvent(event)
    assert not event.isAccepted()


def test_comparison_with_the_reference(driven: Any, scene: Path) -> None:
    driven.frame(lambda f: f.spp == 4)
    window, canvas = driven.window, driven.window.canvas
    window.look.comparison.setChecked(True)
    assert window.model.session.references == {"Sphere": scene.parent / "plum.mtlx"}
    frame = driven.frame(lambda f: len(f.images) == 2 and f.spp == 4)
    assert not np.allclose(frame.images[0], frame.images[1], rtol=0.2)
    driven.shot("test_compare")
    place = canvas.place()
    x = round(place.left() + canvas.wipe[0] * place.width())
    QTest.mousePress(canvas, LEFT, pos=QPoint(x, 50))
    before = window.picture.rgb.copy()
    from PyQt6.QtCore import QEvent
    from PyQt6.QtGui import QMouseEvent

    to = QPointF(place.left() + 0.1 * place.width(), 50)
    none = Qt.KeyboardModifier.NoModifier
    canvas.mouseMoveEvent(QMouseEvent(QEvent.Type.MouseMove, to, LEFT, LEFT, none))
    QTest.mouseRelease(canvas, LEFT, pos=to.toPoint())
    assert canvas.wipe[0] == pytest.approx(0.1, abs=0.01)
    driven.until(lambda: (window.picture.rgb != before).any())
    window.menus.actions["Compare with the reference"].trigger()
    driven.frame(lambda f: len(f.images) == 1)
    assert not window.look.comparison.isChecked()


def test_a_killed_renderer_is_announced_and_back(driven: Any) -> None:
    driven.frame(lambda f: f.spp == 4)
    window = driven.window
    texts: list[str] = []
    warn = window.warn
    window.warn = lambda text: (texts.append(text), warn(text))
    os.kill(window.worker.pid, signal.SIGKILL)
    driven.until(lambda: any("SIGKILL" in text for text in texts))
    driven.shot("test_killed")
    driven.until(lambda: any("is back after" in text for text in texts))
    assert window.banner.isVisible()


def test_session_is_kept_and_clean_only_after_closing(driven: Any, tmp_path: Path) -> None:
    driven.frame(lambda f: f.spp == 4)
    file = tmp_path / "session.json"
    drag(driven.window.canvas, (40, 0))
    camera = driven.window.model.camera()
    driven.until(lambda: file.exists() and load(file).camera == camera)
    assert not load(file).clean  # as a crash would leave it
    driven.window.close()
    assert load(file).clean and json.loads(file.read_text())["version"] == 1


def test_exports(driven: Any, tmp_path: Path) -> None:
    driven.frame(lambda f: f.spp == 4)
    window = driven.window
    window.export(tmp_path / "a.exr")
    parts = read_parts(tmp_path / "a.exr")
    assert np.allclose(parts["rgb"], window.picture.frame.images[0], rtol=1e-2, atol=1e-3)
    window.export(tmp_path / "a.png")
    shown = next(iter(read_parts(tmp_path / "a.png").values()))
    assert np.abs(shown[..., :3] * 255 - window.picture.rgb).max() < 0.6
    window.guarded(lambda: window.export(tmp_path / "a.tiff"))
    assert "unknown kind of picture" in window.banner.text()
    assert not (tmp_path / "a.tiff").exists()


def test_help_lists_every_shortcut_and_tab_reaches_everything(driven: Any) -> None:
    window = driven.window
    window.menus.actions["Keys and mouse"].trigger()
    text = window.help.text.toPlainText()
    for keys, _ in window.menus.shortcuts:
        assert keys in text
    window.help.close()
    reached, widget = [], window.canvas
    while widget is not None and not any(widget is other for other in reached):
        reached.append(widget)
        widget = widget.nextInFocusChain()
    for wanted in (window.tree, window.browser.list, window.look.layers, window.look.stops,
                   window.look.comparison, window.inspector):  # fmt: skip
        assert any(wanted is widget for widget in reached)
        assert wanted.focusPolicy().value & Qt.FocusPolicy.TabFocus.value


def test_another_scene_and_recent_files(driven: Any, scene: Path, tmp_path: Path) -> None:
    driven.frame(lambda f: f.spp == 4)
    window = driven.window
    window.open(tmp_path / "absent.xml")
    driven.until(lambda: "absent.xml" in window.banner.text())
    assert [action.text() for action in window.menus.recent.actions()] == [
        str(tmp_path / "absent.xml"), str(scene),
    ]  # fmt: skip
    window.menus.recent.actions()[1].trigger()
    driven.until(lambda: "Sphere" in window.model.shapes)
    assert window.windowTitle().startswith("sphere.xml")
