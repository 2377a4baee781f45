"""The pixel inspector: what lies under the pointer."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from etendue.core.color import luminance
from etendue.view.present import Picture

ROWS = ("pixel", "radiance", "luminance", "display", "shape", "material_id", "depth", "position",
        "normal", "uv", "albedo")  # fmt: skip


class Inspector(QTableWidget):
    """A row per quantity; radiance at once, geometry when the renderer has answered."""

    def __init__(self) -> None:
        super().__init__(len(ROWS), 2)
        self.setHorizontalHeaderLabels(["Quantity", "Value"])
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None and rows is not None
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        rows.hide()
        rows.setDefaultSectionSize(22)
        for k, name in enumerate(ROWS):
            self.setItem(k, 0, QTableWidgetItem(name.replace("_", " ")))
            self.setItem(k, 1, QTableWidgetItem(""))
        self.setAccessibleName("Pixel inspector")

    def value(self, name: str) -> str:
        """What is shown of a quantity."""
        item = self.item(ROWS.index(name), 1)
        return "" if item is None else item.text()

    def _put(self, name: str, text: str) -> None:
        item = self.item(ROWS.index(name), 1)
        if item is not None:
            item.setText(text)
            item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def point(self, picture: Picture, x: float, y: float) -> None:
        """Values of the picture at (x, y), 0..1, without asking the renderer."""
        height, width = picture.frame.images[0].shape[:2]
        column, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
        pixel = picture.frame.images[0][row, column]
        self._put("pixel", f"{column}, {row} of {width} x {height}")
        named = picture.frame.layer == "rgb"
        self._put("radiance", _numbers(pixel.tolist()) if named else "")
        self._put("luminance", f"{float(luminance(pixel)):.4g}" if named else "")
        self._put("display", "#" + bytes(picture.rgb[row, column].tolist()).hex())

    def picked(self, found: dict[str, Any]) -> None:
        """What the renderer has found there."""
        self._put("shape", found.get("shape") or "nothing")
        for name in ("material_id", "depth", "position", "normal", "uv", "albedo"):
            values = found.get(name)
            if isinstance(values, list):
                whole = name == "material_id"
                self._put(name, str(int(values[0])) if whole else _numbers(values))


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
