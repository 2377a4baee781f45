"""`etendue bake A.mtlx B.mtlx ... --cluster`: one material and seed per worker."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from etendue.commands._render_progress import Progress
from etendue.core.errors import InputError
from etendue.core.files import atomic_path


@dataclass(frozen=True)
class Wanted:
    """The options of one call; `minutes` plan the steps on the workers, None takes `settings`'."""

    materials: tuple[Path, ...]
    name: str | None
    seeds: tuple[int, ...]
    folder: Path
    settings: Any
    minutes: float | None


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0,1,2` as integers, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise InputError("--seeds", "cannot be read", got=repr(text), expected="0,1,2")
    return tuple(dict.fromkeys(int(part) for part in parts))


def outputs(wanted: Wanted) -> dict[Path, tuple[Path, int]]:
    """File to write -> (material, seed); names must not collide."""
    found: dict[Path, tuple[Path, int]] = {}
    for material in wanted.materials:
        for seed in wanted.seeds:
            suffix = f"-seed{seed}" if len(wanted.seeds) > 1 else ""
            out = wanted.folder / f"{material.stem}{suffix}.eta"
            if out in found:
                raise InputError(out, "two bakes would write it", fix="Rename one material")
            found[out] = (material, seed)
    return found


def bake_on_cluster(address: str, wanted: Wanted) -> dict[str, Any]:
    """Bake everything and write what succeeded as it ends; the first failure rises at the end."""
    from etendue.bake.cluster import Baked, bake_remote
    from etendue.schedule import Priority, Task
    from etendue.schedule.bundle import pack
    from etendue.schedule.remote import Cluster

    jobs = outputs(wanted)
    bundles = {material: pack([material]) for material in wanted.materials}
    rows: dict[Path, dict[str, Any]] = {}
    failures: list[Exception] = []
    with Cluster(address) as cluster, Progress("baking") as progress:
        shared = {material: cluster.share(bundle) for material, bundle in bundles.items()}
        tasks = []
        for out, (material, seed) in jobs.items():
            settings = replace(wanted.settings, seed=seed)
            args = (shared[material], str(material.absolute()), wanted.name, settings)
            run = partial(bake_remote, *args, wanted.minutes)
            tasks.append(Task(f"bake {out.stem}", run, priority=Priority.BAKE))
        progress(0, len(tasks))
        for place, result in cluster.finished(*tasks, failures=failures):
            baked: Baked = result
            out, (material, seed) = list(jobs.items())[place]
            with atomic_path(out) as temporary:
                temporary.write_bytes(baked.data)
            for note in baked.notes:
                print(f"note: {material.stem}: {note}", file=sys.stderr)
            rows[out] = {
                "file": str(out),
                "bytes": len(baked.data),
                "steps": baked.steps,
                "seconds": round(baked.seconds, 1),
                "seed": seed,
            }
            progress(len(rows), len(tasks))
    if failures:
        raise failures[0]
    return {"files": [rows[out] for out in jobs]}
