"""`etendue bake` of several materials: equal files, resume, names, and what is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from etendue.artifact import read_material
from etendue.cli import main

from .test_bake import PLAIN, ROOT, Output, _interrupted_after, _small_bakes, plain, refused

FIXTURES = (_small_bakes, plain, refused)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.mtlx"
    path.write_text(PLAIN.replace("plain", "other").replace('"0.4"', '"0.2"'))
    return path


def test_several_materials_become_a_set(
    plain: Path, other: Path, tmp_path: Path, capsys: Output
) -> None:
    """Equal bytes by the command that is printed, the new name, errors of every material."""
    out = tmp_path / "set.eta"
    args = [str(plain), f"second={other}#other", "-o", str(out), "--steps", "9", "--arch", "2x16"]
    assert main(["bake", *args, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in figures["materials"]] == ["plain", "second"]
    assert all(row["heldout"][0]["relative"] > 0 for row in figures["materials"])
    assert read_material(out, "second").header["name"] == "second"
    first = out.read_bytes()
    out.unlink()
    assert main(shlex.split(figures["reproduce"])[1:]) == 0
    assert out.read_bytes() == first
    assert "second, mip 0: relative error" in capsys.readouterr().out
    new = tmp_path / "new.eta"
    assert main(["bake", str(other), "-o", str(new), "--decoder", str(out), "--steps", "6"]) == 0
    donor, found = read_material(out, "plain").tensors, read_material(new).tensors
    assert np.array_equal(donor["evaluator.w0"], found["evaluator.w0"])


def test_a_set_is_interrupted_and_resumed(
    plain: Path, other: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.eta", tmp_path / "x.eta"
    args = [str(plain), str(other), "--arch", "2x16"]
    assert main(["bake", *args, "-o", str(whole), "--steps", "12"]) == 0
    assert _interrupted_after(1, monkeypatch, *args, "-o", str(out), "--steps", "12") == 130
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "x.eta.checkpoint").exists() and not out.exists()
    assert main(["bake", *args, "-o", str(out), "--resume"]) == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("option", "fix"),
    [
        (("--material", "plain"), "FILE.mtlx#MATERIAL"),
        (("--report", "pictures"), "Bake without it"),
        (("--latents", "cb3"), "requantise set.eta#NAME"),
        (("--weights", "f16"), "requantise set.eta#NAME"),
        (("--seeds", "0,1"), "--cluster"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_not_known_of_sets(
    option: tuple[str, ...],
    fix: str,
    plain: Path,
    other: Path,
    tmp_path: Path,
    refused: Callable[..., None],
) -> None:
    refused(fix, plain, other, "-o", tmp_path / "x.eta", "--steps", 3, *option)


def test_materials_that_cannot_share_a_decoder(
    plain: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    out = ("-o", tmp_path / "x.eta", "--steps", 3)
    refused("two materials of the set have one name; got plain", plain, plain, *out)
    glass = ROOT / "assets" / "materials" / "frosted_glass.mtlx"
    refused("Frosted_Glass: transmits: it cannot be in a set", plain, glass, *out)
    refused("no such MaterialX file", plain, tmp_path / "gone.mtlx", *out)
    refused("holds no such material; got none", f"{plain}#none", *out)
    refused("--material: excludes", f"{plain}#plain", "--material", "plain", *out)


def test_decoders_that_cannot_be_taken_over(
    plain: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    out = ("-o", tmp_path / "x.eta", "--steps", 3)
    (tmp_path / "bad.eta").write_bytes(b"{" * 100)
    refused("not an etendue artifact", plain, "--decoder", tmp_path / "bad.eta", *out)
    refused("cannot be read", plain, "--decoder", tmp_path / "none.eta", *out)
