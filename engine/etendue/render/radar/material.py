"""What surfaces do to millimetre waves: reflection, roughness, and loss on the way through.

Building materials have the permittivity a f^b and conductivity c f^d of ITU 2015, Table 3 (f in
GHz; measured below 100 GHz). Skin is that of Gabriel et al. 1996 at 77 GHz. Roughnesses are ours.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.render.radar.sensor import LIGHT

VACUUM = 8.8541878128e-12  # F/m


@dataclass(frozen=True)
class Material:
    """Of a surface, or of the solid behind it."""

    permittivity: float  # relative, real part
    conductivity: float = 0.0  # S/m at 1 GHz
    power: float = 0.0  # of the frequency in GHz that the conductivity goes with
    roughness: float = 0.0  # m, root mean square of heights
    thickness: float = 0.0  # m, of the sheet that a single surface stands for; 0: closed solids
    opaque: bool = False  # nothing is followed into it

    def epsilon(self, frequency: float) -> complex:
        """Complex relative permittivity e' - j e'', e'' = sigma / (2 pi f e0)."""
        sigma = self.conductivity * (frequency / 1e9) ** self.power
        return complex(self.permittivity, -sigma / (2 * math.pi * frequency * VACUUM))

    def reflected(self, frequency: float) -> float:
        """Amplitude that a smooth half-space reflects ahead, |(1 - n) / (1 + n)|."""
        n = np.sqrt(self.epsilon(frequency))
        return float(abs((1 - n) / (1 + n)))

    def coherent(self, frequency: float, cosine: np.ndarray) -> np.ndarray:
        """What roughness leaves of a specular amplitude, exp(-(4 pi h cos / lambda)^2 / 2)."""
        phase = 4 * math.pi * self.roughness * frequency / LIGHT * cosine
        return np.exp(-0.5 * phase**2)

    def through(self, frequency: float, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One-way amplitude left after so many metres inside, and metres by which it is longer."""
        n = np.sqrt(self.epsilon(frequency))
        wave = 2 * math.pi * frequency / LIGHT
        return np.exp(wave * n.imag * length), (n.real - 1) * length


MATERIALS: Mapping[str, Material] = {
    "metal": Material(1.0, 1e7, 0.0, 0.05e-3, opaque=True),
    "concrete": Material(5.31, 0.0326, 0.8095, 0.4e-3),
    "brick": Material(3.75, 0.038, 0.0, 0.5e-3),
    "plasterboard": Material(2.94, 0.0116, 0.7076, 0.15e-3),
    "wood": Material(1.99, 0.0047, 1.0718, 0.15e-3),
    "glass": Material(6.27, 0.0043, 1.1925, 0.0),
    "ceiling": Material(1.50, 0.0005, 1.1634, 0.3e-3),
    "chipboard": Material(2.58, 0.0217, 0.78, 0.15e-3),
    "floor": Material(3.66, 0.0044, 1.3515, 0.2e-3),
    "plastic": Material(2.6, 0.0005, 1.0, 0.05e-3),
    "tile": Material(6.0, 0.002, 1.0, 0.05e-3),
    "fabric": Material(1.6, 0.002, 1.0, 1.0e-3),
    "leather": Material(2.5, 0.005, 1.0, 0.2e-3),
    "lamp": Material(2.6, 0.0005, 1.0, 0.05e-3),
    "skin": Material(6.6, 38.4 / 77, 1.0, 0.3e-3, opaque=True),
    "eye": Material(6.6, 38.4 / 77, 1.0, 0.0, opaque=True),
    "clothed": Material(6.6, 38.4 / 77, 1.0, 0.6e-3, opaque=True),  # skin seen through cloth
}
DEFAULT = "plasterboard"


def material_of(
    name: str, chosen: Mapping[str, str], table: Mapping[str, Material] = MATERIALS
) -> str:
    """Which material a shape has: the first pattern that fits, else a word of its name."""
    for pattern, material in chosen.items():
        if fnmatchcase(name, pattern):
            return material
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return next((word for word in words if word in table), DEFAULT)


def read_materials(subject: str, table: Any) -> dict[str, Material]:
    """Those that are known and those of a TOML table `materials`, `[materials.NAME]`."""
    known = dict(MATERIALS)
    if not isinstance(table, dict):
        raise InputError(subject, "materials is no table", got=table)
    fields = {f.name: f for f in dataclasses.fields(Material)}
    for name, entry in table.items():
        place = f"{subject}: materials.{name}"
        if not isinstance(entry, dict):
            raise InputError(place, "is no table", got=entry)
        for key, value in entry.items():
            if key not in fields:
                raise InputError(place, "has no such entry", got=key, expected=", ".join(fields))
            flag = key == "opaque"
            if flag and not isinstance(value, bool):
                raise InputError(f"{place}.{key}", "is no yes or no", got=value)
            sound = type(value) in (int, float) and math.isfinite(value)
            if not flag and not (sound and (value >= 0 or key == "power")):
                raise InputError(f"{place}.{key}", "is out of range", got=value,
                                 expected="a number from 0 on")  # fmt: skip
        if "permittivity" not in entry and name not in known:
            raise InputError(place, "has no permittivity")
        made = {**dataclasses.asdict(known.get(name, Material(1.0))), **entry}
        if made["permittivity"] < 1:
            raise InputError(f"{place}.permittivity", "is out of range",
                             got=made["permittivity"], expected="a number from 1 on")  # fmt: skip
        known[name] = Material(**made)
    return known
