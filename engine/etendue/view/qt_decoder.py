"""The decoder panel: bakes of the same material, to switch between."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QSignalBlocker, pyqtSignal
from PyQt6.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

from etendue.view import materials


class DecoderPanel(QWidget):
    """A list of .eta files for the selected shape; choosing one puts it there."""

    chosen = pyqtSignal(str, str)  # shape, file

    def __init__(self) -> None:
        super().__init__()
        self.shape: str | None = None
        self.name, self.detail, self.bakes = QLabel("-"), QLabel("-"), QComboBox()
        self.detail.setWordWrap(True)
        self.bakes.setAccessibleName("Bakes of this material")
        form = QFormLayout(self)
        form.addRow("Shape", self.name)
        form.addRow("&Bake", self.bakes)
        form.addRow("Holds", self.detail)
        self.bakes.currentIndexChanged.connect(self._choose)

    def follow(self, shape: str | None, file: Path | None, folders: list[Path]) -> None:
        """Show what is on a shape, and what else could be."""
        blocker = QSignalBlocker(self.bakes)
        self.shape = shape
        self.name.setText(shape or "select one in the scene tree")
        self.bakes.clear()
        self.detail.setText("-" if file is None else "not baked")
        if file is not None and file.suffix == ".eta":
            for entry in materials.variants_of(file, folders):
                self.bakes.addItem(f"{entry.path.name} ({entry.detail})", str(entry.path))
                if entry.path == file.resolve():
                    self.bakes.setCurrentIndex(self.bakes.count() - 1)
                    size = entry.path.stat().st_size
                    self.detail.setText(f"{entry.name}: {entry.detail}, {size / 1024:.0f} KiB")
        self.bakes.setEnabled(self.bakes.count() > 0)
        del blocker

    def _choose(self, index: int) -> None:
        if self.shape is not None and index >= 0:
            self.chosen.emit(self.shape, self.bakes.itemData(index))
