"""The viewport: a plain widget that paints the newest picture and turns input into camera moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt6.QtCore import QObject, QPointF, QRectF, QSizeF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PyQt6.QtWidgets import QApplication, QWidget

from etendue.scene.camera import Camera
from etendue.view import navigate
from etendue.view.present import Picture
from etendue.view.qt_theme import SURROUND

MATERIAL = "application/x-etendue-material"
GRAB = 6  # pixels around a divider that take hold of it
STEP = 12.0  # pixels of a drag that an arrow key stands for
FLY_MS, FLY_SPEED, FAST = 16, 0.012, 4.0  # of the distance to the target, per tick
REST_MS = 180  # without input, after which the camera rests
_KEY = Qt.Key
FLY_KEYS = {
    _KEY.Key_W: (0, 0, 1), _KEY.Key_S: (0, 0, -1), _KEY.Key_A: (-1, 0, 0),
    _KEY.Key_D: (1, 0, 0), _KEY.Key_E: (0, 1, 0), _KEY.Key_Q: (0, -1, 0),
}  # fmt: skip
ARROWS = {
    _KEY.Key_Left: (-STEP, 0.0), _KEY.Key_Right: (STEP, 0.0),
    _KEY.Key_Up: (0.0, -STEP), _KEY.Key_Down: (0.0, STEP),
}  # fmt: skip


class Canvas(QWidget):
    """Orbit, pan, zoom, focus and fly; dividers of a comparison; drops of materials."""

    moved = pyqtSignal(object, bool)  # camera, whether it goes on moving
    rested = pyqtSignal()
    pointed = pyqtSignal(float, float)  # place in the picture, 0..1
    focused = pyqtSignal(float, float)
    dropped = pyqtSignal(str, float, float)
    wiped = pyqtSignal(float, float)
    resized = pyqtSignal(int, int)  # device pixels

    def __init__(self, camera: Callable[[], Camera | None]) -> None:
        super().__init__()
        self.camera = camera
        self.picture: Picture | None = None
        self.image = QImage()
        self.wipe = (1 / 3, 2 / 3)
        self.compared = False
        self._held: set[int] = set()
        self._last: QPointF | None = None
        self._divider: int | None = None
        self._point = (0.5, 0.5)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setMinimumSize(160, 120)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Viewport")
        self._fly = timer(self, FLY_MS, self._fly_on, once=False)
        self._rest = timer(self, REST_MS, self.rested.emit)

    # ---- the picture

    def show_picture(self, picture: Picture) -> None:
        """Paint `picture` from now on."""
        self.picture = picture  # the image reads this memory
        height, width, _ = picture.rgb.shape
        data: Any = picture.rgb.data
        self.image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self.compared = len(picture.frame.images) > 1
        self.update()

    def place(self) -> QRectF:
        """Where the picture lies in the widget: as large as fits, in the middle."""
        room = QSizeF(self.size())
        if self.image.isNull():
            return QRectF(QPointF(0, 0), room)
        frame = self.picture.frame if self.picture else None
        shape = QSizeF(self.image.size())
        if frame is not None and frame.divisor > 1:  # its sides were rounded
            return QRectF(QPointF(0, 0), room)
        shape.scale(room, Qt.AspectRatioMode.KeepAspectRatio)
        near = abs(shape.width() - room.width()) < 3 and abs(shape.height() - room.height()) < 3
        shape = room if near else shape
        left, top = (room.width() - shape.width()) / 2, (room.height() - shape.height()) / 2
        return QRectF(QPointF(left, top), shape)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """The picture, and over a comparison its dividers."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(SURROUND))
        if self.image.isNull():
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        place = self.place()
        painter.drawImage(place, self.image)
        if self.compared:
            self._paint_dividers(painter, place)

    def _paint_dividers(self, painter: QPainter, place: QRectF) -> None:
        painter.setPen(QPen(QColor("#f0f0f0"), 1.5))
        for share in self.wipe:
            x = place.left() + share * place.width()
            painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom()))
        first, second = self.wipe
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        for share, end, text in (
            (0.0, first, "material"),
            (first, second, "layered reference"),
            (second, 1.0, "difference"),
        ):
            left, width = place.left() + share * place.width(), (end - share) * place.width()
            painter.setClipRect(QRectF(left, place.top(), width, place.height()))
            at = QRectF(left + 8, place.top() + 8, 400, 22)
            if painter.boundingRect(at, 0, text).width() > width - 16:  # then its last word will do
                text = text.rpartition(" ")[2]
            box = painter.boundingRect(at, 0, text).adjusted(-5, -2, 5, 2)
            painter.fillRect(box, QColor(0, 0, 0, 150))
            painter.drawText(at, 0, text)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Ask for pictures of the new size, in device pixels."""
        ratio = self.devicePixelRatioF()
        self.resized.emit(round(self.width() * ratio), round(self.height() * ratio))

    def share(self, at: QPointF) -> tuple[float, float]:
        """A place in the widget as a place in the picture, 0..1."""
        place = self.place()
        x = (at.x() - place.left()) / max(place.width(), 1.0)
        y = (at.y() - place.top()) / max(place.height(), 1.0)
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)

    # ---- moving

    def _move(self, change: Callable[[Camera], Camera]) -> None:
        camera = self.camera()
        if camera is not None:
            self.moved.emit(change(camera), True)
            self._rest.start()

    def drag(self, dx: float, dy: float, how: str) -> None:
        """Move by a drag of so many pixels: `orbit`, `pan` or `turn`."""
        action = {"orbit": navigate.orbit, "pan": navigate.pan, "turn": navigate.turn}[how]

        def change(camera: Camera) -> Camera:
            shown = navigate.visible_height(camera, self.width(), max(self.height(), 1))
            return action(camera, dx, dy, shown)

        self._move(change)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Take hold of the scene or of a divider."""
        assert event is not None
        self._last, self._divider = event.position(), self._divider_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Left orbits, middle or Shift+left pans, right looks around."""
        assert event is not None
        now, buttons = event.position(), event.buttons()
        self._point = self.share(now)
        if self._last is None or not buttons:
            over = self._divider_at(now) is not None
            self.setCursor(Qt.CursorShape.SplitHCursor if over else Qt.CursorShape.ArrowCursor)
            self.pointed.emit(*self._point)
            return
        if self._divider is not None:
            self._drag_divider(self._point[0])
            return
        delta, self._last = now - self._last, now
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if buttons & Qt.MouseButton.RightButton:
            how = "turn"
        else:
            how = "pan" if shift or buttons & Qt.MouseButton.MiddleButton else "orbit"
        self.drag(delta.x(), delta.y(), how)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Let go."""
        self._last = self._divider = None
        if self._rest.isActive():
            self._rest.stop()
            self.rested.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Focus on what is there."""
        assert event is not None
        self.focused.emit(*self.share(event.position()))

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Zoom."""
        assert event is not None
        notches = event.angleDelta().y() / 120
        self._move(lambda camera: navigate.zoom(camera, notches))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """W A S D Q E fly, arrows orbit (with Shift: pan), + and - zoom, F focuses."""
        assert event is not None
        key = event.key()
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        command = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        if event.modifiers() & command:
            super().keyPressEvent(event)
        elif key in FLY_KEYS:
            self._held.add(key)
            if not self._fly.isActive():
                self._fly.start()
                self._fly_on()
        elif key in ARROWS:
            self.drag(*ARROWS[_KEY(key)], "pan" if shift else "orbit")
        elif key in (_KEY.Key_Plus, _KEY.Key_Equal, _KEY.Key_Minus):
            notches = -1.0 if key == _KEY.Key_Minus else 1.0
            self._move(lambda camera: navigate.zoom(camera, notches))
        elif key == _KEY.Key_F:
            self.focused.emit(*self._point)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Stop flying."""
        assert event is not None
        if not event.isAutoRepeat():
            self._held.discard(event.key())
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802
        """Keys that are released elsewhere are released."""
        self._held.clear()
        super().focusOutEvent(event)

    def _fly_on(self) -> None:
        directions = [FLY_KEYS[_KEY(key)] for key in self._held]
        camera = self.camera()
        if not directions or camera is None:
            self._fly.stop()
            return
        shift = bool(QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier)
        step = FLY_SPEED * navigate.distance(camera) * (FAST if shift else 1.0)
        x, y, z = (step * sum(d[axis] for d in directions) for axis in range(3))
        self._move(lambda camera: navigate.fly(camera, x, y, z))

    # ---- dividers and drops

    def _divider_at(self, at: QPointF) -> int | None:
        if not self.compared:
            return None
        place = self.place()
        gaps = [abs(at.x() - place.left() - share * place.width()) for share in self.wipe]
        nearest = min(range(2), key=lambda k: gaps[k])
        return nearest if gaps[nearest] <= GRAB else None

    def _drag_divider(self, x: float) -> None:
        first, second = self.wipe
        self.wipe = (min(x, second), second) if self._divider == 0 else (first, max(x, first))
        self.wiped.emit(*self.wipe)
        self.update()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Materials and files are welcome."""
        assert event is not None
        if dropped_file(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """A material falls onto what is there."""
        assert event is not None
        file = dropped_file(event)
        if file is not None:
            event.acceptProposedAction()
            self.dropped.emit(file, *self.share(event.position()))


def timer(parent: QObject, ms: int, run: Callable[[], object], *, once: bool = True) -> QTimer:
    """A timer that is not started yet."""
    made = QTimer(parent)
    made.setInterval(ms)
    made.setSingleShot(once)
    made.timeout.connect(run)
    return made


def dropped_file(event: QDropEvent) -> str | None:
    """The material file that is dragged, None when it is something else."""
    data = event.mimeData()
    if data is None:
        return None
    if data.hasFormat(MATERIAL):
        return data.data(MATERIAL).data().decode()
    files = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
    wanted = [name for name in files if name.lower().endswith((".eta", ".mtlx"))]
    return wanted[0] if wanted else None
