"""Who a person is: numbers drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# mean and standard deviation of adults' heights (m): women, men
_HEIGHTS = ((1.63, 0.07), (1.765, 0.075))


@dataclass(frozen=True)
class Person:
    """What the body models are given; all but the height are shares from 0 to 1."""

    gender: float  # 0 male, 1 female
    age: float  # 0 young adult, 1 old
    muscle: float
    weight: float
    proportions: float
    height: float  # m


def person(seed: int) -> Person:
    """An adult, half of them women; heights are normal within 2.2 standard deviations."""
    rng = np.random.default_rng([seed, 0x9E0])
    gender = float(rng.integers(2))
    mean, spread = _HEIGHTS[0 if gender else 1]
    height = float(np.clip(rng.normal(mean, spread), mean - 2.2 * spread, mean + 2.2 * spread))
    age, muscle, weight = rng.uniform(0, 0.8), rng.normal(0.5, 0.15), rng.normal(0.52, 0.17)
    return Person(
        gender, float(age), float(np.clip(muscle, 0.1, 0.9)), float(np.clip(weight, 0.1, 0.95)),
        float(rng.uniform(0.3, 0.9)), height,
    )  # fmt: skip
