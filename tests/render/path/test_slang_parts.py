"""Parts of the Slang host that need no device: hierarchy, textures, kernel choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import DeviceError, InputError
from etendue.device.slang import SlangDevice
from etendue.render.path import slang_kernels
from etendue.render.path.slang_bvh import NONE, build_bvh, nearest
from etendue.render.path.slang_kernels import choose, materials_per_group
from etendue.render.path.slang_neural import DataBuilder
from etendue.render.path.slang_textures import WRAPS, sample, value


def soup(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    corners = rng.normal(size=(count, 1, 3)) + 0.2 * rng.normal(size=(count, 3, 3))
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 300])
def test_every_face_lies_in_one_leaf_and_in_all_boxes_above(count: int) -> None:
    points, faces = soup(count)
    tree = build_bvh(points, faces)
    real = tree.order[tree.order != NONE]
    assert sorted(real.tolist()) == list(range(count))
    assert len(tree.elements()) == 2 * (2 * tree.leaves - 1) + tree.leaves
    for leaf, ids in enumerate(tree.order):
        node = tree.leaves - 1 + leaf
        while True:
            for face in ids[ids != NONE]:
                corners = points[faces[face]]
                assert (corners >= tree.low[node]).all() and (corners <= tree.high[node]).all()
            if node == 0:
                break
            node = (node - 1) // 2


def test_the_oracle_finds_a_known_hit() -> None:
    points = np.array([[0, 0, 5], [1, 0, 5], [0, 1, 5], [0, 0, 3], [1, 0, 3], [0, 1, 3]], float)
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    down = np.array([0.0, 0.0, 1.0])
    assert nearest(points, faces, np.array([0.2, 0.2, 0.0]), down) == (3.0, 1)
    assert nearest(points, faces, np.array([0.2, 0.2, 4.0]), down) == (1.0, 0)
    assert nearest(points, faces, np.array([2.0, 2.0, 0.0]), down)[1] == NONE


@pytest.mark.parametrize("wrapping", range(len(WRAPS)))
@pytest.mark.parametrize("filtering", [0, 1])
def test_how_a_texture_is_looked_up_is_found_out(mi: Any, filtering: int, wrapping: int) -> None:
    rng = np.random.default_rng(0)
    data = rng.random((5, 3, 3)).astype(np.float32)
    names = {"filter_type": ("bilinear", "nearest")[filtering], "wrap_mode": WRAPS[wrapping]}
    turn = mi.ScalarTransform4f().rotate([0, 0, 1], 30).scale([1.3, 0.8, 1])
    texture = mi.load_dict(
        {"type": "bitmap", "data": mi.TensorXf(data), "raw": True, "to_uv": turn, **names}
    )
    builder = DataBuilder()
    builder.add(np.zeros((1, 4), np.float32))
    at = int(value(builder, texture, "test")["texture"])
    header = builder.data()[at].view(np.uint32)
    assert header.tolist() == [1, 3, 5, filtering | wrapping << 8]
    rows = builder.data()[at + 1 : at + 3, :3].astype(np.float64)
    for uv in rng.uniform(-2, 3, (40, 2)):
        si = mi.SurfaceInteraction3f()
        si.uv = mi.Point2f(float(uv[0]), float(uv[1]))
        want = np.array(texture.eval(si)).ravel()
        got = sample(data, rows[:, :2] @ uv + rows[:, 2], filtering, wrapping)
        # weights of CUDA's own texture filter have eight bits
        atol = 1 / 256 if mi.variant().startswith("cuda") else 2e-3
        np.testing.assert_allclose(got, want, atol=atol)


def device(*features: str) -> SlangDevice:
    return SlangDevice(None, "vulkan", "faked", frozenset(features))


ALL = ("cooperative_vector", "cooperative_matrix")
COST = {"scalar": 3.0, "divergent": 2.0, "coherent": 1.0, "wavefront": 1.5}


def test_auto_takes_what_was_measured_to_be_fastest() -> None:
    made = choose(device(*ALL), "auto", "rq", 4, COST.__getitem__, lambda: 2.5)
    assert (made.kernel, made.linear) == ("coherent", "coopmat")
    assert "coherent 1000.0 ms" in made.reason and "2.5 neural materials" in made.reason
    slow = {**COST, "coherent": 9.0, "wavefront": 9.0}
    assert choose(device(*ALL), "auto", "rq", 4, slow.__getitem__).kernel == "divergent"
    # matrices are for compute shaders only: with a pipeline they need a pass of their own
    made = choose(device(*ALL), "auto", "rt", 4, COST.__getitem__)
    assert (made.kernel, made.linear) == ("wavefront", "coopmat")


def test_nothing_is_measured_without_need() -> None:
    def never(linear: str) -> float:
        raise AssertionError(linear)

    assert choose(device(*ALL), "auto", "rq", 0, never).kernel == "scalar"
    assert choose(device(), "auto", "rq", 4, never).linear == "scalar"
    assert choose(device(*ALL), "coherent", "rq", 4, never).linear == "coopmat"
    assert choose(device(), "wavefront", "rt", 4, never).linear == "scalar"
    soft = SlangDevice(None, "vulkan", "llvmpipe", frozenset())
    assert choose(soft, "auto", "rq", 4, never).kernel == "wavefront"


def test_a_kernel_that_cannot_run_is_an_error() -> None:
    with pytest.raises(DeviceError, match="cooperative_matrix, which faked does not offer"):
        choose(device("cooperative_vector"), "coherent", "rq", 1)
    with pytest.raises(DeviceError, match="compute shaders only"):
        choose(device(*ALL), "coherent", "rt", 1)
    with pytest.raises(InputError, match="kernel: is unknown"):
        choose(device(), "fast", "rq", 1)
    made = choose(device(), "divergent", "rq", 1)
    assert made.linear == "scalar" and "no cooperative_vector" in made.reason


def test_coherence_is_counted_by_workgroup() -> None:
    numbers = np.array([0, 1, 1, -1] * 8 + [2] * 32)
    assert materials_per_group(numbers, {0: True, 1: True, 2: False}) == 1.0
    assert materials_per_group(numbers, {0: True, 1: True, 2: True}) == 1.5


def test_timing_forgets_the_first_run() -> None:
    spans = iter([9.0, 1.0, 2.0, 5.0])
    assert slang_kernels.timed(lambda: next(spans)) == 2.0
    assert next(spans, None) is None
