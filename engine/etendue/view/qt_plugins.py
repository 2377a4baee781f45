"""The plugin panel: a form made from a manifest; the plugin runs in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QProcess, QProcessEnvironment, Qt, pyqtSignal
from PyQt6.QtGui import QImage, QPixmap, QResizeEvent
from PyQt6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

import etendue
from etendue.core.errors import EtendueError
from etendue.plugins.manifest import Manifest
from etendue.plugins.registry import scan
from etendue.view import forms, tonemap
from etendue.view.forms import FormField
from etendue.view.tonemap import Look

PREVIEW_HEIGHT = 260  # pixels at most
Layers = Mapping[str, np.ndarray]


class PluginPanel(QWidget):
    """Choose a plugin, fill its fields, run it, see what comes out."""

    failed = pyqtSignal(str)
    done = pyqtSignal(str)

    def __init__(self, layers: Callable[[], Layers], look: Callable[[], Look]) -> None:
        super().__init__()
        self.layers, self.look = layers, look
        self.plugins, self.variants = QComboBox(), QComboBox()
        self.summary, self.preview = QLabel(), QLabel()
        self.summary.setWordWrap(True)
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.report = QPlainTextEdit()
        self.report.setReadOnly(True)
        self.report.setTabChangesFocus(True)
        self.report.setMaximumHeight(120)
        self.start = QPushButton("&Run")
        self.widgets: dict[str, QWidget] = {}
        self.form = QFormLayout()
        layout = QVBoxLayout(self)
        layout.addWidget(self.plugins)
        layout.addWidget(self.summary)
        layout.addLayout(self.form)
        for widget in (self.start, self.preview, self.report):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.manifests = {f.name: f.manifest for f in scan() if f.manifest is not None}
        self.process: QProcess | None = None
        self.picture: QPixmap | None = None
        self.plugins.setAccessibleName("Plugin")
        self.plugins.addItems(list(self.manifests))
        self.plugins.currentTextChanged.connect(self._choose)
        self.start.clicked.connect(self.run)
        self._choose(self.plugins.currentText())

    def manifest(self) -> Manifest | None:
        """The chosen plugin."""
        return self.manifests.get(self.plugins.currentText())

    def _choose(self, name: str) -> None:
        manifest = self.manifests.get(name)
        while self.form.rowCount():
            self.form.removeRow(0)
        self.widgets = {}
        if manifest is None:
            return
        self.summary.setText(f"{manifest.summary} ({manifest.slot})")
        self.variants = QComboBox()
        self.variants.addItems(["cheapest usable", *(v.name for v in manifest.variants)])
        self.form.addRow("&Variant", self.variants)
        for field in forms.fields(manifest):
            widget = self._widget(field)
            widget.setAccessibleName(field.label)
            widget.setToolTip(field.label)
            self.widgets[field.name] = widget
            self.form.addRow(field.name, widget)

    def _widget(self, field: FormField) -> QWidget:
        if field.kind == forms.NUMBER:
            spin = QDoubleSpinBox()
            whole = field.spec.dtype.startswith("int")
            spin.setRange(-1e9, 1e9)
            spin.setDecimals(0 if whole else 4)
            spin.setSpecialValueText("(example)")
            spin.setValue(spin.minimum())
            return spin
        if field.kind == forms.PICTURE:
            box = QComboBox()
            box.setEditable(True)
            default = forms.SHOWN + ("rgb" if field.name in ("color", "rgb") else field.name)
            box.addItems(["", *(forms.SHOWN + name for name in ("rgb", "albedo", "normal"))])
            box.setCurrentText("" if field.spec.optional else default)
            return box
        line = QLineEdit()
        line.setPlaceholderText("a .npy file, or empty for the example")
        return line

    def values(self) -> dict[str, str]:
        """What is in the fields, empty where nothing was chosen."""
        found = {}
        for name, widget in self.widgets.items():
            if isinstance(widget, QDoubleSpinBox):
                untouched = widget.value() == widget.minimum()
                found[name] = "" if untouched else f"{widget.value():.10g}"
            elif isinstance(widget, QComboBox):
                found[name] = widget.currentText()
            elif isinstance(widget, QLineEdit):
                found[name] = widget.text()
        return found

    def run(self) -> None:
        """Start the plugin."""
        manifest = self.manifest()
        if manifest is None or self.process is not None:
            return
        self.folder = tempfile.TemporaryDirectory(prefix="etendue-plugin-")
        variant = self.variants.currentText() if self.variants.currentIndex() > 0 else None
        try:
            words = forms.command(
                manifest, self.values(), self.layers(), variant, Path(self.folder.name)
            )
        except EtendueError as error:
            self.folder.cleanup()
            self.failed.emit(str(error))
            return
        self.process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        paths = [str(Path(etendue.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment.insert("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        self.process.setProcessEnvironment(environment)
        self.process.finished.connect(lambda code, _: self._ended(manifest, code))
        self.start.setEnabled(False)
        self.report.setPlainText(f"running {manifest.name} …")
        self.process.start(words[0], words[1:])

    def _ended(self, manifest: Manifest, code: int) -> None:
        assert self.process is not None
        out = bytes(self.process.readAllStandardOutput().data()).decode(errors="replace")
        error = bytes(self.process.readAllStandardError().data()).decode(errors="replace")
        self.process.deleteLater()
        self.process = None
        self.start.setEnabled(True)
        if code == 0:
            self.report.setPlainText(out)
            self._show(manifest)
            self.done.emit(manifest.name)
        else:
            last = error.strip().splitlines()[-1:] or ["it ended without a word"]
            self.report.setPlainText(error)
            self.failed.emit(f"{manifest.name}: {last[0].removeprefix('error: ')}")
        self.folder.cleanup()

    def _show(self, manifest: Manifest) -> None:
        names = forms.pictures(manifest)
        self.picture = None
        if names:
            image = np.load(Path(self.folder.name) / f"{names[0]}.npy", allow_pickle=False)
            shown = np.ascontiguousarray(tonemap.display(image, self.look()))
            height, width, _ = shown.shape
            data = shown.tobytes()
            picture = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self.picture = QPixmap.fromImage(picture)
        self._fit()

    def _fit(self) -> None:
        if self.picture is None:
            self.preview.clear()
            self.preview.setFixedHeight(0)
            return
        width = max(self.width() - 24, 64)
        smooth, keep = (
            Qt.TransformationMode.SmoothTransformation,
            Qt.AspectRatioMode.KeepAspectRatio,
        )
        scaled = self.picture.scaled(width, PREVIEW_HEIGHT, keep, smooth)
        self.preview.setPixmap(scaled)
        self.preview.setFixedHeight(scaled.height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Fit the preview."""
        super().resizeEvent(event)
        self._fit()

    def close_process(self) -> None:
        """End a plugin that still runs."""
        if self.process is not None:
            self.process.finished.disconnect()
            self.process.kill()
            self.process.waitForFinished(2000)
            self.process = None
            self.folder.cleanup()
