"""Which subjects, clips and rooms are for training and which for testing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from etendue.core.errors import InputError

SHARE = 0.2  # of subjects, clips and rooms that are for testing
T = TypeVar("T", int, str)


@dataclass(frozen=True)
class Recording:
    """One stage of a data set; parts of one clip carry the clip's name."""

    seed: int
    subject: int
    clip: str
    room: int
    start: float = 0.0  # s, of the part of the clip
    seconds: float = 1.0


@dataclass(frozen=True)
class Split:
    """Recordings that share no subject, no clip and no room across the two."""

    train: tuple[Recording, ...]
    test: tuple[Recording, ...]
    left_out: tuple[Recording, ...]  # with one foot on either side


def divide(seed: int, items: Iterable[T], share: float = SHARE) -> tuple[list[T], list[T]]:
    """All different items, for training and for testing (at least one each)."""
    different = sorted(set(items))
    if len(different) < 2:
        raise InputError("split", "needs more to choose from", got=different, expected="2 or more")
    count = int(np.clip(round(len(different) * share), 1, len(different) - 1))
    order = np.random.default_rng([seed, len(different)]).permutation(len(different))
    picked = set(order[:count].tolist())
    train = [item for i, item in enumerate(different) if i not in picked]
    return train, [item for i, item in enumerate(different) if i in picked]


def split(seed: int, recordings: Sequence[Recording], share: float = SHARE) -> Split:
    """Divide subjects, clips and rooms each; recordings with parts of both sides are left out."""
    sides = [
        set(divide(seed + k, [getattr(r, name) for r in recordings], share)[1])
        for k, name in enumerate(("subject", "clip", "room"))
    ]
    parts: tuple[list[Recording], list[Recording], list[Recording]] = ([], [], [])
    for recording in recordings:
        tested = [
            getattr(recording, name) in side
            for name, side in zip(("subject", "clip", "room"), sides, strict=True)
        ]
        parts[1 if all(tested) else 2 if any(tested) else 0].append(recording)
    return Split(*(tuple(part) for part in parts))
