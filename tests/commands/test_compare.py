"""`etendue compare` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from etendue.cli import main
from etendue.core.image import read_image, write_exr, write_png


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two slightly different pictures."""
    picture = np.random.default_rng(0).random((16, 20, 3)).astype(np.float32)
    a, b = tmp_path / "a.exr", tmp_path / "b.exr"
    write_exr(a, {"rgb": picture})
    write_exr(b, {"rgb": picture * 0.9, "depth": picture[..., 0]})
    return a, b


def test_table(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, pair)]) == 0
    out = capsys.readouterr().out
    assert "LDR-FLIP" in out and "PSNR" in out and "SSIM" in out and len(out.splitlines()) == 8


def test_json_and_picture(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = tmp_path / "flip.png"
    assert main(["compare", *map(str, pair), "--json", "-o", str(shown)]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["width"], figures["height"]) == (20, 16)
    assert 0 < figures["flip"] < 0.3 and 0 < figures["rel_mse"] < 0.02
    assert figures["mean_difference"] < 0
    assert read_image(shown).shape == (16, 20, 3)


def test_equal_pictures_in_two_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = np.linspace(0, 1, 16 * 16 * 3).reshape(16, 16, 3).astype(np.float32)
    write_exr(tmp_path / "a.exr", {"rgb": levels})
    write_png(tmp_path / "a.png", levels)
    assert main(["compare", str(tmp_path / "a.exr"), str(tmp_path / "a.png"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["psnr_db"] > 50 and figures["ssim"] > 0.999


def test_errors_are_one_line(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.exr"
    write_exr(small, {"rgb": np.ones((4, 4, 3), np.float32)})
    broken = tmp_path / "nan.exr"
    write_exr(broken, {"rgb": np.full((16, 20, 3), np.nan, np.float32)})
    picture = str(pair[0])
    for arguments, word in (
        ([picture, str(tmp_path / "none.exr")], "no such image"),
        ([picture, str(small)], "differs in size"),
        ([picture, str(broken)], "NaN"),
        ([picture, picture, "-o", str(tmp_path / "x.txt")], "unknown kind of picture"),
        ([picture, picture, "--exposure", "1000"], "out of range"),
    ):
        assert main(["compare", *arguments]) == 2, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and word in lines[0], lines
    assert not (tmp_path / "x.txt").exists()
