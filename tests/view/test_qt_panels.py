"""The panels beside the picture: decoder, kernel, bake, plugins, timeline."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PyQt6.QtWidgets", exc_type=ImportError)  # or a library that it loads
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from PyQt6.QtCore import QPointF

from etendue.schedule import Scheduler, Task
from etendue.schedule.trace import Trace
from etendue.view import bakes
from etendue.view.qt_bake import Curve


def test_decoder_and_kernel(driven: Any, scene: Path) -> None:
    first = driven.frame(lambda f: f.spp == 4)
    window, panel = driven.window, driven.window.panels.decoder
    window.tree.select("Sphere")
    assert panel.bakes.count() == 2 and "Plum" in panel.detail.text()
    other = panel.bakes.findData(str(scene.parent / "plum_other.eta"))
    panel.bakes.setCurrentIndex(other)
    assert window.model.session.materials["Sphere"].name == "plum_other.eta"
    assert panel.bakes.currentIndex() == other
    for kernel in ("divergent", "virtual"):
        window.look.kernels.setCurrentText(kernel)
        driven.until(lambda: window.picture.frame.spp < 4)
        second = driven.frame(lambda f: f.spp == 4)
        # the same material through another kernel: equal in the mean
        assert second.images[0].mean() == pytest.approx(first.images[0].mean(), rel=0.02)
    window.tree.select("Floor")
    assert panel.bakes.count() == 0 and not panel.bakes.isEnabled()


def test_bake_is_started_stopped_resumed_and_listed(
    driven: Any, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    window, panel = driven.window, driven.window.panels.bake
    driven.frame(lambda f: f.spp == 4)
    window.docks["Bake"].raise_()
    assert window.browser.select(scene.parent / "plum.mtlx")
    assert panel.output.text() == str(tmp_path / "plum.eta")
    panel.steps.setValue(320)
    panel.arch.setCurrentText("2x16")
    panel.resolution.setCurrentText("64")
    panel.begin.click()
    driven.until(lambda: len(panel.curve.points) > 1, 150)
    assert panel.state.text().startswith("running: step")
    assert window.model.session.bakes == (tmp_path / "plum.eta",)
    panel.halt.click()
    driven.until(lambda: panel.resume.isEnabled())
    driven.shot("test_bake")
    panel.resume.click()
    driven.until(lambda: panel.state.text().startswith("complete"), 150)
    driven.until(lambda: window.browser.select(tmp_path / "plum.eta"))
    assert "is baked" in window.banner.text()


def test_a_bake_that_cannot_be_started_is_said(driven: Any) -> None:
    window, panel = driven.window, driven.window.panels.bake
    panel.material.setText("/absent.mtlx")
    panel.output.setText("/absent.eta")
    panel.begin.click()
    assert "needs a .mtlx" in window.banner.text() and not panel.watched.count()


def test_bakes_of_an_earlier_window_are_found(driven: Any, scene: Path, tmp_path: Path) -> None:
    panel, output = driven.window.panels.bake, tmp_path / "old.eta"
    job = bakes.BakeJob(tmp_path / "absent.mtlx", output)
    table = json.dumps({**asdict(job), "pid": 0}, default=str)
    bakes.job_file(output).write_text(table)
    bakes.checkpoint_file(output).touch()
    bakes.lines_file(output).write_text('{"step": 3, "total": 9, "loss": 0.5}\n')
    panel.follow([output])
    panel.poll()
    assert panel.state.text() == "stopped: step 3 of 9, error 0.5000"
    assert panel.resume.isEnabled() and not panel.halt.isEnabled()


def test_the_curve_ignores_what_has_no_logarithm(qtbot: Any) -> None:
    curve = Curve()
    qtbot.addWidget(curve)
    curve.resize(200, 120)
    empty = curve.grab().toImage()
    curve.follow([(1, 2.0), (2, 0.0), (3, float("nan")), (4, 0.1)], 4)
    assert curve.points == [(1, 2.0), (4, 0.1)]
    assert curve.grab().toImage() != empty


def test_plugins_have_forms_and_run(driven: Any) -> None:
    window, panel = driven.window, driven.window.panels.plugins
    driven.frame(lambda f: f.spp == 4)
    window.docks["Plugins"].raise_()
    panel.plugins.setCurrentText("marching_cubes")
    assert list(panel.widgets) == ["values", "level", "spacing"]
    assert panel.values() == {"values": "", "level": "", "spacing": ""}
    panel.widgets["level"].setValue(0.5)
    panel.run()
    assert "values: needs a value" in window.banner.text()
    panel.widgets["level"].setValue(panel.widgets["level"].minimum())
    panel.run()
    driven.until(lambda: panel.process is None, 90)
    assert '"plugin": "marching_cubes"' in panel.report.toPlainText()


def test_the_picture_is_denoised(driven: Any) -> None:
    pytest.importorskip("mitsuba_oidn", reason="Open Image Denoise is not installed")
    window, panel = driven.window, driven.window.panels.plugins
    driven.frame(lambda f: f.spp == 4)
    window.docks["Plugins"].raise_()
    panel.plugins.setCurrentText("denoise")
    assert panel.widgets["color"].currentText() == "layer:rgb"
    panel.run()
    driven.until(lambda: panel.process is None, 90)
    assert panel.picture is not None and panel.picture.width() == window.model.size[0]
    below = panel.report.geometry
    driven.until(lambda: below().top() >= panel.preview.geometry().bottom() > 100)
    assert panel.preview.height() == panel.preview.pixmap().height() > 100
    driven.shot("test_plugin")


def test_timeline_live_and_from_a_file(driven: Any, tmp_path: Path) -> None:
    window, panel = driven.window, driven.window.panels.timeline
    window.docks["Timeline"].show()
    driven.frame(lambda f: f.spp == 4)
    driven.until(lambda: panel.bars.spans)
    assert any(span.name.startswith("picture") for span in panel.bars.spans)
    driven.shot("test_timeline")
    trace = Trace(events=True)
    with Scheduler(threads=False, trace=trace) as scheduler:
        scheduler.submit(Task("mine", lambda: np.zeros(9).sum()))[0].result()
    trace.write(tmp_path / "t.json")
    panel.open(tmp_path / "t.json")
    assert [span.name for span in panel.bars.spans] == ["mine"] and not panel.live.isChecked()
    box, _ = panel.bars.boxes()[0]
    assert panel.bars.told(box.center()).startswith("mine (PERCEIVE)")
    assert panel.bars.told(QPointF(-5, -5)) == ""
    (tmp_path / "bad.json").write_text("{}")
    panel.open(tmp_path / "bad.json")
    assert "is no trace" in window.banner.text()
    assert [span.name for span in panel.bars.spans] == ["mine"]
