"""Damaged files against every loader, for a given time: python tools/fuzz.py --time 600

A seed file of each kind (.gltf, .glb, .xml, .mtlx, .exr, .eta) is changed at random and loaded in
a process that may die of it. Right is what loads, or fails with one `EtendueError`; anything else
(another exception, a crash, a hang, too much memory) is a finding, and its file is kept. Equal
seeds change the same files in the same order. The exit code is 1 when anything was found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 30.0  # for one file
MEMORY = 8 << 30  # bytes of address space of a loader
INTERESTING = tuple(
    (
        b'-1 0 1e39 NaN 4294967296 -9223372036854775808 null "" [] {} true 1e-320 ../../x '
        b"99999999999999999999"
    ).split()
)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def seeds(folder: Path) -> dict[str, Path]:
    """A valid file of each kind, by suffix."""
    import numpy as np
    from trimesh.creation import box as make_box
    from trimesh.exchange.gltf import export_glb, export_gltf
    from trimesh.scene import Scene
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    from etendue.api import bake_material
    from etendue.core.image import write_exr

    found = {}
    box = make_box()
    box.visual = TextureVisuals(
        uv=np.zeros((len(box.vertices), 2)),
        material=PBRMaterial(
            baseColorFactor=[200, 90, 40, 255], metallicFactor=0.4, roughnessFactor=0.6
        ),
    )
    found[".glb"] = folder / "box.glb"
    found[".glb"].write_bytes(export_glb(Scene(box)))
    files = export_gltf(Scene(box), embed_buffers=True)
    found[".gltf"] = folder / "box.gltf"
    found[".gltf"].write_bytes(files["model.gltf"])
    shutil.copytree(ROOT / "assets/scenes/showcase", folder / "showcase")
    found[".xml"] = folder / "sphere.xml"
    found[".xml"].write_bytes((ROOT / "assets/scenes/sphere.xml").read_bytes())
    shutil.copytree(ROOT / "assets/materials/textures", folder / "textures")
    found[".mtlx"] = folder / "material.mtlx"
    found[".mtlx"].write_bytes((ROOT / "assets/materials/pearl_candy.mtlx").read_bytes())
    found[".exr"] = folder / "image.exr"
    rng = np.random.default_rng(0)
    write_exr(found[".exr"], {"rgb": rng.random((16, 12, 3)).astype(np.float32)}, {"a": 1})
    found[".eta"] = folder / "material.eta"
    bake_material(found[".mtlx"], found[".eta"], steps=32, resolution=8)
    return found


def load(path: Path) -> None:
    """What a command would do with the file first."""
    kind = path.suffix
    if kind in (".gltf", ".glb", ".xml"):
        from etendue.render.build import build
        from etendue.scene.scene import load_scene

        build(load_scene(path), size=(8, 8), variant="scalar_rgb")
    elif kind == ".mtlx":
        from etendue.scene.materialx import load_material

        load_material(path, None, 16)
    elif kind == ".exr":
        from etendue.core.image import read_image, read_metadata, read_parts

        read_image(path)
        read_parts(path)
        read_metadata(path)
    else:
        from etendue.artifact import read_material
        from etendue.bsdf.neural import check_material
        from etendue.formats.material import plain
        from etendue.render.path.slang_neural import DataBuilder

        artifact = read_material(path, None)
        check_material(path, artifact)
        plain(artifact.header, artifact.tensors)
        DataBuilder().add_neural(artifact)


def serve(link: Connection) -> None:
    """Load one file after the other and tell how it went."""
    from etendue.core.errors import EtendueError
    from etendue.device.drjit import activate

    activate("scalar_rgb")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while True:
        try:
            path = link.recv()
        except EOFError:
            return
        try:
            load(path)
            link.send(("loads", ""))
        except EtendueError as error:
            text = str(error)
            link.send(("an error", text))
        except BaseException as error:
            link.send(("finding", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The same file with one to four things wrong."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not changed:
            break
        rng.choice(MUTATIONS)(changed, rng)
    return bytes(changed)


def _flip(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 8))
    data[at : at + size] = rng.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * size


def _cut(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 4, 64, len(data)))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(data)), rng.choice((1, 8, 64))
    data[at:at] = data[at : at + size] * rng.choice((1, 2, 16))


def _number(data: bytearray, rng: random.Random) -> None:
    found = list(NUMBER.finditer(data))
    if found:
        match = rng.choice(found)
        data[match.start() : match.end()] = rng.choice(INTERESTING)


def _word(data: bytearray, rng: random.Random) -> None:
    found = list(re.finditer(rb"[A-Za-z_]{3,}", data))
    if found:
        a, b = rng.choice(found), rng.choice(found)
        data[a.start() : a.end()] = data[b.start() : b.end()]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _overwrite, _cut, _repeat, _number, _number, _word,
)  # fmt: skip


def sign(path: Path, rng: random.Random) -> bytes:
    """An artifact with something wrong in it whose checksum is right all the same."""
    import numpy as np

    from etendue.artifact import Artifact, read_artifact, write_artifact

    artifact = read_artifact(path)
    header, tensors = dict(artifact.header), dict(artifact.tensors)
    name = rng.choice(list(tensors))
    value = tensors[name]
    wrong: tuple[Callable[[], Any], ...] = (
        lambda: value[..., :-1],
        lambda: value.ravel(),
        lambda: np.full_like(value, np.nan),
        lambda: np.full_like(value, np.inf),
        lambda: value.astype(np.int32),
        lambda: np.concatenate([value, value]),
        lambda: value[:0],
    )
    if rng.random() < 0.5:
        tensors[name] = np.ascontiguousarray(rng.choice(wrong)())
    elif rng.random() < 0.3:
        del tensors[name]
    else:
        place: Any = header
        key = rng.choice(list(place))
        while isinstance(place[key], dict) and place[key] and rng.random() < 0.7:
            place[key] = place = dict(place[key])
            key = rng.choice(list(place))
        values: tuple[Any, ...] = (None, -1, 0, 1e30, "x", [], {}, 2**40, 1.5, True)
        place[key] = rng.choice(values)
    signed = path.with_name("signed.eta")
    write_artifact(signed, Artifact(header, tensors))
    return signed.read_bytes()


class Loader:
    """A process that loads, replaced when it dies."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.start()

    def start(self) -> None:
        self.link, there = self.context.Pipe()
        self.process = self.context.Process(target=serve, args=(there,), daemon=True)
        self.process.start()
        there.close()

    def __call__(self, path: Path) -> tuple[str, str]:
        """(what happened, details)."""
        self.link.send(path)
        try:
            if self.link.poll(PATIENCE_S):
                return self.link.recv()
            found = ("finding", f"hangs for more than {PATIENCE_S:.0f} s")
        except (EOFError, ConnectionError):
            self.process.join()
            found = ("finding", f"the process died ({self.process.exitcode})")
        self.process.kill()
        self.process.join()
        self.start()
        return found


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    p.add_argument("--time", type=float, default=600.0, help="seconds")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--kinds", nargs="+", help="suffixes, all unless given")
    p.add_argument("--keep", type=Path, default=ROOT / "out" / "fuzz", help="folder of findings")
    arguments = p.parse_args(argv)
    rng, counts = random.Random(arguments.seed), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="etendue-fuzz-") as folder:
        files = seeds(Path(folder))
        kinds = arguments.kinds or list(files)
        loader, end = Loader(), time.monotonic() + arguments.time
        for kind in kinds:
            what, details = loader(files[kind])
            if what != "loads":
                raise SystemExit(f"fuzz: the seed {kind} does not load ({what}) {details}")
        number = 0
        while time.monotonic() < end:
            kind = kinds[number % len(kinds)]
            path = Path(folder, f"case{kind}")
            signs = kind == ".eta" and rng.random() < 0.7
            whole = files[kind].read_bytes()
            path.write_bytes(sign(files[kind], rng) if signs else mutate(whole, rng))
            what, details = loader(path)
            counts[kind, what] += 1
            if what == "finding" or details.count("\n") > 12:
                _keep(arguments.keep, path, number, details)
            number += 1
        loader.process.kill()
    for (kind, what), count in sorted(counts.items()):
        print(f"{kind:6s} {what:9s} {count}")
    return int(any(what == "finding" for _, what in counts))


def _keep(folder: Path, path: Path, number: int, details: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{number:06d}{path.suffix}"
    kept.write_bytes(path.read_bytes())
    kept.with_suffix(".txt").write_text(details)
    print(f"{kept}: {details.splitlines()[0] if details else 'a long error'}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
