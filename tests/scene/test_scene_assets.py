"""The meshes of the own scenes: reproducible, smooth, consistently oriented."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "assets/scenes/showcase"


@pytest.fixture(scope="module")
def tool() -> dict:
    return runpy.run_path(str(ROOT / "tools/make_scene.py"))


def test_the_tool_writes_the_committed_files(
    tool: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_scene.py", "--out", str(tmp_path)])
    tool["main"]()
    made = sorted(path.name for path in (tmp_path / "showcase").iterdir())
    assert made == sorted(p.name for p in FOLDER.iterdir() if p.suffix in (".ply", ".hdr"))
    for name in made:
        assert (tmp_path / "showcase" / name).read_bytes() == (FOLDER / name).read_bytes(), name


@pytest.mark.parametrize("name", ["ball", "ring", "plinth", "swatch", "sweep"])
def test_faces_follow_normals_and_tangents_follow_u(tool: dict, name: str) -> None:
    mesh = tool[name]()
    np.testing.assert_allclose(np.linalg.norm(mesh["n"], axis=1), 1.0, atol=1e-9)
    assert np.isfinite(mesh["uv"]).all() and mesh["f"].max() < len(mesh["p"])
    p, n, uv = (mesh[key][mesh["f"]] for key in ("p", "n", "uv"))
    e1, e2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    flat = np.cross(e1, e2)
    assert (np.einsum("ij,ij->i", flat, n.mean(1)) > 0).all()
    # seen from outside, u grows to the right and v downwards: dp/du x dp/dv points inwards
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    assert (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0] < 0).all()
