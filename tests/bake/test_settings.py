"""What a bake may be asked for."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from etendue.bake.settings import ARCHITECTURES, BakeSettings, check_settings
from etendue.core.errors import InputError


@pytest.mark.parametrize("arch", [*ARCHITECTURES, "1x8", "6x128"])
def test_usable_architectures(arch: str) -> None:
    check_settings(BakeSettings(arch=arch))


@pytest.mark.parametrize("resolution", [1, 2, 64, 8192])
def test_usable_resolutions(resolution: int) -> None:
    check_settings(BakeSettings(resolution=resolution))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"arch": "9x99"}, "--arch: unknown; got 9x99, expected 2x16"),
        ({"arch": ""}, "--arch: unknown"),
        ({"arch": "2x32\n"}, "--arch: unknown"),
        ({"resolution": 100}, "--resolution: does not fit; got 100"),
        ({"resolution": 0}, "--resolution: does not fit; got 0"),
        ({"resolution": -4}, "--resolution: does not fit; got -4"),
        ({"resolution": 16384}, "--resolution: does not fit; got 16384"),
        ({"steps": 0}, "--steps: is too small; got 0"),
        ({"latents": "f17"}, "--latents: unknown; got f17, expected f16 | bfp8 | bfp4 | cb4"),
        ({"weights": "f17"}, "--weights: unknown; got f17, expected f32 | f16 | bfp8"),
        ({"seed": -1}, "--seed: is out of range; got -1"),
        ({"seed": 1 << 32}, "--seed: is out of range; got 4294967296"),
    ],
)
def test_unusable_values_name_the_option(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_settings(dataclasses.replace(BakeSettings(), **values))
    assert str(caught.value).startswith(words)


def test_record_survives_json() -> None:
    settings = BakeSettings(arch="3x64", seed=7, lr=0.1)
    assert BakeSettings(**json.loads(json.dumps(settings.record()))) == settings
