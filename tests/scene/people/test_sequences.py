"""No subject, no clip and no room is on both sides of a split."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.people.sequences import Recording, divide, split


def recordings(count: int) -> list[Recording]:
    rng = np.random.default_rng(0)
    return [
        Recording(i, int(rng.integers(6)), f"clip{rng.integers(5)}", int(rng.integers(6)))
        for i in range(count)
    ]


def test_the_sides_share_nothing() -> None:
    every = recordings(400)
    parts = split(3, every, share=0.34)
    assert parts.train
    assert parts.test
    for name in ("subject", "clip", "room"):
        sides = [{getattr(r, name) for r in side} for side in (parts.train, parts.test)]
        assert not sides[0] & sides[1]
    assert sorted(
        r.seed for side in (parts.train, parts.test, parts.left_out) for r in side
    ) == list(range(400))
    assert split(3, every, share=0.34) == parts
    assert split(4, every, share=0.34) != parts


def test_dividing() -> None:
    train, test = divide(1, ["b", "a", "c", "a"], share=0.01)
    assert len(test) == 1
    assert sorted(train + test) == ["a", "b", "c"]
    with pytest.raises(InputError, match="split: needs more to choose from"):
        divide(1, [5, 5])
