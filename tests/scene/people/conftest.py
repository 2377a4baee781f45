"""Small motions and bodies for the tests of people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from etendue.scene.people.body import Body
from etendue.scene.people.capsules import capsule_body

# bone: parent, offset (arbitrary units, y up, arms out, looking along z)
TREE = {
    "Hips": ("", (0, 0, 0)),
    "Ab": ("Hips", (0, 8, 0)),
    "Chest": ("Ab", (0, 22, 0)),
    "Neck": ("Chest", (0, 22, 0)),
    "Head": ("Neck", (0, 11, 0)),
    "LeftCollar": ("Chest", (0, 20, 0)),
    "LeftShoulder": ("LeftCollar", (18, 0, 0)),
    "LeftElbow": ("LeftShoulder", (26, 0, 0)),
    "LeftWrist": ("LeftElbow", (24, 0, 0)),
    "RightCollar": ("Chest", (0, 20, 0)),
    "RightShoulder": ("RightCollar", (-18, 0, 0)),
    "RightElbow": ("RightShoulder", (-26, 0, 0)),
    "RightWrist": ("RightElbow", (-24, 0, 0)),
    "LeftHip": ("Hips", (10, 0, 0)),
    "LeftKnee": ("LeftHip", (0, -42, 0)),
    "LeftAnkle": ("LeftKnee", (0, -43, 0)),
    "LeftToes": ("LeftAnkle", (0, -6, 15)),
    "RightHip": ("Hips", (-10, 0, 0)),
    "RightKnee": ("RightHip", (0, -42, 0)),
    "RightAnkle": ("RightKnee", (0, -43, 0)),
    "RightToes": ("RightAnkle", (0, -6, 15)),
}
RATE = 50.0


def angles(bone: str, t: np.ndarray) -> np.ndarray:
    """Degrees (n, 3) about z, x and y of a bone at times t."""
    number = list(TREE).index(bone)
    size = 4.0 if bone in ("Hips", "Ab", "Chest", "Neck", "Head") else 25.0
    phase = number * 1.3 + np.array([0.0, 1.0, 2.0])
    turn = size * np.sin(2 * np.pi * t[:, None] * np.array([0.5, 0.8, 0.4]) + phase)
    if bone.endswith("Knee"):
        turn = np.stack([0 * t, 30 + 25 * np.sin(2 * np.pi * t + number), 0 * t], -1)
    return turn


def bvh_text(seconds: float = 2.0) -> str:
    """A whole file in the manner of Boxing_Toes.bvh."""
    t = np.arange(0, seconds, 1 / RATE)
    hips = np.stack([10 * t, 92 + 2 * np.sin(6 * t), 30 * t], -1)
    rows = np.concatenate([hips, *(angles(bone, t) for bone in TREE)], 1)

    def block(bone: str) -> str:
        parent, offset = TREE[bone]
        place = "Xposition Yposition Zposition " if not parent else ""
        head = f"{'JOINT' if parent else 'ROOT'} {bone}\n{{\nOFFSET {' '.join(map(str, offset))}\n"
        count = 3 if parent else 6
        head += f"CHANNELS {count} {place}Zrotation Xrotation Yrotation\n"
        children = "".join(block(b) for b, (p, _) in TREE.items() if p == bone)
        end = "End Site\n{\nOFFSET " + _tip(bone) + "\n}\n"
        return head + (children or end) + "}\n"

    motion = "\n".join(" ".join(f"{x:.6f}" for x in row) for row in rows)
    head = f"MOTION\nFrames: {len(t)}\nFrame Time: {1 / RATE}\n"
    return f"HIERARCHY\n{block('Hips')}{head}{motion}\n"


def _tip(bone: str) -> str:
    if "Wrist" in bone:
        return f"{15 if bone.startswith('Left') else -15} 0 0"
    return "0 17 0" if bone == "Head" else "0 0 10"


def deepmimic_data(count: int = 31, loop: bool = True) -> dict[str, object]:
    """Steps on the spot that move on at 1 m/s, and repeat after 30 frames."""
    frames = []
    for i in range(count):
        phase = 2 * np.pi * i / 30

        def about(angle: float, axis: int = 2) -> list[float]:
            q = [np.cos(angle / 2), 0.0, 0.0, 0.0]
            q[1 + axis] = np.sin(angle / 2)
            return q

        swing = 0.5 * np.sin(phase)
        knees = [-0.4 - 0.3 * np.sin(phase), -0.4 + 0.3 * np.sin(phase)]
        frames.append(
            [1 / 30, i / 30, 0.82, 0.0, *about(0.05 * np.sin(phase), 1), *about(0.0), *about(0.0),
             *about(swing), knees[0], *about(-swing / 2), *about(-swing), 0.5,
             *about(-swing), knees[1], *about(swing / 2), *about(swing), 0.5]
        )  # fmt: skip
    return {"Loop": "wrap" if loop else "none", "Frames": frames}


@pytest.fixture
def bvh(tmp_path: Path) -> Path:
    path = tmp_path / "clip.bvh"
    path.write_text(bvh_text(), encoding="utf-8")
    return path


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    path = tmp_path / "steps.txt"
    path.write_text(json.dumps(deepmimic_data()), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def capsules() -> Body:
    return capsule_body(1)


@pytest.fixture
def text_of() -> Callable[..., str]:
    return bvh_text


@pytest.fixture
def deepmimic() -> Callable[..., dict[str, object]]:
    return deepmimic_data
