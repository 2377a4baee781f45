"""Materials of one decoder in one kernel: each lane gets what its own `NeuralBSDF` says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.artifact import Artifact
from etendue.bsdf.base import ShadingPoint
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.neural_family import NeuralFamily, families
from etendue.bsdf.pyramid import level_offsets
from etendue.device.drjit import activate

from .test_neural import _columns, _hemisphere, make_artifact

SIDES = (16, 1, 4)
LANES = 3000


def relatives(reciprocal: bool = False) -> list[Artifact]:
    """Three materials of different sizes on the decoder of the first."""
    made = [make_artifact(k, side, reciprocal) for k, side in enumerate(SIDES)]
    own = ("latents", "energy", "albedo")
    first = made[0].tensors
    return [
        Artifact(a.header, {n: a.tensors[n] if n in own else first[n] for n in first}) for a in made
    ]


def points(mi: Any, rng: np.random.Generator) -> ShadingPoint:
    """Points inside and outside the unit square, footprints from none to the whole square."""
    uv = _columns(mi.Point2f, 3 * rng.random((LANES, 2)) - 1)
    footprint = mi.Float((2.0 ** rng.uniform(-6, 1, LANES)).astype(np.float32))
    return ShadingPoint(uv, _columns(mi.Vector3f, _hemisphere(rng, LANES)), footprint)


@pytest.mark.parametrize("reciprocal", [False, True])
def test_every_lane_equals_its_own_material(reciprocal: bool) -> None:
    mi, rng = activate(), np.random.default_rng(1)
    members = [NeuralBSDF(artifact) for artifact in relatives(reciprocal)]
    family, which = NeuralFamily(members), rng.integers(0, 3, LANES)
    p, on = points(mi, rng), mi.Bool(True)
    wo = _columns(mi.Vector3f, _hemisphere(rng, LANES))
    u = _columns(mi.Point3f, rng.random((LANES, 3)))

    def answers(bsdf: Any) -> list[np.ndarray]:
        f, pdf, s = bsdf.eval_pdf_sample(p, wo, u, mi.PCG32(size=LANES), on)
        return [np.array(x).T for x in (f, mi.Float(pdf), s.wo, mi.Float(s.pdf), s.weight)]

    ours = answers(family.at(mi.UInt(which.astype(np.uint32)), on))
    alone = [answers(member) for member in members]
    for k, answer in enumerate(ours):
        expected = np.choose(
            which.reshape(-1, *[1] * (answer.ndim - 1)), [each[k] for each in alone]
        )
        np.testing.assert_allclose(answer, expected, rtol=2e-4, atol=1e-5)
    assert not np.allclose(alone[0][0], alone[2][0], rtol=0.1), "the members differ"


def test_levels_begin_where_the_members_have_them() -> None:
    mi = activate()
    family = NeuralFamily([NeuralBSDF(artifact) for artifact in relatives()])
    ends = np.cumsum([0, *(level_offsets(side)[-1] for side in SIDES)])
    for k, side in enumerate(SIDES):
        levels = side.bit_length()
        pyramid = family.at(mi.UInt([k] * levels), mi.Bool(True)).pyramid
        base, size = pyramid._place(mi.UInt(np.arange(levels, dtype=np.uint32)), mi.Bool(True))
        np.testing.assert_array_equal(base.numpy(), ends[k] + level_offsets(side)[:-1])
        np.testing.assert_array_equal(size.numpy(), [side >> j for j in range(levels)])


def test_only_one_decoder_makes_a_family() -> None:
    activate()
    one, two, three = (NeuralBSDF(artifact) for artifact in relatives())
    stranger = NeuralBSDF(make_artifact(5))
    assert families([one, stranger, two, "other", three]) == [[0, 2, 4], [1], [3]]
