"""The desktop viewer: its state, its maths, the renderer's process, and windows in Qt (`qt_*`)."""
