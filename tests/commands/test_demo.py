"""`etendue demo` end to end on few texels, and its errors."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from etendue.artifact import read_artifact
from etendue.bake import settings as bake_settings
from etendue.cli import main
from etendue.report import page as report_page

Output = pytest.CaptureFixture[str]


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few texels per step, one view, one incidence, few samples for the speed."""
    from etendue.bake import checks

    class SmallBake(bake_settings.BakeSettings):
        def __init__(self, **kwargs: object) -> None:
            small = {"texels": 64, "pool": 2, "pairs": 4, "walks": 2, "arch": "2x16"}
            super().__init__(**{**small, **kwargs})  # type: ignore[arg-type]

    class SmallReport(report_page.ReportSettings):
        def __init__(self, **kwargs: object) -> None:
            small = {"views": 1, "equal_error_spp": 1, "repeats": 1}
            super().__init__(**{**small, **kwargs})  # type: ignore[arg-type]

    monkeypatch.setattr(bake_settings, "BakeSettings", SmallBake)
    monkeypatch.setattr(report_page, "ReportSettings", SmallReport)
    monkeypatch.setattr(checks, "INCIDENCES", (40.0,))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_small")
def test_bakes_renders_and_reports(tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "new" / "demo"
    args = ["demo", "-o", str(out), "--material", "glazed_ceramic", "--resolution", "16"]
    args += ["--time", "0.001", "--size", "24x18", "--spp", "2", "--json"]
    assert main(args) == 0
    told = capsys.readouterr()
    figures = json.loads(told.out)
    assert "demo: loading glazed_ceramic.mtlx" in told.err
    assert figures["report"] == str(out / "report.html") and (out / "report.html").is_file()
    artifact = read_artifact(out / "material.eta", kind="material")
    steps = artifact.header["provenance"]["settings"]["steps"]
    assert steps == figures["settings"]["steps"] == 8, "one pool is the least"
    assert figures["seconds"] > figures["bake"]["seconds"] > 0
    assert f"--steps {steps} --seed 0" in figures["bake"]["reproduce"]
    assert shlex.split(figures["bake"]["reproduce"].splitlines()[0])[:2] == ["etendue", "bake"]
    assert not list(out.glob("*.checkpoint"))


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("--material: unknown; got velvet, expected car_paint | ", ["--material", "velvet"]),
        ("--size: cannot be read; got 'big'", ["--size", "big"]),
        ("--resolution: does not fit; got 100", ["--resolution", "100"]),
        ("--seed: is out of range; got -1", ["--seed", "-1"]),
    ],
)
def test_unusable_options(tmp_path: Path, capsys: Output, words: str, options: list[str]) -> None:
    assert main(["demo", "-o", str(tmp_path / "out"), *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ") and told.err.count("\n") == 1 and words in told.err
    assert list(tmp_path.iterdir()) == []
