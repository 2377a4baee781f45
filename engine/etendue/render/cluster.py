"""Tiles of a picture on the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from etendue.render.build import BuiltScene
from etendue.render.film import Film
from etendue.render.tiles import Tile, merge, order, render_tile, rows
from etendue.scene.scene import Scene
from etendue.schedule import Priority, Task
from etendue.schedule.remote import Cluster

TILES_PER_CORE = 4  # they differ in cost
THREADS = 1  # per worker, which has one core


def render_tiles(
    cluster: Cluster,
    scene: Scene,
    built: BuiltScene,
    building: dict[str, Any],
    options: dict[str, Any],
    progress: Callable[[int, int], None],
) -> Film:
    """The picture of `built`, whose workers build it again; Ctrl-C keeps finished tiles.

    `building` are the options that `build` got, `options` those of `path.drjit.render`.
    """
    width, height = built.size
    wanted = cluster.share(order(scene, **building))
    crops = rows(width, height, TILES_PER_CORE * cluster.cores)
    tasks = [
        Task(f"tile {k}", partial(render_tile, wanted, crop, THREADS, options), **_URGENT)
        for k, crop in enumerate(crops)
    ]
    tiles: list[Tile] = []
    total, done = width * height * options["spp"], 0
    progress(done, total)
    try:
        for _, tile in cluster.finished(*tasks):
            tiles.append(tile)
            done += tile.crop[2] * tile.crop[3] * options["spp"]
            progress(done, total)
    except KeyboardInterrupt:
        if not tiles:
            raise
    return merge(tiles, width, height, options["spp"], options["seed"])


_URGENT: dict[str, Any] = {"priority": Priority.FRAME}
