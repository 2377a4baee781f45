"""A picture in tiles that other processes render: bit for bit the picture of one process.

Paths depend on seed, pixel and sample only (see `path.drjit`), so it does not matter who renders a
tile, how large it is, or whether it was rendered twice because a worker died.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from etendue.device.caps import cache_folder
from etendue.device.drjit import DEFAULT_VARIANT
from etendue.render.build import BuiltScene, build
from etendue.render.film import Film
from etendue.scene.scene import Scene
from etendue.schedule.bundle import Bundle, pack, unpack
from etendue.schedule.remote import shared

Crop = tuple[int, int, int, int]  # x, y, width, height


@dataclass(frozen=True, eq=False)
class Order:
    """What to render: a scene with the files it needs, and the options of `build`."""

    scene: Scene
    bundle: Bundle
    options: Mapping[str, Any]
    key: str  # SHA-256 over all of it

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Order) and other.key == self.key


@dataclass(frozen=True)
class Tile:
    """A rendered rectangle."""

    crop: Crop
    film: Film


def order(scene: Scene, **options: Any) -> Order:
    """An order for `render_tile`; packs the scene's files."""
    bundle = packed(scene)
    content = pickle.dumps((scene, sorted(options.items()), bundle.digest))
    return Order(scene, bundle, options, hashlib.sha256(content).hexdigest())


def packed(scene: Scene) -> Bundle:
    """The files that a description names and does not hold."""
    xml = scene.xml
    folders = xml.folders if xml is not None else ()
    text = xml.text.encode() if xml is not None else b""
    text += b" ".join(f'value="{v}"'.encode() for v in (xml.parameters.values() if xml else ()))
    files = [_file(path)[0] for path in scene.assignments.values()]
    return pack([*files, *(volume.path for volume in scene.fields)], folders, text)


def _file(path: Path) -> tuple[Path, str]:
    """`FILE.mtlx#NAME` as the file and `#NAME`."""
    if path.is_file() or "#" not in path.name:
        return path, ""
    stem, _, name = path.name.partition("#")
    return path.with_name(stem), f"#{name}"


def rows(width: int, height: int, count: int) -> list[Crop]:
    """About `count` bands of equal height, from the top."""
    count = max(1, min(count, height))
    edges = [height * k // count for k in range(count + 1)]
    return [(0, a, width, b - a) for a, b in pairwise(edges)]


def render_tile(wanted: Any, crop: Crop, threads: int, options: Mapping[str, Any]) -> Tile:
    """Render one tile in this process; the scene is built once per process."""
    import drjit as dr

    built = _built(shared(wanted))
    from etendue.render.path.drjit import render

    before = dr.thread_count()
    dr.set_thread_count(threads)
    try:
        return Tile(crop, render(built.mi_scene, fields=built.fields, crop=crop, **options))
    finally:
        dr.set_thread_count(before)


@lru_cache(maxsize=1)
def _built(job: Order) -> BuiltScene:
    root = unpack(job.bundle, cache_folder() / "bundles")
    xml, scene = job.scene.xml, job.scene
    if xml is not None:
        folders = tuple(job.bundle.moved(folder, root) for folder in xml.folders)
        scene = replace(scene, xml=replace(xml, folders=(*folders, *xml.folders)))
    assignments = {}
    for pattern, path in scene.assignments.items():
        file, name = _file(path)
        moved = job.bundle.moved(file, root)
        assignments[pattern] = moved.with_name(moved.name + name)
    fields = tuple(replace(f, path=job.bundle.moved(f.path, root)) for f in scene.fields)
    scene = replace(scene, assignments=assignments, fields=fields)
    return build(scene, variant=DEFAULT_VARIANT, **job.options)


def merge(tiles: list[Tile], width: int, height: int, spp: int, seed: int) -> Film:
    """The picture that `tiles` make; pixels without a tile are black and have no samples."""
    ordered = sorted(tiles, key=lambda tile: tile.crop)
    first = ordered[0].film
    parts = {"rgb": first.rgb, "squares": first.squares, "counts": first.counts, **first.aovs}
    whole = {n: np.zeros((height, width, *a.shape[2:]), a.dtype) for n, a in parts.items()}
    for tile in ordered:
        x, y, w, h = tile.crop
        film = tile.film
        images = {"rgb": film.rgb, "squares": film.squares, "counts": film.counts, **film.aovs}
        for name, image in images.items():
            whole[name][y : y + h, x : x + w] = image
    (x, y, *_), place = ordered[0].crop, first.place
    return Film(
        rgb=whole.pop("rgb"),
        squares=whole.pop("squares"),
        counts=whole.pop("counts"),
        spp_wanted=spp,
        seed=seed,
        aovs=whole,
        metadata={**first.metadata, "samples": sum(tile.film.samples for tile in ordered)},
        invalid=sum(tile.film.invalid for tile in ordered),
        place=None if place is None else (place[0] - x, place[1] - y, *place[2:]),
        world_to_camera=first.world_to_camera,
    )
