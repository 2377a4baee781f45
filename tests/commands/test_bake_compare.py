"""`etendue bake --compare`: a bake per value, kept when it goes on, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etendue.bake.settings import BakeSettings
from etendue.cli import main
from etendue.commands._bake_compare import parse_compare
from etendue.core.errors import InputError
from etendue.report import front

Output = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
PLAIN = """<?xml version="1.0"?>
<materialx version="1.39">
  <standard_surface name="SR_plain" type="surfaceshader">
    <input name="base_color" type="color3" value="0.6, 0.3, 0.2" />
  </standard_surface>
  <surfacematerial name="plain" type="material">
    <input name="surfaceshader" type="surfaceshader" nodename="SR_plain" />
  </surfacematerial>
</materialx>
"""


def test_values_become_settings() -> None:
    plain = BakeSettings(steps=10)
    found = parse_compare("arch=2x16,3x64", plain)
    assert list(found) == ["arch-2x16", "arch-3x64"]
    assert [s.arch for s in found.values()] == ["2x16", "3x64"]
    assert {s.steps for s in found.values()} == {10}
    switched = parse_compare("reciprocal=true,false", plain)
    assert [s.reciprocal for s in switched.values()] == [True, False]


@pytest.mark.parametrize(
    "text", ["arch", "arch=2x16", "arch=2x16,2x16", "colour=a,b", "seed=1,x", "arch=2x16,9x9"]
)
def test_bad_comparisons(text: str) -> None:
    with pytest.raises(InputError):
        parse_compare(text, BakeSettings(steps=10))


def test_front_and_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    small = front.FrontSettings(size=(16, 12), spp=2, views=1, rounds=1, timed_spp=1)
    monkeypatch.setattr(front, "FrontSettings", lambda: small)
    document = tmp_path / "plain.mtlx"
    document.write_text(PLAIN)
    command = ["bake", str(document), "-o", str(tmp_path / "f"), "--compare", "arch=2x16,2x32"]
    command += ["--steps", "2", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in first["rows"]] == ["arch-2x16", "arch-2x32"]
    assert Path(first["front"]).is_file()
    names = {p.name for p in (tmp_path / "f").glob("*.eta")}
    assert names == {"plain-arch-2x16.eta", "plain-arch-2x32.eta"}
    stamps = {name: (tmp_path / "f" / name).stat().st_mtime_ns for name in names}
    assert main([*command, "--resume"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {name: (tmp_path / "f" / name).stat().st_mtime_ns for name in names} == stamps
    assert [row["flip"] for row in again["rows"]] == [row["flip"] for row in first["rows"]]


def test_refusals(tmp_path: Path, capsys: Output) -> None:
    document = tmp_path / "plain.mtlx"
    document.write_text(PLAIN)
    for words, told in (
        (["-o", str(tmp_path / "x.eta")], "is a folder with --compare"),
        (["-o", str(tmp_path / "x"), "--report", "r"], "--report: is not known to --compare"),
        (["-o", str(tmp_path / "x"), "--cluster", "local"], "--cluster: excludes"),
    ):
        assert main(["bake", str(document), *words, "--compare", "arch=2x16,2x32"]) == 2
        assert told in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["plain.mtlx"]
