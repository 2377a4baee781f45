"""The material browser: our own materials and those of a folder, to be dragged onto shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QMimeData, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QIcon, QPainter, QPixmap
from PyQt6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from etendue.view import materials
from etendue.view.materials import Entry
from etendue.view.qt_canvas import MATERIAL

_PATH = Qt.ItemDataRole.UserRole


class MaterialList(QListWidget):
    """Entries that can be dragged."""

    def mimeData(self, items: object) -> QMimeData:  # noqa: N802 (Qt's name)
        """The path of the material."""
        data, chosen = QMimeData(), self.currentItem()
        if chosen is not None:
            data.setData(MATERIAL, str(chosen.data(_PATH)).encode())
        return data


class MaterialBrowser(QWidget):
    """A list with a filter and a button for another folder."""

    chosen = pyqtSignal(str)
    folder_added = pyqtSignal(str)

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self.folders = [materials.own_folder(), *folders]
        self.list, self.filter = MaterialList(), QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setClearButtonEnabled(True)
        self.list.setDragEnabled(True)
        self.list.setIconSize(QSize(28, 28))
        self.list.setSpacing(1)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Materials")
        add, put = QPushButton("Folder…"), QPushButton("Put onto shape")
        row = QHBoxLayout()
        row.addWidget(self.filter, 1)
        row.addWidget(add)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(row)
        layout.addWidget(self.list)
        layout.addWidget(put)
        self.filter.textChanged.connect(self._sift)
        add.clicked.connect(self._ask)
        put.clicked.connect(self._choose)
        self.list.itemActivated.connect(lambda _: self._choose())
        self.refresh()

    def refresh(self) -> None:
        """Read the folders again."""
        self.list.clear()
        for entry in materials.listed(self.folders):
            item = QListWidgetItem(_icon(entry), f"{entry.name}\n{entry.detail}")
            item.setData(_PATH, str(entry.path))
            item.setToolTip(str(entry.path))
            if entry.detail.startswith("unusable"):
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
        self._sift(self.filter.text())

    def add_folder(self, folder: Path) -> None:
        """Show the materials of another folder too."""
        if folder.resolve() not in [f.resolve() for f in self.folders]:
            self.folders.append(folder)
        self.refresh()

    def select(self, path: Path) -> bool:
        """Select the entry of a file; whether there is one."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item is not None and Path(item.data(_PATH)) == path.resolve():
                self.list.setCurrentRow(row)
                return True
        return False

    def current(self) -> Path | None:
        """The selected material."""
        item = self.list.currentItem()
        return None if item is None else Path(item.data(_PATH))

    def _choose(self) -> None:
        if (path := self.current()) is not None:
            self.chosen.emit(str(path))

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of materials")
        if folder:
            self.add_folder(Path(folder))
            self.folder_added.emit(folder)

    def _sift(self, text: str) -> None:
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item is not None:
                item.setHidden(text.lower() not in item.text().lower())


def _icon(entry: Entry) -> QIcon:
    """Baked materials are discs, layered ones are stacks."""
    pixmap = QPixmap(56, 56)
    pixmap.fill(QColor(0, 0, 0, 0))
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    if entry.baked:
        painter.setBrush(QColor("#4c8dd6"))
        painter.drawEllipse(10, 10, 36, 36)
    else:
        for k, colour in enumerate(("#d6a04c", "#b07f38", "#7f5a26")):
            painter.setBrush(QColor(colour))
            painter.drawRoundedRect(8, 12 + 12 * k, 40, 9, 3, 3)
    painter.end()
    return QIcon(pixmap)
