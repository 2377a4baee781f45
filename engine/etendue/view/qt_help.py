"""Keys and mouse, in a window."""

from __future__ import annotations

from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

VIEWPORT = (
    ("Drag", "orbit around the target"),
    ("Shift + drag, middle drag", "pan"),
    ("Right drag", "look around"),
    ("Wheel, + and -", "zoom"),
    ("Double click, F", "focus on what is under the pointer"),
    ("W A S D, Q E", "fly forward, left, back, right, down, up; Shift is faster"),
    ("Arrow keys", "orbit; with Shift, pan"),
    ("[ and ]", "a third of a stop darker, brighter"),
    ("1 to 9", "layers: colour, depth, position, normal, uv, albedo, material, shape, level"),
    ("Tab, Shift + Tab", "next, previous control"),
    ("Enter in Materials", "put the material onto the selected shape"),
    ("Drag a material", "onto a shape in the viewport or in the scene tree"),
    ("Drag a divider", "of a comparison: material | layered reference | difference"),
)


class Help(QDialog):
    """Every shortcut: those of the menus as they are, and those of the viewport."""

    def __init__(self, parent: QWidget, menus: list[tuple[str, str]]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys and mouse")
        self.resize(620, 640)
        self.text = QTextBrowser()
        self.text.setHtml(_table("Viewport", VIEWPORT) + _table("Menus", menus))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)


def _table(title: str, rows: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><td style='padding:2px 18px 2px 0'><b>{key}</b></td><td>{text}</td></tr>"
        for key, text in rows
    )
    return f"<h3>{title}</h3><table>{body}</table>"
