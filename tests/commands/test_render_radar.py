"""`etendue render --sensor radar`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from etendue.cli import main
from etendue.render.radar.file import read_adc
from etendue.render.radar.process import range_doppler

SCENE = """<scene version="3.0.0">
    <sensor type="perspective">
        <transform name="to_world">
            <lookat origin="1, 2, 0.5" target="1, 5, 0.5" up="0, 0, 1"/>
        </transform>
    </sensor>
    <shape type="sphere" id="Ball"><point name="center" x="1" y="5" z="0.5"/>
        <float name="radius" value="0.15"/></shape>
</scene>"""
RADAR = """[waveform]
samples = 64
loops = 16
[cast]
rays = [160, 80]
[shapes]
"Ball" = "metal"
[motion.Ball]
velocity = [0, 0.8, 0]
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    (tmp_path / "radar.toml").write_text(RADAR)
    path = tmp_path / "scene.xml"
    path.write_text(SCENE)
    return path


def test_a_frame_from_the_cameras_place(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "frame.h5"
    args = ["render", str(scene), "-o", str(out), "--sensor", "radar",
            "--radar", str(tmp_path / "radar.toml"), "--json"]  # fmt: skip
    assert main(args) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["shape"] == [16, 12, 16, 64] and figures["scatterers"] > 20
    radar, adc = read_adc(out)
    seen = np.square(np.abs(range_doppler(radar, adc))).mean((1, 2))
    speed, distance = np.unravel_index(np.argmax(seen), seen.shape)
    assert (speed - 8) * radar.speed_bin == pytest.approx(0.8, abs=radar.speed_bin)
    assert distance * radar.waveform.range_bin == pytest.approx(2.85, abs=0.2)


def test_a_picture_of_a_frame(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / "frame.png"
    args = ["--sensor", "radar", "--radar", str(tmp_path / "radar.toml"), "-q"]
    assert main(["render", str(scene), "-o", str(out), *args]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["-o", "a.exr", "--sensor", "radar"], "takes no radar frame; got .exr"),
        (["-o", "a.h5", "--sensor", "radar", "--spp", "4"], "--spp: goes together with"),
        (["-o", "a.h5", "--sensor", "radar", "--denoise"], "--denoise: goes together with"),
        (["-o", "a.h5", "--sensor", "radar", "--aov", "depth"], "is no part of a radar frame"),
        (["-o", "a.h5", "--sensor", "lidar"], "--sensor: is unknown; got lidar"),
        (["-o", "a.png", "--radar", "radar.toml"], "--radar: goes together with"),
        (["-o", "a.h5", "--sensor", "radar", "--radar", "none.toml"], "none.toml: cannot be read"),
    ],
)
def test_one_clear_error(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, args: list[str], told: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["render", str(scene), *args]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert not list(tmp_path.glob("a.*"))


def test_motion_of_no_shape(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "radar.toml").write_text(RADAR.replace("motion.Ball", "motion.Bell"))
    args = ["--sensor", "radar", "--radar", str(tmp_path / "radar.toml")]
    assert main(["render", str(scene), "-o", str(tmp_path / "a.h5"), *args]) == 2
    assert "motion of Bell: is of no shape here" in capsys.readouterr().err
