"""What the tests of fields in path tracers share: grids with chosen densities, and a room."""

from __future__ import annotations

from typing import Any

import torch

from etendue.field.file import Field, make_model
from etendue.field.march import STEP
from etendue.field.occupancy import survey
from etendue.field.rays import Cube


def grid(log_sigma: Any, color: float = 0.0, size: int = 17) -> Field:
    """A grid whose log density is a function of points, and whose colours are one grey."""
    model = make_model("grid", {"size": size})
    axis = torch.linspace(0, 1, size)
    p = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = torch.zeros(size**3, 28)
    values[:, 0] = log_sigma(p)
    values[:, [1, 10, 19]] = color / 0.28209479177387814
    params = {"values": values}
    found = survey(lambda x: model.log_density(params, x), STEP, 0)
    return Field(model, params, Cube((0.0, 0.0, 0.0), 2.0), found, "f", 1.5)


def room(mi: Any, size: int = 48, **more: Any) -> Any:
    """A ball over a floor under a sky and a lamp."""
    look = mi.ScalarTransform4f().look_at([2.5, 1.6, 3.4], [0, 0, 0], [0, 1, 0])
    film = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}}
    return mi.load_dict({
        "type": "scene",
        "sensor": {"type": "perspective", "to_world": look, "fov": 50.0, "film": film},
        "sky": {"type": "constant", "radiance": 0.4},
        "lamp": {"type": "point", "position": [0.5, 3.0, 0.8], "intensity": 8.0},
        "floor": {"type": "rectangle", "to_world": mi.ScalarTransform4f().translate([0, -1.2, 0])
                  @ mi.ScalarTransform4f().rotate([1, 0, 0], -90)
                  @ mi.ScalarTransform4f().scale(4)},
        "ball": {"type": "sphere", "center": [0.3, -0.2, -0.1], "radius": 0.35},
        **more,
    })  # fmt: skip
