"""What the conformance suite cannot know of template_name: its invariances, its physics."""

from __future__ import annotations

import numpy as np

from etendue.plugins.template_name import model


def test_sign_is_kept() -> None:
    x = np.random.default_rng(0).standard_normal(64, np.float32)
    number = model.build(0)
    np.testing.assert_array_equal(
        number.decode(number.encode(-x)), -number.decode(number.encode(x))
    )
