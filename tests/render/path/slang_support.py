"""What the tests of the Slang path tracer share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.ztest import z_test
from etendue.device.slang import NEEDS, SlangDevice

ROOT = Path(__file__).parents[3]
DATA = ROOT / "../shared/data"  # files of others, where they are at hand
AOVS = ("depth", "position", "normal", "uv", "albedo", "motion", "alpha")
AOVS += ("shape_id", "material_id")
GGX = {"distribution": "ggx"}


def needs(device: SlangDevice, tracer: str) -> None:
    """Skip what `device` cannot trace."""
    missing = [f for f in NEEDS.get(f"render/path.{tracer}", ()) if f not in device.features]
    if missing:
        pytest.skip(f"{device.name} does not offer {', '.join(missing)}")


def render(device: SlangDevice, scene: Any, baked: Any = None, **options: Any) -> Any:
    from etendue.render.path.slang import render

    return render(scene, baked, device=device, **options)


def agree(film: Any, scene: Any, spp: int, **options: Any) -> None:
    """The film passes the z-test against `drjit` with another seed."""
    from etendue.render.path.drjit import render

    other = render(scene, spp=spp, seed=77, **options)
    assert film.invalid == 0
    result = z_test(film.rgb, other.rgb, film.variance(), other.variance())
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)


def checkerboard(mi: Any) -> dict[str, Any]:
    texels = np.random.default_rng(3).uniform(0.1, 0.9, (4, 6, 3)).astype(np.float32)
    image = {"type": "bitmap", "data": mi.TensorXf(texels), "raw": True, "wrap_mode": "mirror"}
    return {"type": "twosided", "b": {"type": "diffuse", "reflectance": image}}
