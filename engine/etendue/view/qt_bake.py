"""The bake panel: start, watch the error fall, stop, resume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import QPointF, QRectF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from etendue.core.errors import EtendueError
from etendue.view import bakes
from etendue.view.bakes import BakeJob, Progress

POLL_MS = 500
RESOLUTIONS = ("64", "128", "256", "512", "1024")


class Curve(QWidget):
    """The error over the steps, on a logarithmic scale."""

    def __init__(self) -> None:
        super().__init__()
        self.points: Sequence[tuple[int, float]] = ()
        self.total = 0
        self.setMinimumHeight(110)

    def follow(self, points: Sequence[tuple[int, float]], total: int) -> None:
        """Show other points."""
        self.points = [(step, loss) for step, loss in points if loss > 0 and math.isfinite(loss)]
        self.total = total
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Axes, the curve, the last value."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(44, 8, -10, -20)
        painter.fillRect(self.rect(), QColor("#1e1f22"))
        painter.setPen(QColor("#44464b"))
        painter.drawRect(box)
        if len(self.points) < 2:
            painter.setPen(QColor("#9a9ca1"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "no steps yet")
            return
        logs = [math.log10(loss) for _, loss in self.points]
        low, high = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)
        end = max(self.total, self.points[-1][0], 1)
        self._grid(painter, box, low, high, end)
        line = QPolygonF()
        for (step, _), value in zip(self.points, logs, strict=True):
            y = box.bottom() - (value - low) / (high - low) * box.height()
            line.append(QPointF(box.left() + step / end * box.width(), y))
        painter.setPen(QPen(QColor("#7db3ee"), 2))
        painter.drawPolyline(line)

    def _grid(self, painter: QPainter, box: QRectF, low: int, high: int, end: int) -> None:
        for power in range(low, high + 1):
            y = box.bottom() - (power - low) / (high - low) * box.height()
            painter.setPen(QColor("#35373c"))
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
            painter.setPen(QColor("#9a9ca1"))
            label = QRectF(0, y - 8, box.left() - 5, 16)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(label, right, f"{10.0**power:g}")
        below = QRectF(box.left(), box.bottom() + 2, box.width(), 16)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{end} steps")


class BakePanel(QWidget):
    """A form for a new bake, and the one that is watched."""

    started = pyqtSignal(str)  # output
    finished = pyqtSignal(str)
    failed = pyqtSignal(str)  # a sentence

    def __init__(self) -> None:
        super().__init__()
        self.material, self.output = QLineEdit(), QLineEdit()
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.05, 600.0)
        self.minutes.setValue(3.0)
        self.minutes.setSuffix(" min")
        self.steps = QSpinBox()
        self.steps.setRange(0, 10_000_000)
        self.steps.setSpecialValueText("as many as fit into the time")
        self.arch, self.resolution = (
            _choice(bakes.ARCHITECTURES, "2x32"),
            _choice(RESOLUTIONS, "512"),
        )
        self.latents, self.weights = _choice(bakes.LATENTS, "f16"), _choice(bakes.WEIGHTS, "f32")
        self.watched, self.curve, self.state = QComboBox(), Curve(), QLabel("nothing baked yet")
        self.state.setWordWrap(True)
        self.begin, self.halt, self.resume = (QPushButton(t) for t in ("Start", "Stop", "Resume"))
        form = QFormLayout()
        for label, widget in (
            ("&Material", self.material), ("&Output", self.output), ("&Time", self.minutes),
            ("Ste&ps", self.steps),
            ("&Decoder", self.arch), ("&Texels", self.resolution), ("&Latents", self.latents),
            ("&Weights", self.weights), ("W&atch", self.watched),
        ):  # fmt: skip
            widget.setAccessibleName("Bake: " + label.replace("&", ""))
            form.addRow(label, widget)
        row = QHBoxLayout()
        for button in (self.begin, self.halt, self.resume):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(row)
        layout.addWidget(self.curve, 1)
        layout.addWidget(self.state)
        self.begin.clicked.connect(lambda: self._try(self._start))
        self.halt.clicked.connect(lambda: self._try(self._stop))
        self.resume.clicked.connect(lambda: self._try(self._resume))
        self.watched.currentIndexChanged.connect(lambda _: self.poll())
        self._running: set[str] = set()
        self._polling = QTimer(self)
        self._polling.timeout.connect(self.poll)
        self._polling.start(POLL_MS)
        self.poll()

    def choose(self, material: Path) -> None:
        """Offer to bake a material."""
        if material.suffix.lower() == ".mtlx":
            self.material.setText(str(material))
            self.output.setText(str(Path.cwd() / f"{material.stem}.eta"))

    def follow(self, outputs: Sequence[Path]) -> None:
        """The bakes that there are."""
        for output in outputs:
            if self.watched.findData(str(output)) < 0:
                self.watched.addItem(output.name, str(output))

    def job(self) -> BakeJob:
        """What the form says."""
        return BakeJob(
            Path(self.material.text()), Path(self.output.text()), self.minutes.value(),
            self.steps.value(), self.arch.currentText(), int(self.resolution.currentText()),
            self.latents.currentText(), self.weights.currentText(),
        )  # fmt: skip

    def progress(self) -> Progress | None:
        """Of the bake that is watched."""
        output = self.watched.currentData()
        return None if output is None else bakes.read(Path(output))

    def poll(self) -> None:
        """Look how far the bakes are."""
        for row in range(self.watched.count()):
            self._notice(str(self.watched.itemData(row)))
        found = self.progress()
        self.halt.setEnabled(found is not None and found.state == bakes.RUNNING)
        self.resume.setEnabled(found is not None and found.state == bakes.STOPPED)
        if found is not None:
            self.curve.follow(found.losses, found.total)
            self.state.setText(describe(found))

    def _notice(self, output: str) -> None:
        if bakes.alive(Path(output)):
            self._running.add(output)
        elif output in self._running:
            self._running.discard(output)
            found = bakes.read(Path(output))
            if found is not None and found.state == bakes.COMPLETE:
                self.finished.emit(output)
            elif found is not None and found.state == bakes.FAILED:
                self.failed.emit(f"{Path(output).name}: {found.message}")

    def _try(self, run: object) -> None:
        try:
            run()  # type: ignore[operator]
        except EtendueError as error:
            self.failed.emit(str(error))

    def _start(self) -> None:
        job = self.job()
        job = replace(job, material=job.material.absolute(), output=job.output.absolute())
        bakes.start(job)
        self._watch(job.output)

    def _watch(self, output: Path) -> None:
        self.follow([output])
        self.watched.setCurrentIndex(self.watched.findData(str(output)))
        self._running.add(str(output))
        self.started.emit(str(output))
        self.poll()

    def _stop(self) -> None:
        bakes.stop(Path(self.watched.currentData()))
        self.state.setText("stopping; the work is kept")

    def _resume(self) -> None:
        found = self.progress()
        if found is not None:
            bakes.start(found.job, resume=True)
            self._watch(found.job.output)


def describe(found: Progress) -> str:
    """State, steps and error in a line."""
    if found.state == bakes.FAILED:
        return f"failed: {found.message}"
    if not found.losses:
        return "measuring this machine" if found.state == bakes.RUNNING else found.state
    error = f"error {found.losses[-1][1]:.4f}"
    return f"{found.state}: step {found.step} of {found.total}, {error}"


def _choice(names: Sequence[str], chosen: str) -> QComboBox:
    box = QComboBox()
    box.addItems(names)
    box.setCurrentText(chosen)
    return box
