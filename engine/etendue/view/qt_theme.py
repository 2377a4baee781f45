"""A dark theme: a neutral surround, so that it does not colour what one sees."""

from __future__ import annotations

from PyQt6.QtGui import QColor, QPalette
from PyQt6.QtWidgets import QApplication

SURROUND = "#1b1c1e"
_BASE, _RAISED, _TEXT, _DIM, _ACCENT = "#232427", "#2e3034", "#e2e3e5", "#9a9ca1", "#4c8dd6"

_STYLE = f"""
QToolTip {{ background: {_RAISED}; color: {_TEXT}; border: 1px solid #44464b; padding: 3px; }}
QDockWidget {{ font-weight: 600; titlebar-close-icon: none; }}
QDockWidget::title {{ background: {_RAISED}; padding: 5px 8px; }}
QStatusBar {{ background: {_RAISED}; }} QStatusBar::item {{ border: none; }}
QMenuBar {{ background: {_RAISED}; }} QMenuBar::item:selected {{ background: {_ACCENT}; }}
QHeaderView::section {{ background: {_RAISED}; border: none; padding: 4px 6px; color: {_DIM}; }}
QTreeView, QListView, QTableView, QPlainTextEdit, QTextBrowser {{ border: 1px solid #3a3c41; }}
QTabBar::tab {{ background: {_BASE}; padding: 5px 10px; color: {_DIM}; }}
QTabBar::tab:selected {{ background: {_RAISED}; color: {_TEXT}; }}
*:focus {{ outline: 1px solid {_ACCENT}; }}
QCheckBox::indicator {{ width: 13px; height: 13px; border: 1px solid #777a80; border-radius: 2px; }}
QCheckBox::indicator:checked {{ background: {_ACCENT}; border-color: #b9d3f0; }}
QTreeView::item {{ padding: 2px 0; }}
QLabel#dim {{ color: {_DIM}; }}
QLabel#banner {{ background: #7a4a12; color: #fff4e0; padding: 8px 14px; border-radius: 4px; }}
"""


def apply(application: QApplication) -> None:
    """Give every window of the application the theme."""
    application.setStyle("Fusion")
    palette, role = QPalette(), QPalette.ColorRole
    for where, colour in (
        (role.Window, _BASE), (role.WindowText, _TEXT), (role.Base, "#1e1f22"),
        (role.AlternateBase, "#26282b"), (role.Text, _TEXT), (role.Button, _RAISED),
        (role.ButtonText, _TEXT), (role.BrightText, "#ffffff"), (role.Highlight, _ACCENT),
        (role.HighlightedText, "#ffffff"), (role.ToolTipBase, _RAISED), (role.ToolTipText, _TEXT),
        (role.PlaceholderText, _DIM), (role.Link, "#7db3ee"),
    ):  # fmt: skip
        palette.setColor(where, QColor(colour))
    for where in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, where, QColor("#6c6e73"))
    application.setPalette(palette)
    application.setStyleSheet(_STYLE)
