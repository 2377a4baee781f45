"""What a bake is asked to do; everything here is recorded in the artifact."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from etendue.core.errors import InputError
from etendue.formats import latents, weights

SEEDS = 1 << 32  # any 32-bit number is a seed
ARCHITECTURES = ("2x16", "2x32", "3x64")


@dataclass(frozen=True)
class BakeSettings:
    """Deterministic plan of a bake: same settings, material and machine give equal bytes."""

    arch: str = "2x32"  # evaluator hidden layers x width
    sampler: str = "2x16"
    reciprocal: bool = False  # f(wi, wo) = f(wo, wi) exactly, by symmetric inputs
    resolution: int = 512  # texels per side of the finest level, a power of two
    steps: int = 6000
    seed: int = 0
    texels: int = 2048  # texels per step
    pairs: int = 8  # direction pairs per texel
    walks: int = 16  # reference walks averaged per pair
    reuse: int = 4  # how often a pool of reference samples is visited
    pool: int = 8  # steps' worth of samples produced by one reference launch
    encoder_share: float = 0.5  # part of the steps in which an encoder produces the latents
    decoder: str = ""  # SHA-256 of a decoder that is taken over and not trained
    target_flip: float = 0.0  # end early once a held-out view is this good, 0 = never
    lr: float = 1.5e-2
    lr_latent: float = 1e-2
    lr_end: float = 0.02  # final learning rate as a fraction
    latents: str = "f16"  # number format they are stored in, see `formats.latents`
    weights: str = "f32"  # and that of the networks, see `formats.weights`

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def check_settings(settings: BakeSettings) -> None:
    """Raise `InputError` for values no bake can run with."""
    if not re.fullmatch(r"[1-6]x(8|16|32|64|128)", settings.arch):
        raise InputError("--arch", "unknown", got=settings.arch, expected=" | ".join(ARCHITECTURES))
    r = settings.resolution
    if r < 1 or r > 8192 or r & (r - 1):
        raise InputError(
            "--resolution", "does not fit", got=r, expected="a power of two from 1 to 8192"
        )
    if not 0 <= settings.target_flip < 1:
        raise InputError(
            "--target-flip", "is out of range", got=settings.target_flip, expected="0 to 1"
        )
    if settings.steps < 1:
        raise InputError("--steps", "is too small", got=settings.steps, expected="at least 1")
    if not 0 <= settings.seed < SEEDS:
        raise InputError(
            "--seed", "is out of range", got=settings.seed, expected=f"0 to {SEEDS - 1}"
        )
    latents.check_format(settings.latents)
    weights.check_format(settings.weights)
