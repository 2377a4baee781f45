"""The table of conversions: one row for each pair, and what was never reached is said."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from etendue.bake.field_fit import FieldSettings
from etendue.field.data import Dataset, Photos
from etendue.field.file import Field, make_model
from etendue.field.march import STEP
from etendue.field.occupancy import Occupancy
from etendue.field.rays import Cube


def test_rows_of_pairs(tool: Callable[[str], ModuleType], tmp_path: Path) -> None:
    bench = tool("bench_fields")
    tool("bench_common")
    pair = {
        "psnr_teacher_db": 35.0, "rendered": 33.0, "no_volume": 34.0, "scratch_db": 32.0,
        "density_error": 0.3, "seconds": 20.0, "scratch_s": 50.0,
    }  # fmt: skip
    rows = {
        "vm": {"photos": 31.0, "seconds": 40.0},
        "grid": {"photos": 29.0, "seconds": 50.0},
        "vm-grid": {**pair, "photos": 30.0, "opacity_error": 0.1, "reached": 10.0},
        "grid-vm": {
            **pair, "photos": 28.9, "opacity_error": 0.2, "reached": None, "no_features": 34.5
        },
    }  # fmt: skip
    text = bench.report({"toy": rows}, Namespace(steps=3, rays=5, threads=1))
    assert (
        "| toy | vm | grid | 35.0 | 33.0 |  | 34.0 | 32.0 | 30.00 | 31.00 | 0.30 | 0.10 | 20 | 50 |"
        " 0.20 |" in text
    )
    assert "| 34.5 | 34.0 | 32.0 | 28.90 | 29.00 | 0.30 | 0.20 | 20 | 50 | not reached |" in text
    assert "2 of 2 conversions have 30 dB against their teacher; 1 lose no more than 0.5" in text
    assert "gain 2.0 dB" in text and "toy: vm 31.00 dB in 40 s, grid 29.00 dB in 50 s" in text
    bench.plot({"toy": rows}, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_a_conversion_is_watched(tool: Callable[[str], Any]) -> None:
    bench = tool("bench_fields")
    model = make_model("vm", {"size": 4, "density_rank": 1, "color_rank": 1})
    params = model.init(torch.Generator().manual_seed(0))
    cube = Cube((0.0, 0.0, 0.0), 1.0)
    field = Field(model, params, cube, Occupancy.full(STEP), "x", 1.5)
    nothing = Photos((), (), ())
    data = Dataset(nothing, nothing, cube, 1.5)
    settings = FieldSettings(steps=32, rays=16)
    row = bench.convert(data, field, "cp", settings, "stages", goal=1e9)
    assert row["reached"] is None and row["seconds"] > 0 and row["psnr_teacher_db"] > 0
    found = {how: bench.convert(data, field, "cp", settings, how)["psnr_teacher_db"]
             for how in ("rendered", "no_features", "no_volume")}  # fmt: skip
    assert len({*found.values(), row["psnr_teacher_db"]}) > 1
    assert bench.convert(data, field, "cp", settings, "stages", goal=-9.0)["reached"] is not None
