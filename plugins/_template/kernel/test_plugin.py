"""What the conformance suite cannot know of template_name: its invariances, its physics."""

from __future__ import annotations

import numpy as np

from etendue.plugins.template_name import model


def test_is_symmetric() -> None:
    inputs = model.example({"n": 20}, 1)
    swapped = {"a": inputs["b"], "b": inputs["a"]}
    np.testing.assert_array_equal(
        model.reference(**inputs)["dot"], model.reference(**swapped)["dot"]
    )
