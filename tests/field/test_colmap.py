"""Models of COLMAP: text and binary say the same as `transforms.json`, and faults are named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from etendue.core.errors import InputError
from etendue.core.image import write_png
from etendue.field.colmap import LENSES, find, read_model
from etendue.field.data import load_photos
from etendue.field.rays import look_at

EYES = [(4.0, 1.0, 0.5), (-1.0, 3.0, 2.0), (0.3, -0.5, -5.0), (2.0, 2.0, 2.0)]


def shots() -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, pose, quaternion (w, x, y, z) and translation of cameras that look at (1, 0, 0)."""
    found = []
    for k, eye in enumerate(EYES):
        pose = look_at(eye, [1, 0, 0])
        turn = (pose[:3, :3] * [1, -1, -1]).T  # world to camera: right, down, ahead
        q = Rotation.from_matrix(turn).as_quat()[[3, 0, 1, 2]]
        found.append((f"p {k}.png", pose, q, -turn @ pose[:3, 3]))
    return found


def points() -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.concatenate([generator.uniform([0, -1, -1], [2, 1, 1], (500, 3)), [[90, 0, 0]]])


def write_text(folder: Path, lens: str = "PINHOLE 12 8 10 11 6 4") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cameras.txt").write_text(f"# cameras\n7 {lens}\n")
    lines = ["# images"]
    for k, (name, _, q, t) in enumerate(shots()):
        lines += [f"{k + 1} {' '.join(map(repr, [*map(float, q), *map(float, t)]))} 7 {name}", ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [f"{k} {x} {y} {z} 1 2 3 0.5 1 0" for k, (x, y, z) in enumerate(points())]
    (folder / "points3D.txt").write_text("\n".join(rows) + "\n")


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    camera = struct.pack("<QiiQQ4d", 1, 7, 1, 12, 8, 10, 11, 6, 4)
    (folder / "cameras.bin").write_bytes(camera)
    images = struct.pack("<Q", len(EYES))
    for k, (name, _, q, t) in enumerate(shots()):
        images += struct.pack("<i7di", k + 1, *q, *t, 7) + name.encode() + b"\0"
        images += struct.pack("<Qddq", 1, 0.5, 0.5, -1)
    (folder / "images.bin").write_bytes(images)
    rows = struct.pack("<Q", len(points()))
    for k, p in enumerate(points()):
        rows += struct.pack("<Q3d3BdQii", k, *p, 1, 2, 3, 0.5, 1, 1, 0)
    (folder / "points3D.bin").write_bytes(rows)


def pictures(folder: Path) -> None:
    for name, *_ in shots():
        write_png(folder / "images" / name, np.full((4, 6, 3), 0.25, np.float32), encode=False)


@pytest.mark.parametrize("write", [write_text, write_binary])
def test_poses_lenses_and_points(write: object, tmp_path: Path) -> None:
    write(tmp_path / "sparse" / "0")  # type: ignore[operator]
    pictures(tmp_path)
    assert find(tmp_path) == tmp_path / "sparse/0"
    model = read_model(tmp_path / "sparse/0")
    assert [shot.name for shot in model.shots] == [name for name, *_ in shots()]
    for shot, (_, pose, _, _) in zip(model.shots, shots(), strict=True):
        np.testing.assert_allclose(shot.pose, pose, atol=1e-9)
    assert model.points.shape == (501, 3)
    data = load_photos(tmp_path)
    assert (len(data.train), len(data.test)) == (3, 1)
    view = data.train.views[0]  # pictures are half as large as the lens says
    assert (view.width, view.height) == (6, 4)
    assert view.focal == (5.0, 5.5) and view.principal == (3.0, 2.0)
    np.testing.assert_allclose(data.cube.centre, [1, 0, 0], atol=0.1)
    assert 1.8 < data.cube.side < 2.1, "the outlier does not count"


def test_faults_are_named(tmp_path: Path) -> None:
    write_text(tmp_path)
    pictures(tmp_path)
    (tmp_path / "images" / "p 2.png").unlink()
    with pytest.raises(InputError, match=r"p 2\.png: its picture is missing"):
        load_photos(tmp_path)
    for lens, message in (
        ("OPENCV 12 8 10 11 6 4 0.1 0 0 0", "the lens of camera 7 distorts; got OPENCV"),
        ("FOV 12 8 10 11 6 4 0", "the lens of camera 7 distorts"),
        ("PINHOLE 12 8 10 11 6", "camera 7 has an unknown lens"),
        ("PINHOLE 12 8 0 11 6 4", "camera 7 is not usable"),
        ("PINHOLE twelve 8 10 11 6 4", "cannot be read as a COLMAP model"),
    ):
        write_text(tmp_path, lens)
        with pytest.raises(InputError, match=message):
            read_model(tmp_path)
    write_text(tmp_path, "OPENCV 12 8 10 11 6 4 0 0 0 0")
    assert read_model(tmp_path).shots[0].lens.focal == (10.0, 11.0)
    text = (tmp_path / "images.txt").read_text()
    (tmp_path / "images.txt").write_text(text.replace(" 7 p 1.png", " 9 p 1.png"))
    with pytest.raises(InputError, match=r"p 1\.png is of a camera that is not there; got 9"):
        read_model(tmp_path)
    (tmp_path / "images.txt").write_text("1 0 0 0 0 1 2 3 7 a.png\n\n")
    with pytest.raises(InputError, match=r"the pose of a\.png is none"):
        read_model(tmp_path)
    assert find(tmp_path / "images") is None and len(LENSES) == 11


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_every_shortened_file_is_an_error(name: str, tmp_path: Path) -> None:
    write_binary(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for size in sorted({*range(0, len(whole), max(1, len(whole) // 40)), len(whole) - 1}):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read as a COLMAP model"):
            read_model(tmp_path)
