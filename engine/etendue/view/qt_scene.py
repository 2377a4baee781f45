"""The scene tree: shapes, their materials, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QAction, QDragEnterEvent, QDragMoveEvent, QDropEvent
from PyQt6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from etendue.view.qt_canvas import dropped_file
from etendue.view.session import Session

OWN = "(of the scene)"


class SceneTree(QTreeWidget):
    """A row per shape."""

    framed = pyqtSignal(str)
    cleared = pyqtSignal(str)
    dropped = pyqtSignal(str, str)  # file, shape

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Shape", "Material"])
        self.setRootIsDecorated(False)
        self.setAlternatingRowColors(True)
        self.setAcceptDrops(True)
        self.setAccessibleName("Scene")
        header = self.header()
        assert header is not None
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.itemActivated.connect(lambda item, _: self.framed.emit(item.text(0)))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        for text, signal in (("Frame", self.framed), ("The scene's own material", self.cleared)):
            action = QAction(text, self)
            action.triggered.connect(lambda _, signal=signal: self._emit(signal))
            self.addAction(action)

    def _emit(self, signal: object) -> None:
        shape = self.selected()
        if shape is not None:
            signal.emit(shape)  # type: ignore[attr-defined]

    def selected(self) -> str | None:
        """The shape that is selected."""
        item = self.currentItem()
        return None if item is None else item.text(0)

    def select(self, shape: str) -> None:
        """Select a shape."""
        found = self.findItems(shape, Qt.MatchFlag.MatchExactly)
        if found:
            self.setCurrentItem(found[0])

    def follow(self, shapes: Sequence[str], baked: Mapping[str, Path], session: Session) -> None:
        """Show the shapes and what is on them."""
        selected = self.selected()
        self.clear()
        for shape in shapes:
            file = session.materials.get(shape) or baked.get(shape)
            text = OWN if file is None else Path(file).name
            item = QTreeWidgetItem([shape, text])
            item.setToolTip(1, str(file or ""))
            self.addTopLevelItem(item)
        if selected is not None:
            self.select(selected)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Materials are welcome."""
        assert event is not None
        if dropped_file(event) is not None:
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:  # noqa: N802
        """Over a shape only."""
        assert event is not None
        on_shape = self.itemAt(event.position().toPoint()) is not None
        event.setAccepted(on_shape and dropped_file(event) is not None)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """A material falls onto a shape."""
        assert event is not None
        item, file = self.itemAt(event.position().toPoint()), dropped_file(event)
        if item is not None and file is not None:
            event.acceptProposedAction()
            self.dropped.emit(file, item.text(0))
