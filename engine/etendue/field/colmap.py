"""Sparse models of COLMAP, text or binary: poses, lenses and points of photos.

The layouts are those of COLMAP's documentation ("Output Format"): cameras, images and points3D,
in `sparse/0`, `sparse` or the folder itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError

# name, number of parameters, of which the first are focal lengths; two more are the principal point
LENSES = (
    ("SIMPLE_PINHOLE", 3, 1), ("PINHOLE", 4, 2), ("SIMPLE_RADIAL", 4, 1), ("RADIAL", 5, 1),
    ("OPENCV", 8, 2), ("OPENCV_FISHEYE", 8, 2), ("FULL_OPENCV", 12, 2), ("FOV", 5, 2),
    ("SIMPLE_RADIAL_FISHEYE", 4, 1), ("RADIAL_FISHEYE", 5, 1), ("THIN_PRISM_FISHEYE", 12, 2),
)  # fmt: skip
FOLDERS = ("sparse/0", "sparse", ".")
OUTLIERS = 2.0  # % of the points on either side that do not count for the box
MOST = 1 << 24  # entries that a file can sensibly have


@dataclass(frozen=True)
class Lens:
    """A camera of a model."""

    width: int
    height: int
    focal: tuple[float, float]  # px
    principal: tuple[float, float]  # px


@dataclass(frozen=True)
class Shot:
    """A posed photo; `pose` (4, 4) from camera to world, OpenGL axes."""

    name: str
    pose: np.ndarray
    lens: Lens


@dataclass(frozen=True)
class Model:
    """Everything that is read of a model."""

    shots: tuple[Shot, ...]
    points: np.ndarray  # (n, 3)

    def box(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Corners of the box that the points fill but for outliers; None without points."""
        if len(self.points) < 8:
            return None
        low, high = np.percentile(self.points, [OUTLIERS, 100 - OUTLIERS], axis=0)
        return low, high


def find(folder: Path) -> Path | None:
    """Where below `folder` a model lies."""
    for place in FOLDERS:
        for suffix in (".bin", ".txt"):
            if all((folder / place / f"{n}{suffix}").is_file() for n in ("cameras", "images")):
                return folder / place
    return None


def read_model(folder: Path) -> Model:
    """The model in `folder`; `InputError` names the file and what is wrong with it."""
    binary = (folder / "cameras.bin").is_file() and (folder / "images.bin").is_file()
    suffix = ".bin" if binary else ".txt"
    files = {n: folder / f"{n}{suffix}" for n in ("cameras", "images", "points3D")}
    cameras, images, points = (
        (_cameras_bin, _images_bin, _points_bin) if binary else
        (_cameras_txt, _images_txt, _points_txt)
    )  # fmt: skip
    lenses = _guarded(files["cameras"], cameras)
    shots = []
    for name, camera, q, t in _guarded(files["images"], images):
        if camera not in lenses:
            raise InputError(files["images"], f"{name} is of a camera that is not there",
                             got=camera)  # fmt: skip
        shots.append(Shot(name, _pose(files["images"], name, q, t), lenses[camera]))
    shots.sort(key=lambda shot: shot.name)
    found = _guarded(files["points3D"], points) if files["points3D"].is_file() else []
    return Model(tuple(shots), np.array(found, float).reshape(-1, 3))


def _guarded(file: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(file)
    except InputError:
        raise
    except (OSError, ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise InputError(
            file, f"cannot be read as a COLMAP model ({type(error).__name__}: {error})"
        ) from None


def _pose(file: Path, name: str, q: list[float], t: list[float]) -> np.ndarray:
    """Of a rotation (w, x, y, z) and translation from world to camera, axes right, down, ahead."""
    values = np.array(q, float)
    length = np.linalg.norm(values)
    if not (np.isfinite(values).all() and np.isfinite(t).all() and length > 1e-8):
        raise InputError(file, f"the pose of {name} is none", got=f"{q} {t}")
    w, x, y, z = values / length
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    pose = np.eye(4)
    pose[:3, :3] = turn.T * [1.0, -1.0, -1.0]
    pose[:3, 3] = -turn.T @ np.array(t, float)
    return pose


def _lens(file: Path, camera: int, model: str, size: tuple[int, int], params: list[float]) -> Lens:
    known = {name: (count, focals) for name, count, focals in LENSES}
    if model not in known or len(params) != known[model][0]:
        raise InputError(file, f"camera {camera} has an unknown lens", got=model,
                         expected=", ".join(known))  # fmt: skip
    focals = known[model][1]
    focal = (params[0], params[focals - 1])
    middle, bent = params[focals : focals + 2], params[focals + 2 :]
    if "FISHEYE" in model or model == "FOV" or any(abs(v) > 1e-9 for v in bent):
        raise InputError(file, f"the lens of camera {camera} distorts", got=model,
                         fix="Undistort the pictures first: colmap image_undistorter")  # fmt: skip
    if not (np.isfinite(params).all() and min(focal) > 0 and min(size) > 0):
        raise InputError(file, f"camera {camera} is not usable", got=f"{size} {params}")
    return Lens(*size, focal, (middle[0], middle[1]))


def _lines(file: Path) -> Iterator[list[str]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield line.split()


def _cameras_txt(file: Path) -> dict[int, Lens]:
    found = {}
    for words in filter(None, _lines(file)):
        number, size = int(words[0]), (int(words[2]), int(words[3]))
        found[number] = _lens(file, number, words[1], size, [float(v) for v in words[4:]])
    return found


def _images_txt(file: Path) -> list[tuple[str, int, list[float], list[float]]]:
    found = []
    for words in list(_lines(file))[::2]:  # every other line holds points
        if words:
            numbers = [float(v) for v in words[1:8]]
            found.append((" ".join(words[9:]), int(words[8]), numbers[:4], numbers[4:]))
    return found


def _points_txt(file: Path) -> list[list[float]]:
    return [[float(v) for v in words[1:4]] for words in filter(None, _lines(file))]


class _Bytes:
    """A cursor in a binary file."""

    def __init__(self, file: Path) -> None:
        self._data, self._at = file.read_bytes(), 0

    def take(self, form: str) -> tuple[float, ...]:
        values = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def count(self) -> int:
        (number,) = self.take("Q")
        if number > MOST:
            raise ValueError(f"{number} entries")
        return int(number)

    def skip(self, size: int) -> None:
        if self._at + size > len(self._data):
            raise ValueError("ends early")
        self._at += size

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        found = self._data[self._at : end].decode("utf-8")
        self._at = end + 1
        return found


def _cameras_bin(file: Path) -> dict[int, Lens]:
    data, found = _Bytes(file), {}
    for _ in range(data.count()):
        number, model, width, height = map(int, data.take("iiQQ"))
        if not 0 <= model < len(LENSES):
            raise ValueError(f"lens number {model}")
        name, count, _ = LENSES[model]
        found[number] = _lens(file, number, name, (width, height), list(data.take(f"{count}d")))
    return found


def _images_bin(file: Path) -> list[tuple[str, int, list[float], list[float]]]:
    data, found = _Bytes(file), []
    for _ in range(data.count()):
        _, *numbers = data.take("i7d")
        (camera,) = data.take("i")
        name = data.text()
        data.skip(24 * data.count())
        found.append((name, int(camera), list(numbers[:4]), list(numbers[4:])))
    return found


def _points_bin(file: Path) -> list[tuple[float, ...]]:
    data, found = _Bytes(file), []
    for _ in range(data.count()):
        found.append(data.take("Q3d")[1:])
        data.skip(11)  # colour and error
        data.skip(8 * data.count())
    return found
