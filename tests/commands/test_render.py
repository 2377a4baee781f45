"""`etendue render`: pictures, figures, and one clear error for everything that can be wrong."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.cli import main
from etendue.commands import _render_progress
from etendue.core.color import ACESCG, REC709, convert_primaries
from etendue.core.image import read_image, read_parts

ROOT = Path(__file__).parents[2]
SPHERE = str(ROOT / "assets/scenes/sphere.xml")
SMALL = ["--size", "24x18", "--spp", "4"]


def figures(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert main(["render", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("backend", ["drjit", "mitsuba"])
def test_a_picture_with_figures_and_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    out = tmp_path / "new" / "out.exr"
    args = (SPHERE, "-o", str(out), *SMALL, "--aov", "depth,normal", "--backend", backend)
    result = figures(capsys, *args)
    assert (result["width"], result["height"], result["spp"]) == (24, 18, 4)
    assert result["backend"] == backend and result["shapes"] == ["KeyLight", "Sphere", "Floor"]
    parts = read_parts(out)
    assert list(parts) == ["rgb", "depth", "normal"] == result["parts"]
    np.testing.assert_allclose(parts["rgb"].mean((0, 1)), result["mean"], rtol=1e-4)
    # the sphere's centre is 6.33 from the camera, its near side a unit closer
    assert parts["depth"][9, 12, 0] == pytest.approx(5.3, abs=0.15)
    assert parts["normal"][9, 12, 2] > 0.9


def test_same_seed_same_bytes_other_seed_other_picture(tmp_path: Path) -> None:
    pictures = []
    for number, seed in enumerate(("3", "3", "4")):
        out = tmp_path / f"{number}.exr"
        assert main(["render", SPHERE, "-o", str(out), *SMALL, "--seed", seed, "-q"]) == 0
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize("backend", ["drjit", "mitsuba"])
def test_a_picture_in_acescg_is_the_same_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    args = (SPHERE, *SMALL, "--aov", "albedo,normal", "--backend", backend)
    plain, aces = str(tmp_path / "plain.exr"), str(tmp_path / "aces.exr")
    figures(capsys, *args, "-o", plain)
    figures(capsys, *args, "-o", aces, "--colors", "acescg")
    before, after = read_parts(plain), read_parts(aces)
    np.testing.assert_array_equal(before["normal"], after["normal"])
    for name in ("rgb", "albedo"):
        back = convert_primaries(after[name], ACESCG, REC709)
        np.testing.assert_allclose(back, before[name], atol=1e-5)
    assert main(["compare", plain, aces, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rel_mse"] < 1e-9


def test_crop_and_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    result = figures(capsys, SPHERE, "-o", str(out), *SMALL, "--crop", "2,3,8,6")
    assert (result["width"], result["height"]) == (8, 6)
    assert read_image(out).shape == (6, 8, 3)


def test_interrupting_keeps_what_is_done(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    def interrupt(self: _render_progress.Progress, done: int, total: int) -> None:
        if done > 0:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_render_progress.Progress, "__call__", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a program starts with
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    for backend in ("drjit", "mitsuba"):
        out = tmp_path / f"{backend}.png"
        args = ["render", SPHERE, "-o", str(out), "--size", "8x8", "--spp", "1000000"]
        assert main([*args, "--backend", backend]) == 130
        assert "interrupted: kept" in capsys.readouterr().err
        assert read_image(out).mean() > 0.05


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["gone.xml", "-o", "a.png"], "no such file"),
        ([SPHERE, "-o", "a.jpg"], "unknown kind of picture"),
        ([SPHERE, "-o", "a"], "unknown kind of picture"),
        ([SPHERE, "-o", "a.png", "--aov", "depth"], "needs an .exr"),
        ([SPHERE, "-o", "a.exr", "--aov", "smell"], "smell"),
        ([SPHERE, "-o", "a.png", "--colors", "acescg"], "needs an .exr"),
        ([SPHERE, "-o", "a.exr", "--colors", "p3"], "rec709, acescg"),
        ([SPHERE, "-o", "a.exr", "--lit"], "--lit: goes together with --field only"),
        ([SPHERE, "-o", "a.png", "--size", "0x0"], "--size"),
        ([SPHERE, "-o", "a.png", "--size", "-4x4"], "--size"),
        ([SPHERE, "-o", "a.png", "--size", "60000x60000"], "--size"),
        ([SPHERE, "-o", "a.png", "--size", "big"], "--size"),
        ([SPHERE, "-o", "a.png", "--crop", "0,0,9999,9"], "--crop"),
        ([SPHERE, "-o", "a.png", "--spp", "0"], "--spp"),
        ([SPHERE, "-o", "a.png", "--seed", "-1"], "--seed"),
        ([SPHERE, "-o", "a.png", "--max-depth", "0"], "--max-depth"),
        ([SPHERE, "-o", "a.png", "--backend", "cuda"], "--backend"),
        ([SPHERE, "-o", "a.png", "--device", "tpu"], "--device"),
        ([SPHERE, "-o", "a.png", "--camera", "left"], "has no camera 'left'"),
        ([SPHERE, "-o", "a.png", "--search", "nowhere"], "--search"),
        ([SPHERE, "-o", "a.png", "-D", "widht=3"], "widht"),
        ([SPHERE, "-o", "a.png", "-D", "width"], "-D"),
        ([SPHERE, "-o", "a.png", "--material", "Sphere=gone.eta"], "gone.eta: no such file"),
        ([SPHERE, "-o", "a.png", "--material", "Sphere"], "--material"),
        ([SPHERE, "-o", "a.png", "--material", "Sphere=a.png"], "unknown kind of material"),
        (["bad.glb", "-o", "a.png"], "not a GLB file"),
    ],
)
def test_one_clear_error_and_nothing_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.glb").write_bytes(b"PK\3\4" * 20)
    assert main(["render", *args]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1 and words in lines[0], captured.err
    assert captured.out == "" and os.listdir() == ["bad.glb"]


def test_an_unknown_shape_lists_the_shapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.mtlx").write_text("<materialx version='1.39'/>")
    args = [SPHERE, "-o", str(tmp_path / "a.png"), "--material", f"Sphere,Bal={tmp_path}/m.mtlx"]
    assert main(["render", *args]) == 2
    assert "has no shape 'Bal'. Shapes: KeyLight, Sphere, Floor" in capsys.readouterr().err


def test_an_unwritable_folder_is_found_out_before_rendering(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["render", "gone.xml", "-o", str(tmp_path / "file" / "a.png")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    (tmp_path / "dir.png").mkdir()
    assert main(["render", "gone.xml", "-o", str(tmp_path / "dir.png")]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_without_llvm_the_scalar_variant_renders_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from etendue.device import caps

    answer = {"usable": False, "why": "no libLLVM"}
    monkeypatch.setattr(caps, "llvm_answer", lambda: answer)
    out = tmp_path / "out.png"
    assert main(["render", SPHERE, "-o", str(out), "--size", "16x12", "--spp", "4"]) == 0
    captured = capsys.readouterr()
    assert "LLVM is not usable (no libLLVM)" in captured.err
    assert read_image(out).mean() > 0.05
    assert main(["render", SPHERE, "-o", str(out), *SMALL, "--backend", "drjit"]) == 3
    assert "no libLLVM" in capsys.readouterr().err
    monkeypatch.undo()
    from etendue.device.drjit import activate

    activate()  # back to the default for the tests that follow


def test_resume_without_a_checkpoint_says_that_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.exr"
    assert main(["render", SPHERE, "-o", str(out), *SMALL, "--resume"]) == 0
    assert f"there is no checkpoint of {out}: rendering from the" in capsys.readouterr().err
    assert main(["render", SPHERE, "-o", str(out), *SMALL]) == 0
    assert "checkpoint" not in capsys.readouterr().err
