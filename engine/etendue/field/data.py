"""Posed photos: `transforms*.json` of Blender-synthetic sets, instant-ngp, nerfstudio; COLMAP."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.core.errors import InputError
from etendue.core.image import read_image, require_finite
from etendue.field import colmap
from etendue.field.march import span
from etendue.field.rays import Cube, Rays, View

SUFFIXES = ("", ".png", ".jpg", ".jpeg")  # of pictures whose name has none
HOLD_OUT = 8  # one picture in so many, where a set does not say which
BLENDER = Cube((0.0, 0.0, 0.0), 3.0)  # what the synthetic sets lie in


@dataclass(frozen=True)
class Photos:
    """Views with their pictures, sRGB-encoded, alpha not multiplied in."""

    views: tuple[View, ...]
    pictures: tuple[np.ndarray, ...]  # (H, W, 4) float32 each
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True)
class Dataset:
    """Photos to learn from and to judge by, and the cube that they show."""

    train: Photos
    test: Photos
    cube: Cube
    distance: float  # of the cameras from the cube's middle, in sides


@dataclass(frozen=True)
class Pixels:
    """Every pixel of some photos."""

    rays: Rays
    color: Tensor  # (n, 3), alpha multiplied in
    alpha: Tensor  # (n,)


def load_photos(folder: Path, box: Sequence[float] | None = None) -> Dataset:
    """Read a set; `box` (x0, y0, z0, x1, y1, z1) says where what it shows lies.

    Raises `InputError` that names the file and the frame for missing pictures and poses that are
    none.
    """
    folder = Path(folder)
    files = {part: folder / f"transforms_{part}.json" for part in ("train", "test", "val")}
    single = folder / "transforms.json"
    if files["train"].is_file():
        train, described = _read(files["train"])
        held = next((f for f in (files["test"], files["val"]) if f.is_file()), None)
        test = _read(held)[0] if held is not None else _every(train, held=True)
        train = train if held is not None else _every(train, held=False)
    elif single.is_file():
        both, described = _read(single)
        train, test = _every(both, held=False), _every(both, held=True)
    elif (model := colmap.find(folder)) is not None:
        both, found = _posed(folder, colmap.read_model(model))
        train, test, described = _every(both, held=False), _every(both, held=True), {"fl_x": 0}
        box = found if box is None else box
    else:
        raise InputError(
            folder,
            "holds no transforms.json or transforms_train.json, and no model of COLMAP",
            fix="Give the folder of a Blender, instant-ngp, nerfstudio or COLMAP set",
        )
    cube = _cube(folder, described, train, box)
    _check_seen(folder, train, cube)
    eyes = np.array([view.pose[:3, 3] for view in train.views])
    distance = float(np.median(np.linalg.norm(eyes - np.array(cube.centre), axis=1))) / cube.side
    return Dataset(train, test, cube, distance)


def pixels(photos: Photos, cube: Cube) -> Pixels:
    """All pixels in one go."""
    rays = [view.rays(cube) for view in photos.views]
    flat = np.concatenate([picture.reshape(-1, 4) for picture in photos.pictures])
    values = torch.from_numpy(flat)
    alpha = values[:, 3]
    return Pixels(
        Rays(torch.cat([r.origin for r in rays]), torch.cat([r.direction for r in rays])),
        values[:, :3] * alpha[:, None],
        alpha,
    )


def _check_seen(folder: Path, photos: Photos, cube: Cube) -> None:
    """Most photos show the cube, or it is not where what they show lies."""
    blind = [
        name for view, name in zip(photos.views, photos.names, strict=True) if not _sees(view, cube)
    ]
    if 2 * len(blind) > len(photos):
        x, y, z = cube.centre
        raise InputError(
            folder,
            f"{len(blind)} of {len(photos)} photos do not show the cube, {blind[0]} the first",
            got=f"a cube of side {cube.side:.4g} at ({x:.4g}, {y:.4g}, {z:.4g})",
            fix="Say with --box where what they show lies",
        )


def _sees(view: View, cube: Cube) -> bool:
    """Whether any of a lattice of a photo's rays meets the cube."""
    columns, rows = (torch.linspace(0, n - 1, 16).long() for n in (view.width, view.height))
    lattice = (rows[:, None] * view.width + columns).reshape(-1)
    near, far = span(view.rays(cube, lattice))
    return bool((far > near).any())


def _read(file: Path) -> tuple[Photos, dict[str, Any]]:
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
        frames = described["frames"]
        assert isinstance(frames, list) and frames
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise InputError(file, f"is no list of frames ({type(error).__name__}: {error})") from None
    views, pictures, names = [], [], []
    for k, frame in enumerate(frames):
        name = f"{file}: frame {k}"
        picture = _picture(file.parent, name, frame)
        views.append(_view(name, {**described, **frame}, picture.shape))
        pictures.append(picture)
        names.append(str(frame["file_path"]))
    return Photos(tuple(views), tuple(pictures), tuple(names)), described


def _posed(folder: Path, model: colmap.Model) -> tuple[Photos, list[float] | None]:
    """The photos of a model of COLMAP, and the box that its points fill."""
    pictures = next((p for p in (folder / "images", folder) if p.is_dir()), folder)
    views, read = [], []
    for shot in model.shots:
        picture = _picture(pictures, str(shot.name), {"file_path": shot.name})
        height, width = picture.shape[:2]
        across, down = width / shot.lens.width, height / shot.lens.height
        focal = (shot.lens.focal[0] * across, shot.lens.focal[1] * down)
        middle = (shot.lens.principal[0] * across, shot.lens.principal[1] * down)
        views.append(View(shot.pose, width, height, focal, middle))
        read.append(picture)
    corners = model.box()
    box = None if corners is None else np.concatenate(corners).tolist()
    return Photos(tuple(views), tuple(read), tuple(s.name for s in model.shots)), box


def _picture(folder: Path, name: str, frame: Any) -> np.ndarray:
    path = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(path, str) or not path:
        raise InputError(name, "has no file_path", got=path)
    found = next((p for s in SUFFIXES if (p := folder / f"{path}{s}").is_file()), None)
    if found is None:
        raise InputError(name, "its picture is missing", got=folder / path)
    values = require_finite(found, read_image(found))
    if values.shape[2] not in (3, 4):
        raise InputError(found, "is not in colour", got=f"{values.shape[2]} channels")
    if values.shape[2] == 3:
        values = np.concatenate([values, np.ones_like(values[..., :1])], -1)
    return np.clip(values, 0.0, 1.0)


def _view(name: str, given: dict[str, Any], shape: tuple[int, ...]) -> View:
    try:
        pose = np.array(given["transform_matrix"], np.float64)
        turn = pose[:3, :3]
        sound = pose.shape in ((4, 4), (3, 4)) and bool(np.isfinite(pose).all())
    except (KeyError, ValueError, TypeError, IndexError):
        sound, pose, turn = False, np.zeros((4, 4)), np.zeros((3, 3))
    if not sound or not np.allclose(turn @ turn.T, np.eye(3), atol=2e-2) or np.linalg.det(turn) < 0:
        raise InputError(
            name, "its transform_matrix is no pose",
            got=given.get("transform_matrix"), expected="a rotation and a place, 4x4",
        )  # fmt: skip
    height, width = shape[:2]
    scale = width / float(given.get("w", width))  # of pictures that were made smaller since
    if "fl_x" in given:
        fx = float(given["fl_x"]) * scale
        fy = float(given.get("fl_y", given["fl_x"])) * scale
    elif "camera_angle_x" in given:
        fx = fy = width / 2 / math.tan(float(given["camera_angle_x"]) / 2)
    else:
        raise InputError(name, "has no focal length", expected="fl_x or camera_angle_x")
    if not (math.isfinite(fx) and math.isfinite(fy) and fx > 0 and fy > 0):
        raise InputError(name, "its focal length is not usable", got=(fx, fy))
    if any(float(given.get(k, 0.0)) for k in ("k1", "k2", "k3", "p1", "p2")):
        raise InputError(name, "its lens distorts", fix="Undistort the pictures first")
    middle = (float(given.get("cx", width / 2 / scale)) * scale,
              float(given.get("cy", height / 2 / scale)) * scale)  # fmt: skip
    full = np.eye(4)
    full[: pose.shape[0]] = pose
    return View(full, width, height, (fx, fy), middle)


def _every(photos: Photos, *, held: bool) -> Photos:
    if len(photos) < 2:
        raise InputError("photos", "are too few", got=len(photos), expected="at least 2")
    kept = set(range(HOLD_OUT // 2, len(photos), HOLD_OUT)) or {len(photos) - 1}
    rows = [k for k in range(len(photos)) if (k in kept) == held]
    parts = ((getattr(photos, n)[k] for k in rows) for n in ("views", "pictures", "names"))
    return Photos(*map(tuple, parts))  # type: ignore[arg-type]


def _cube(
    folder: Path, described: dict[str, Any], photos: Photos, box: Sequence[float] | None
) -> Cube:
    """Given, written in the set, that of Blender's sets, or about the point that all look at."""
    if box is not None:
        return Cube.around(box[:3], box[3:], margin=1.0)
    own = described.get("etendue")
    if isinstance(own, dict):
        try:
            centre, side = own["cube"]["centre"], float(own["cube"]["side"])
            x, y, z = map(float, centre)
            return Cube((x, y, z), side)
        except (KeyError, TypeError, ValueError):
            raise InputError(folder, "its cube cannot be read") from None
    if "fl_x" not in described and "camera_angle_x" in described:
        return BLENDER
    eyes = np.array([view.pose[:3, 3] for view in photos.views])
    axes = np.array([-view.pose[:3, 2] for view in photos.views])
    away = np.eye(3) - axes[:, :, None] * axes[:, None]  # least squares distance to all axes
    centre = np.linalg.lstsq(away.sum(0), (away @ eyes[..., None]).sum(0)[:, 0], rcond=None)[0]
    side = 1.2 * float(np.median(np.linalg.norm(eyes - centre, axis=1)))
    x, y, z = centre.tolist()
    return Cube((x, y, z), side)
