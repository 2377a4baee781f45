"""The panel of the picture: exposure, curve, layer, samples, kernel, comparison."""

from __future__ import annotations

from PyQt6.QtCore import QSignalBlocker, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QSlider,
    QSpinBox,
    QWidget,
)

from etendue.view.session import KERNELS, Session
from etendue.view.tonemap import CURVES, MAX_STOPS

LAYER_NAMES = {
    "rgb": "Colour", "depth": "Depth", "position": "Position", "normal": "Normal", "uv": "UV",
    "albedo": "Albedo", "material_id": "Material", "shape_id": "Shape",
    "lod": "Level of detail",
}  # fmt: skip
SCALES = {"Full": 1.0, "Half": 0.5, "Quarter": 0.25}
_STOPS, _TICKS = 10, 20  # of the slider: to each side, per stop


class LookPanel(QWidget):
    """Widgets that follow the session; each says what it wants to be changed."""

    exposure = pyqtSignal(float)
    curve = pyqtSignal(str)
    layer = pyqtSignal(str)
    spp = pyqtSignal(int)
    kernel = pyqtSignal(str)
    compare = pyqtSignal(bool)
    scale = pyqtSignal(float)

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(-_STOPS * _TICKS, _STOPS * _TICKS)
        self.slider.setToolTip("Exposure; [ and ] change it by a third of a stop")
        self.stops = QDoubleSpinBox()
        self.stops.setRange(-MAX_STOPS, MAX_STOPS)
        self.stops.setSingleStep(1 / 3)
        self.stops.setSuffix(" stops")
        self.curves, self.layers, self.kernels = QComboBox(), QComboBox(), QComboBox()
        self.scales = QComboBox()
        self.curves.addItems(CURVES)
        self.kernels.addItems(KERNELS)
        self.kernels.setToolTip(
            "coherent: one network after the other; divergent: all of a kind at once; "
            "virtual: behind Mitsuba's calls, slower"
        )
        self.scales.addItems(SCALES)
        for name, text in LAYER_NAMES.items():
            self.layers.addItem(text, name)
        self.samples = QSpinBox()
        self.samples.setRange(1, 1 << 20)
        self.samples.setSuffix(" per pixel")
        self.comparison = QCheckBox("with the layered reference")
        form = QFormLayout(self)
        form.setContentsMargins(8, 8, 8, 8)
        for label, widget in (
            ("&Layer", self.layers), ("&Exposure", self.stops), ("", self.slider),
            ("Cur&ve", self.curves), ("&Samples", self.samples), ("&Resolution", self.scales),
            ("&Kernel", self.kernels), ("&Compare", self.comparison),
        ):  # fmt: skip
            widget.setAccessibleName(label.replace("&", "") or "Exposure slider")
            form.addRow(label, widget)
        self._connect()

    def _connect(self) -> None:
        self.slider.valueChanged.connect(lambda ticks: self.exposure.emit(ticks / _TICKS))
        self.stops.valueChanged.connect(self.exposure)
        self.curves.currentTextChanged.connect(self.curve)
        self.layers.currentIndexChanged.connect(
            lambda index: self.layer.emit(self.layers.itemData(index))
        )
        self.samples.editingFinished.connect(lambda: self.spp.emit(self.samples.value()))
        self.kernels.currentTextChanged.connect(self.kernel)
        self.comparison.toggled.connect(self.compare)
        self.scales.currentTextChanged.connect(lambda text: self.scale.emit(SCALES[text]))

    def follow(self, session: Session) -> None:
        """Show what `session` says."""
        widgets = (
            self.slider, self.stops, self.curves, self.layers, self.samples, self.kernels,
            self.comparison,
        )  # fmt: skip
        blockers = [QSignalBlocker(widget) for widget in widgets]
        self.slider.setValue(round(session.look.exposure * _TICKS))
        self.stops.setValue(session.look.exposure)
        self.curves.setCurrentText(session.look.curve)
        self.layers.setCurrentIndex(max(self.layers.findData(session.layer), 0))
        self.samples.setValue(session.spp)
        self.kernels.setCurrentText(session.kernel)
        self.comparison.setChecked(session.compare)
        del blockers
