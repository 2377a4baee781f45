"""`etendue plugins list | info | run | bench` on own plugins and on those of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from etendue.cli import main
from etendue.core.image import read_image, write_exr

Output = pytest.CaptureFixture[str]
GRID = np.full((6, 6, 6), -1.0, np.float32)
GRID[2:4, 2:4, 2:4] = 1.0


def answer(capsys: Output, *argv: str) -> Any:
    assert main(["plugins", *argv, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def complaint(capsys: Output, *argv: str, code: int = 2) -> str:
    assert main(["plugins", *argv]) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.fixture
def extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A draft, a broken plugin and one whose import fails."""
    folder = tmp_path / "extra"
    text = 'name = "{}"\nslot = "field"\nsummary = "s"\nstatus = "{}"\n'
    text += '[[variants]]\nname = "reference"\nentry = "model:build"\noracle = true\n'
    for name, status in (("a_draft", "draft"), ("a_broken", "done"), ("a_failing", "stable")):
        (folder / name).mkdir(parents=True)
        (folder / name / "plugin.toml").write_text(text.format(name, status))
        (folder / name / "model.py").write_text("def build(seed): ...\n")
    (folder / "a_failing" / "model.py").write_text("import no_such_module\n")
    monkeypatch.setenv("ETENDUE_PLUGINS", str(folder))
    return folder


def test_list_hides_drafts_and_tells_why_something_is_broken(extra: Path, capsys: Output) -> None:
    rows = {row["name"]: row for row in answer(capsys, "list")}
    assert "a_draft" not in rows
    assert "status is wrong; got 'done'" in rows["a_broken"]["reason"]
    assert rows["a_failing"]["reason"] == "" and rows["denoise"]["reason"] == ""
    assert rows["marching_cubes"]["variants"] == ["skimage", "torch", "torch_cuda"]
    assert main(["plugins", "list"]) == 0
    text = capsys.readouterr().out
    assert "BROKEN: " in text and "1 draft not shown (--all)" in text
    assert "a_draft" in {row["name"] for row in answer(capsys, "list", "--all")}


def test_list_can_try_the_imports(extra: Path, capsys: Output) -> None:
    rows = {row["name"]: row for row in answer(capsys, "list", "--load")}
    assert "no_such_module" in rows["a_failing"]["reason"]
    assert rows["a_failing"]["status"] == "broken"
    assert rows["marching_cubes"]["status"] == "stable"


def test_info_says_what_speaks_against_each_variant(capsys: Output) -> None:
    info = answer(capsys, "info", "marching_cubes")
    assert info["inputs"]["spacing"] == "float32 (3), optional"
    against = {row["name"]: row["reasons"] for row in info["variants"]}
    assert against["skimage"] == []
    assert main(["plugins", "info", "marching_cubes"]) == 0
    assert "skimage (oracle): can run here" in capsys.readouterr().out


def test_info_of_something_that_is_not_there(capsys: Output) -> None:
    assert "expected marching_cubes" in complaint(capsys, "info", "marching_cube")


def test_a_grid_becomes_a_mesh_file(tmp_path: Path, capsys: Output) -> None:
    np.save(tmp_path / "grid.npy", GRID)
    mesh, faces = tmp_path / "mesh.ply", tmp_path / "faces.npy"
    figures = answer(
        capsys,
        *("run", "marching_cubes", "--in", f"values={tmp_path / 'grid.npy'}", "--in", "level=0"),
        *("--out", str(mesh), "--out", f"faces={faces}"),
    )
    assert figures["variant"] == "skimage"
    assert figures["files"] == [str(mesh), str(faces)]
    loaded: Any = trimesh.load(mesh, process=False)
    assert loaded.is_watertight and loaded.volume > 0
    assert len(np.load(faces)) == figures["outputs"]["faces"]["shape"][0] == len(loaded.faces)


def test_a_picture_with_parts_is_denoised(tmp_path: Path, capsys: Output) -> None:
    pytest.importorskip("mitsuba_oidn")
    noisy, clean = tmp_path / "noisy.exr", tmp_path / "clean.exr"
    rng = np.random.default_rng(0)
    rgb = rng.gamma(2.0, 0.5, (24, 32, 3)).astype(np.float32)
    parts = {"rgb": rgb, "albedo": np.full_like(rgb, 0.5), "depth": rgb[..., 0]}
    write_exr(noisy, parts)
    arguments = ("run", "denoise", "--in", str(noisy), "--out", f"color={clean}")
    answer(capsys, *arguments)
    found = read_image(clean)
    assert found.shape == rgb.shape
    assert found.std() < 0.5 * rgb.std()


def test_the_example_runs_and_all_outputs_go_into_one_file(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "all.npz"
    arguments = ("run", "marching_cubes", "--variant", "torch", "--out", str(file))
    assert main(["plugins", *arguments]) == 0
    assert "marching_cubes.torch: " in capsys.readouterr().out
    with np.load(file) as archive:
        assert set(archive.files) == {"vertices", "faces"}
        np.savez(tmp_path / "in.npz", values=GRID, level=np.float64(0), other=1)
    figures = answer(capsys, "run", "marching_cubes", "--in", str(tmp_path / "in.npz"))
    assert figures["outputs"]["vertices"]["shape"][1] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--in", "value=1"), "no such input; got value, expected values, level, spacing"),
        (("--in", "values=GRID.txt"), "cannot be read; got GRID.txt"),
        (("--in", "values=absent.npy"), "absent.npy: no such file"),
        (("--in", "absent.npz"), "absent.npz: no such file"),
        (("--in", "level=0"), "values: missing"),
        (("--in", "values=0", "--in", "level=0"), "values: got shape ()"),
        (("--out", "faces=x.exe"), "unknown format"),
        (("--out", "x.exr"), "expected .npz or .ply"),
        (("--out", "normals=x.npy"), "no such output; got normals"),
        (("--variant", "fast"), "has no such variant; got fast"),
    ],
)
def test_wrong_options(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in complaint(capsys, "run", "marching_cubes", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_variant_that_cannot_run_says_why(capsys: Output) -> None:
    from etendue.plugins.variants import capabilities

    if "cuda" in capabilities().kinds:
        pytest.skip("this machine has a GPU")
    text = complaint(capsys, "run", "marching_cubes", "--variant", "torch_cuda", code=3)
    assert "needs a cuda device" in text


def test_bench_gives_figures(capsys: Output) -> None:
    pytest.importorskip("mitsuba_oidn")
    found = answer(capsys, "bench", "denoise", "--runs", "1")
    assert [row["n"] for row in found["rows"]] == [1, 1, 1]
    assert found["rows"][0]["over_first"] == 1.0
    assert found["machine"]["threads"] > 0
    assert "out of range" in complaint(capsys, "bench", "denoise", "--runs", "0")
