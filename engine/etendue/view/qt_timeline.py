"""The scheduler's timeline: what ran when, live or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from etendue.core.errors import EtendueError
from etendue.view import timeline
from etendue.view.timeline import Span

POLL_MS = 700
WINDOW_MS = 3000.0  # of live events that are shown
COLOURS = {"FRAME": "#4c8dd6", "PERCEIVE": "#5fb37a", "REFINE": "#d6a04c", "BAKE": "#b06fc4"}
_LABEL, _ROW = 64, 34


class Bars(QWidget):
    """Rows of bars; the pointer tells what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.setMinimumHeight(70)

    def follow(self, spans: list[Span]) -> None:
        """Show other spans."""
        self.spans = spans
        self.update()

    def range(self) -> tuple[float, float]:
        """First and last millisecond."""
        if not self.spans:
            return 0.0, 1.0
        return self.spans[0].start_ms, max(s.start_ms + s.length_ms for s in self.spans)

    def boxes(self) -> list[tuple[QRectF, Span]]:
        """Where every span is drawn."""
        low, high = self.range()
        width = max(self.width() - _LABEL - 8, 1)
        order = {name: k for k, name in enumerate(timeline.rows(self.spans))}
        found = []
        for span in self.spans:
            x = _LABEL + (span.start_ms - low) / max(high - low, 1e-6) * width
            w = max(span.length_ms / max(high - low, 1e-6) * width, 1.0)
            found.append((QRectF(x, 18 + _ROW * order[span.row], w, _ROW - 8), span))
        return found

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Bars with names where these fit, a scale above."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#1e1f22"))
        low, high = self.range()
        painter.setPen(QColor("#9a9ca1"))
        for k, name in enumerate(timeline.rows(self.spans)):
            painter.drawText(QPointF(6, 18 + _ROW * k + 18), name)
        for k in range(6):
            x = _LABEL + k / 5 * (self.width() - _LABEL - 8)
            box = QRectF(x - 60, 0, 120, 16) if k < 5 else QRectF(x - 120, 0, 120, 16)
            side = Qt.AlignmentFlag.AlignHCenter if k < 5 else Qt.AlignmentFlag.AlignRight
            painter.drawText(box, side, f"{k / 5 * (high - low):.0f} ms")
        for box, span in self.boxes():
            bar = box.adjusted(0, 0, -min(1.0, box.width() / 3), 0)
            painter.fillRect(bar, QColor(COLOURS.get(span.kind, "#6c6e73")))
            inner = bar.adjusted(4, 0, -4, 0)
            fitting = painter.fontMetrics().horizontalAdvance(span.name) <= inner.width()
            if fitting:
                painter.setPen(QColor("#ffffff"))
                painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter, span.name)

    def event(self, event: QEvent | None) -> bool:
        """Tell what lies under the pointer."""
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.told(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def told(self, at: QPointF) -> str:
        """About the span at a place."""
        for box, span in self.boxes():
            if box.contains(at):
                return f"{span.name} ({span.kind}): {span.length_ms:.1f} ms on {span.row}"
        return ""


class Timeline(QWidget):
    """Live while it is visible, or of a file."""

    asked = pyqtSignal()  # for the renderer's events
    failed = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__()
        self.bars, self.summary = Bars(), QLabel("no events yet")
        self.live = QCheckBox("&Live")
        self.live.setChecked(True)
        load = QPushButton("Open &trace…")
        row = QHBoxLayout()
        row.addWidget(self.live)
        row.addWidget(load)
        row.addWidget(self.summary, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.bars, 1)
        load.clicked.connect(self._ask)
        self._polling = QTimer(self)
        self._polling.timeout.connect(self._poll)
        self._polling.start(POLL_MS)

    def _poll(self) -> None:
        if self.live.isChecked() and self.isVisible():
            self.asked.emit()

    def traced(self, events: list[dict[str, Any]]) -> None:
        """The renderer's most recent events."""
        if self.live.isChecked():
            found = timeline.spans(events)
            end = max((s.start_ms + s.length_ms for s in found), default=0.0)
            self._show([s for s in found if s.start_ms >= end - WINDOW_MS])

    def open(self, path: Path) -> None:
        """Show a file of `--trace`."""
        try:
            found = timeline.read(path)
        except EtendueError as error:
            self.failed.emit(str(error))
            return
        self.live.setChecked(False)
        self._show(found)

    def _show(self, found: list[Span]) -> None:
        self.bars.follow(found)
        self.summary.setText(f"{len(found)} steps, busy {100 * timeline.busy(found):.0f} %")

    def _ask(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a trace", "", "Traces (*.json)")
        if name:
            self.open(Path(name))
