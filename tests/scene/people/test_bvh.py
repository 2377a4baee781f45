"""BVH files: what they mean, against pybvh, and files that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.scene.people.bvh import LEG, load_bvh
from etendue.scene.people.motion import load_motion
from etendue.scene.people.rotations import matrices
from etendue.scene.people.skeleton import Pose, bones

REAL = Path("/usr/share/assimp/models/BVH")

SHARED = [HealthCheck.function_scoped_fixture]  # files are written anew for each example


def heads_of(path: Path) -> np.ndarray:
    motion = load_bvh(path)
    return bones(motion.skeleton, Pose(matrices(motion.rotations), motion.root))[1]


def oracle(path: Path) -> np.ndarray:
    """Positions of all bones in the file's own unit and axes, by pybvh."""
    pybvh = pytest.importorskip("pybvh", reason="pybvh is not installed")
    return np.asarray(pybvh.read_bvh_file(path, world_up="+y").joint_positions())


def test_positions_equal_the_oracle(bvh: Path) -> None:
    expected = oracle(bvh)[..., [2, 0, 1]] * (LEG / 85)
    np.testing.assert_allclose(heads_of(bvh), expected, atol=1e-9)


@pytest.mark.skipif(not REAL.is_dir(), reason="assimp-testmodels is not installed")
def test_a_clip_of_cmu_equals_the_oracle() -> None:
    path = REAL / "01_01.bvh"
    motion = load_bvh(path)
    scale = LEG / 7.28  # near the mean length of the legs in the file
    expected = oracle(path)[1:, :, [2, 0, 1]]
    got = heads_of(path)
    scale = np.linalg.norm(got[0, 3] - got[0, 2]) / np.linalg.norm(expected[0, 3] - expected[0, 2])
    assert len(got) == len(expected)  # the rest pose in front is left out
    np.testing.assert_allclose(got, expected * scale, atol=1e-6)
    assert motion.skeleton.leg_length == pytest.approx(LEG)


@pytest.mark.skipif(not REAL.is_dir(), reason="assimp-testmodels is not installed")
def test_a_file_with_a_row_too_many() -> None:
    assert len(load_bvh(REAL / "Boxing_Toes.bvh").times) == 3070


def test_axes_and_units(bvh: Path) -> None:
    motion = load_motion(bvh)
    skeleton, roles = motion.skeleton, motion.skeleton.roles
    assert skeleton.leg_length == pytest.approx(LEG)
    assert skeleton.heads[roles["L.thigh"], 1] > 0.05  # left is y
    assert skeleton.heads[roles["head"], 2] > 0.3  # up is z
    assert skeleton.heads[roles["L.toes"], 0] > 0.1  # toes point along x
    assert roles["L.arm"] == skeleton.names.index("LeftShoulder")
    assert roles["L.clavicle"] == skeleton.names.index("LeftCollar")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", "HIERARCHY at its start"),
        ("MOTION", "", "HIERARCHY and MOTION"),
        ("Frame Time: 0.02", "Frame Time: 0", "unusable frame time"),
        ("Frame Time: 0.02", "Frame Time: nan", "something else for a number"),
        ("OFFSET 10 0 0", "OFFSET 10 0 left", "something else for a number; got left"),
        ("OFFSET 10 0 0", "OFFSET 0 0 0", "clip.bvh"),
        ("CHANNELS 3", "CHANNELS 4", "channels of Ab"),
        ("Zrotation Xrotation", "Zrotation Zrotation", "channels of Hips"),
        ("LeftKnee", "LeftThing", "no bone for L.shin"),
        ("JOINT Ab", "ROOT Ab", "no bone; got ROOT"),
    ],
)
def test_wrong_files(bvh: Path, old: str, new: str, message: str) -> None:
    text = bvh.read_text(encoding="utf-8")
    assert old in text
    bvh.write_text(text.replace(old, new), encoding="utf-8")
    if new == "OFFSET 0 0 0":
        bvh.write_text(bvh.read_text().replace("OFFSET -10 0 0", new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_bvh(bvh)


def test_rows_that_are_not_complete(bvh: Path) -> None:
    text = bvh.read_text(encoding="utf-8")
    bvh.write_text(text + "1 2 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="pose 100 is not complete; got 3 numbers"):
        load_bvh(bvh)
    bvh.write_text(text.replace("92.000000", "ninety"), encoding="utf-8")
    with pytest.raises(InputError, match="something else among its numbers"):
        load_bvh(bvh)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_bvh(tmp_path / "none.bvh")
    with pytest.raises(InputError, match="up is unknown"):
        load_bvh(tmp_path / "none.bvh", up="x")
    with pytest.raises(InputError, match="unknown kind of motion"):
        load_motion(tmp_path / "none.fbx")


@settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
@given(data=st.data())
def test_damaged_files_are_one_clear_error(
    tmp_path: Path, text_of: Callable[..., str], data: st.DataObject
) -> None:
    text = text_of(0.1)
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 60))
    put = data.draw(st.text("{}0123456789.-e \nOFSETabc", max_size=8))
    whole = text[:start] + put + (text[start + length :] if data.draw(st.booleans()) else "")
    path = tmp_path / "clip.bvh"
    path.write_text(whole, encoding="utf-8")
    try:
        motion = load_bvh(path)
    except InputError:
        return
    assert np.isfinite(motion.at(0.03).rotations).all()
