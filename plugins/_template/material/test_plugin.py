"""What the conformance suite cannot know of template_name: its invariances, its physics."""

from __future__ import annotations

import numpy as np

from etendue.plugins.template_name import model


def test_is_reciprocal() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((2, 20, 3)).astype(np.float32)
    w[..., 2] = np.abs(w[..., 2]) + 0.1
    w /= np.linalg.norm(w, axis=-1, keepdims=True)
    material = model.build(0)
    there = material.eval(w[0], w[1]) / w[1][:, 2:]
    back = material.eval(w[1], w[0]) / w[0][:, 2:]
    np.testing.assert_allclose(there, back, rtol=1e-5)
