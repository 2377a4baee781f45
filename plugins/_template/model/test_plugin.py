"""What the conformance suite cannot know of template_name: its invariances, its physics."""

from __future__ import annotations

import numpy as np

from etendue.plugins.template_name import model


def test_is_odd() -> None:
    run = model.build(0)
    x = model.example({"n": 20}, 1)["x"]
    np.testing.assert_allclose(run(x=-x)["y"], -run(x=x)["y"], atol=1e-6)
