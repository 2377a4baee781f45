"""What the conformance suite cannot know of template_name: its invariances, its physics."""

from __future__ import annotations

import numpy as np

from etendue.plugins.template_name import model


def test_density_does_not_depend_on_direction() -> None:
    x = np.random.default_rng(0).random((20, 3), np.float32)
    up, down = (np.tile(np.array([0, 0, z], np.float32), (20, 1)) for z in (1, -1))
    field = model.build(0)
    np.testing.assert_array_equal(field.query(x, up)[1], field.query(x, down)[1])
