"""Captured sets: poses are those of the pictures, alpha and depth are exact, nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.core.errors import InputError
from etendue.core.image import read_image
from etendue.field.data import load_photos
from etendue.render.capture import NOTE, Shoot, capture
from etendue.scene.scene import load_scene

SHOOT = Shoot(views=3, tests=2, size=(24, 16), spp=4)
SCENE = """<scene version="3.0.0">
  <sensor type="perspective"><float name="fov" value="30"/></sensor>
  <emitter type="constant"/>
  <shape type="sphere" id="Ball"><point name="center" x="1" y="2" z="3"/>
    <float name="radius" value="0.5"/><bsdf type="diffuse"/></shape>
</scene>"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("scene") / "ball.xml"
    path.write_text(SCENE)
    return load_scene(path)


@pytest.fixture(scope="module")
def folder(scene: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "ball"
    seen: list[tuple[int, int]] = []
    capture(scene, folder, SHOOT, lambda done, total: seen.append((done, total)))
    assert seen == [(k, 5) for k in range(1, 6)]
    return folder


def test_rays_of_the_set_meet_what_the_pictures_show(folder: Path) -> None:
    """A white ball in a white room: where rays hit it, alpha is 1 and depth the distance."""
    data = load_photos(folder)
    assert (len(data.train), len(data.test)) == (3, 2)
    np.testing.assert_allclose(data.cube.centre, [1, 2, 3], atol=1e-5)
    assert data.cube.side == pytest.approx(1.02, rel=1e-4)
    for k, (view, picture) in enumerate(zip(data.train.views, data.train.pictures, strict=True)):
        rays = view.rays(data.cube)
        to = 0.5 - rays.origin
        along = (to * rays.direction).sum(-1)
        off = (to - along[:, None] * rays.direction).norm(dim=-1) * data.cube.side
        alpha = torch.from_numpy(picture[..., 3].reshape(-1))
        assert (alpha[off < 0.44] == 1).all() and (alpha[off > 0.56] == 0).all()
        assert 20 < (off < 0.44).sum() and (off > 0.56).sum() > 20
        depth = read_image(folder / f"depth/train_{k:03d}.exr").reshape(-1)
        inside = off < 0.4
        expected = along * data.cube.side - (0.25 - off**2).clamp(min=0).sqrt()
        np.testing.assert_allclose(depth[inside], expected[inside], rtol=0.02)
        assert (picture[..., :3].reshape(-1, 3)[off > 0.56] == 0).all(), "the room is not captured"


def test_what_is_there_is_left_alone(scene: Any, folder: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")}
    missing = folder / "test" / "001.png"
    whole = missing.read_bytes()
    missing.unlink()
    capture(scene, folder, SHOOT, lambda done, total: None)
    assert missing.read_bytes() == whole, "the same bits as without an interruption"
    assert all(p.stat().st_mtime_ns == t for p, t in before.items() if p != missing)


def test_other_folders_are_refused(scene: Any, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds pictures of another scene or other views"):
        capture(scene, folder, replace(SHOOT, spp=5), lambda done, total: None)
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="is not an empty folder"):
        capture(scene, tmp_path, SHOOT, lambda done, total: None)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert json.loads((folder / NOTE).read_text())["shoot"]["views"] == 3
    for bad in (Shoot(views=0), Shoot(tests=0), Shoot(spp=0), Shoot(fov=0.0), Shoot(lowest=1.0)):
        with pytest.raises(InputError, match="out of range"):
            bad.check()
