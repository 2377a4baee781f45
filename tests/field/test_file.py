"""Fields in files: everything comes back, and what is no field is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError
from etendue.field.file import (
    MODELS,
    Field,
    make_model,
    read_field,
    require_room,
    shapes_of,
    write_field,
)
from etendue.field.march import STEP
from etendue.field.occupancy import Occupancy, survey
from etendue.field.rays import Cube


def made(kind: str = "grid", size: int = 5) -> Field:
    model = make_model(kind, {"size": size})
    params = model.init(torch.Generator().manual_seed(1))
    found = survey(lambda x: 8 * x[:, 0] - 6, STEP, 0)
    return Field(model, params, Cube((1.0, 2.0, 3.0), 4.0), found, "pot", 1.7, {"steps": 3})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    field = made()
    write_field(tmp_path / "f.eta", field)
    again = read_field(tmp_path / "f.eta")
    assert again.model == field.model and again.cube == field.cube and again.name == "pot"
    assert again.distance == 1.7 and again.info["steps"] == 3
    kept = field.model.asked(field.occupancy.grown())  # type: ignore[attr-defined]
    assert torch.equal(again.params["values"][kept], field.params["values"][kept])
    assert 0 < int(kept.sum()) < len(kept) and (again.params["values"][~kept, 0] < -9).all()
    assert torch.equal(again.occupancy.mask, field.occupancy.mask)
    assert 0.1 < float(field.occupancy.mask.float().mean()) < 0.9
    first = (tmp_path / "f.eta").read_bytes()
    write_field(tmp_path / "f.eta", field)
    assert (tmp_path / "f.eta").read_bytes() == first


def test_values_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    field = made()
    field.params["values"][3, 2] = torch.nan
    with pytest.raises(InputError, match="values: has values that are not finite"):
        write_field(tmp_path / "f.eta", field)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "f.eta"
    write_artifact(path, Artifact({"kind": "material", "name": "x"}, {}))
    with pytest.raises(InputError, match="wrong kind of data; got material, expected field"):
        read_field(path)
    write_field(path, made())
    good = read_artifact(path)
    for header, tensors, message in (
        ({"model": {"kind": "nerf"}}, {}, "model: is unknown; got nerf"),
        ({"model": {"kind": "grid", "size": 6}}, {}, "values: does not fit"),
        ({"cube": {"centre": [0, 0], "side": 1}}, {}, "its header is not usable"),
        ({}, {"values": np.full((125, 28), np.inf, np.float32)}, "tensor values holds NaN"),
        ({}, {"occupancy": np.zeros(3, np.uint8)}, "occupancy: is not usable"),
    ):
        write_artifact(path, Artifact({**good.header, **header}, {**good.tensors, **tensors}))
        with pytest.raises(InputError, match=message):
            read_field(path)


def test_a_field_with_another_middle_is_another(tmp_path: Path) -> None:
    write_field(tmp_path / "a.eta", made())
    write_field(tmp_path / "b.eta", replace(made(), cube=Cube((0.0, 0.0, 0.0), 1.0)))
    assert (tmp_path / "a.eta").read_bytes() != (tmp_path / "b.eta").read_bytes()


def test_a_sparse_file_holds_all_that_is_asked(tmp_path: Path) -> None:
    """Of every filled cell and its neighbours, for sizes that fit the cells and that do not."""
    for size in (7, 33, 48):
        field = made(size=size)
        write_field(tmp_path / "f.eta", field)
        again = read_field(tmp_path / "f.eta")
        x = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(size))
        x = x[field.occupancy.grown().at(x)]
        d = torch.nn.functional.normalize(x - 0.4, dim=-1)
        for one, other in zip(
            field.model.query(field.params, x, d),
            again.model.query(again.params, x, d),
            strict=True,
        ):
            assert torch.equal(one, other)


def test_a_small_thing_is_a_small_file(tmp_path: Path) -> None:
    field = made(size=32)
    corner = survey(lambda x: 60 * (0.1 - x.amax(-1)), STEP, 0)
    write_field(tmp_path / "all.eta", replace(field, occupancy=Occupancy.full(STEP)))
    write_field(tmp_path / "few.eta", replace(field, occupancy=corner))
    sizes = [(tmp_path / f"{name}.eta").stat().st_size for name in ("few", "all")]
    assert sizes[0] < 0.03 * sizes[1]


def test_a_sparse_file_that_does_not_add_up(tmp_path: Path) -> None:
    path = tmp_path / "f.eta"
    write_field(path, made())
    good = read_artifact(path)
    bits = good.tensors["points"].copy()
    bits[0] ^= 128
    for tensors in (
        {"points": bits},
        {"points": bits[:-1]},
        {"values": good.tensors["values"][:-1]},
    ):
        write_artifact(path, Artifact(good.header, {**good.tensors, **tensors}))
        with pytest.raises(InputError, match="values: does not fit"):
            read_field(path)
    write_artifact(
        path, Artifact(good.header, {"points": bits, "occupancy": good.tensors["occupancy"]})
    )
    with pytest.raises(InputError, match="values: does not fit; got none"):
        read_field(path)
    whole = {n: v for n, v in good.tensors.items() if n != "points"}
    dense = np.ones((125, 28), np.float32)
    write_artifact(path, Artifact(good.header, {**whole, "values": dense}))
    assert (read_field(path).params["values"] == 1).all(), "files that hold every point"


@pytest.mark.parametrize("kind", MODELS)
def test_shapes_are_known_without_the_parameters(kind: str) -> None:
    model = make_model(kind)
    params = model.init(torch.Generator().manual_seed(0))
    assert shapes_of(model) == {n: tuple(v.shape) for n, v in params.items()}


def test_what_does_not_fit_into_memory_is_refused_at_once(tmp_path: Path) -> None:
    huge = make_model("grid", {"size": 4096})
    with pytest.raises(InputError, match="grid: is larger than the memory of this machine; got 7"):
        require_room(huge)
    require_room(make_model("grid", {"size": 16}), 5)
    path = tmp_path / "f.eta"
    write_field(path, made())
    good = read_artifact(path)
    header = {**good.header, "model": {"kind": "grid", "size": 4096}}
    write_artifact(path, Artifact(header, dict(good.tensors)))
    with pytest.raises(InputError):
        read_field(path)
