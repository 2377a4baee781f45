"""Figures of a report that only materials have which transmit."""

from __future__ import annotations

from typing import Any

import numpy as np

from etendue.bake import checks
from etendue.bake.transmission import measured
from etendue.bsdf.neural_transmission import NeuralTransmission
from etendue.bsdf.transmission import Transmissive
from etendue.bsdf.transmission_artifact import KNOTS

UV = (0.37, 0.61)
TEXELS = 8
SEED = 21


def collect(reference: Transmissive, neural: NeuralTransmission) -> dict[str, Any]:
    """Chi-squared over the sphere and scattered light by incidence, from every side that is seen.

    Empty where all light keeps to delta directions.
    """
    if not neural.lobes:
        return {"chi_squared": [], "energy": [], "largest_energy": 0.0}
    above = checks.INCIDENCES
    seen = above if neural.two_sided else (*above, *(180.0 - d for d in above))
    rows = []
    for degrees in seen:
        row: dict[str, Any] = {"degrees": degrees}
        for name, bsdf in (("neural", neural), ("reference", reference)):
            row[name] = checks.chi_squared(bsdf, UV, degrees)
        rows.append(row)
    sides = (True,) if neural.two_sided else (True, False)
    energy = [_energy(reference, neural, side) for side in sides]
    largest = max(row["largest"] for row in energy)
    return {"chi_squared": rows, "energy": energy, "largest_energy": largest}


def _energy(reference: Transmissive, neural: NeuralTransmission, above: bool) -> dict[str, Any]:
    """Reflected and transmitted basic radiance by |cos theta_i|, mean over texels and channels."""
    eta = neural.eta if above else 1.0 / neural.eta
    row: dict[str, Any] = {"above": above, "cosines": np.linspace(0, 1, KNOTS).tolist()}
    for k, (name, bsdf) in enumerate((("reference", reference), ("neural", neural))):
        reflected, transmitted, error = measured(bsdf, eta, above, TEXELS, SEED + 10 * k)
        row[f"{name}_reflected"] = reflected.mean((1, 2)).tolist()
        row[f"{name}_transmitted"] = transmitted.mean((1, 2)).tolist()
        if name == "neural":
            row["largest"] = float((reflected + transmitted).max())
            row["largest_error"] = float(error.max())
    return row


def plot(data: dict[str, Any]) -> dict[str, bytes]:
    """Curves of `collect` as PNG bytes."""
    from etendue.report import plots

    return {"energy": plots.transmission(data["energy"])} if data["energy"] else {}
