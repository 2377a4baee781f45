"""The artifact file: round trip, determinism, and every kind of damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.artifact import (
    SCHEMA,
    Artifact,
    digest,
    join_materials,
    read_artifact,
    read_material,
    require,
    split_name,
    write_artifact,
)
from etendue.core.errors import InputError


def _sample() -> Artifact:
    rng = np.random.default_rng(3)
    tensors = {"b": rng.normal(size=(4, 3)).astype(np.float32), "a": np.arange(5, dtype=np.int32)}
    return Artifact({"kind": "material", "name": "x", "arch": {"evaluator": "2x32"}}, tensors)


def test_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    write_artifact(tmp_path / "one.eta", _sample())
    write_artifact(tmp_path / "two.eta", _sample())
    assert (tmp_path / "one.eta").read_bytes() == (tmp_path / "two.eta").read_bytes()
    back = read_artifact(tmp_path / "one.eta", kind="material")
    assert back.header == {"schema": SCHEMA, **_sample().header}
    for name, array in _sample().tensors.items():
        np.testing.assert_array_equal(back.tensors[name], array)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@settings(max_examples=150, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "x.eta"
    write_artifact(path, _sample())
    blob = bytearray(path.read_bytes())
    blob[int(where * len(blob))] ^= 1 << bit
    path.write_bytes(bytes(blob))
    with pytest.raises(InputError, match=r"x\.eta: "):
        read_artifact(path)


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True))
def test_any_truncation_is_found(tmp_path_factory: pytest.TempPathFactory, where: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.eta"
    write_artifact(path, _sample())
    blob = path.read_bytes()
    path.write_bytes(blob[: int(where * len(blob))])
    with pytest.raises(InputError):
        read_artifact(path)


def _rewrite_header(path: Path, **changes: object) -> None:
    from safetensors.numpy import save

    header = {"schema": SCHEMA, **_sample().header, **changes}
    tensors = dict(_sample().tensors)
    record = {"sha256": digest(header, tensors), "header": header}
    path.write_bytes(save(tensors, metadata={"etendue": json.dumps(record)}))


def test_wrong_schema_and_kind(tmp_path: Path) -> None:
    _rewrite_header(tmp_path / "new.eta", schema=SCHEMA + 1)
    with pytest.raises(InputError, match=f"got schema {SCHEMA + 1}, expected schema {SCHEMA}"):
        read_artifact(tmp_path / "new.eta")
    _rewrite_header(tmp_path / "field.eta", kind="field")
    with pytest.raises(InputError, match="got field, expected material"):
        read_artifact(tmp_path / "field.eta", kind="material")


def test_missing_foreign_nonfinite(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_artifact(tmp_path / "none.eta")
    (tmp_path / "text.eta").write_text("this is not an artifact at all")
    with pytest.raises(InputError, match="not an etendue artifact"):
        read_artifact(tmp_path / "text.eta")
    bad = Artifact({"kind": "material"}, {"w": np.array([1.0, np.nan], np.float32)})
    write_artifact(tmp_path / "nan.eta", bad)
    with pytest.raises(InputError, match="NaN"):
        read_artifact(tmp_path / "nan.eta")


def test_require_names_the_tensor() -> None:
    require("x", _sample(), {"b": (None, 3)})
    with pytest.raises(InputError, match="tensor b does not fit"):
        require("x", _sample(), {"b": (4, 4)})
    with pytest.raises(InputError, match="tensor c does not fit"):
        require("x", _sample(), {"c": (1,)})


def _set(**entry: Any) -> Artifact:
    """Two materials that share the tensor `frames`."""
    frames = np.ones((2, 2), np.float32)
    members = [
        Artifact(
            {"kind": "material", "name": name, "arch": {"evaluator": "2x32"}, "lod": {"k": k}},
            {"frames": frames, "latents": np.full((k + 1, 3), k, np.float16)},
        )
        for k, name in enumerate(("oak", "gold"))
    ]
    joined = join_materials(members, {"arch": {"evaluator": "2x32"}}, ["frames"])
    first = {**joined.header["materials"][0], **entry}
    listed = [first, joined.header["materials"][1]]
    return Artifact({**joined.header, "materials": listed}, joined.tensors)


def test_a_set_stores_what_is_shared_once(tmp_path: Path) -> None:
    write_artifact(tmp_path / "set.eta", _set())
    whole = read_artifact(tmp_path / "set.eta", kind="set")
    assert set(whole.tensors) == {"frames", "0/latents", "1/latents"}
    assert all("arch" not in entry for entry in whole.header["materials"])
    gold = read_material(tmp_path / "set.eta", "gold")
    assert gold.header["kind"] == "material" and gold.header["lod"] == {"k": 1}
    assert gold.header["arch"] == {"evaluator": "2x32"} and "materials" not in gold.header
    assert set(gold.tensors) == {"frames", "latents"}
    assert gold.tensors["latents"].shape == (2, 3)


def test_materials_of_a_set_are_named(tmp_path: Path) -> None:
    file = tmp_path / "set.eta"
    write_artifact(file, _set())
    with pytest.raises(InputError, match=r"several materials; got gold, oak.*set\.eta#oak"):
        read_material(file)
    with pytest.raises(InputError, match=r"no such material; got tin, expected one of: gold, oak"):
        read_material(file, "tin")
    with pytest.raises(InputError, match="wrong kind of data; got set, expected material"):
        read_artifact(file, kind="material")
    write_artifact(tmp_path / "one.eta", _sample())
    assert read_material(tmp_path / "one.eta", "x").header["name"] == "x"
    with pytest.raises(InputError, match="no such material; got y, expected x"):
        read_material(tmp_path / "one.eta", "y")
    write_artifact(tmp_path / "field.eta", Artifact({"kind": "field"}, {}))
    with pytest.raises(InputError, match="got field, expected material"):
        read_material(tmp_path / "field.eta")


@pytest.mark.parametrize("name", ["gold", "", None, 3])
def test_lists_of_materials_that_are_not_usable(tmp_path: Path, name: object) -> None:
    """Two of one name, an empty one, none, a number."""
    write_artifact(tmp_path / "bad.eta", _set(name=name))
    with pytest.raises(InputError, match=r"bad\.eta: its list of materials is not usable"):
        read_material(tmp_path / "bad.eta", "gold")


@pytest.mark.parametrize("listed", [None, [], "oak", [3, 4], {"oak": 1}])
def test_headers_without_a_list_of_materials(tmp_path: Path, listed: object) -> None:
    header = {**_set().header, "materials": listed}
    write_artifact(tmp_path / "bad.eta", Artifact(header, _set().tensors))
    with pytest.raises(InputError, match="its list of materials is not usable"):
        read_material(tmp_path / "bad.eta", "oak")


@pytest.mark.parametrize("value", [None, 3, True, "2x32", [1]])
def test_headers_whose_parts_are_no_objects(tmp_path: Path, value: object) -> None:
    sample, path = _sample(), tmp_path / "bad.eta"
    write_artifact(path, Artifact({**sample.header, "arch": value}, sample.tensors))
    with pytest.raises(InputError, match=r"bad\.eta: has an unusable header\.arch"):
        read_artifact(path)
    members = _set()
    own = {**members.header["materials"][0], "lod": value}
    header = {**members.header, "materials": [own, *members.header["materials"][1:]]}
    write_artifact(path, Artifact(header, members.tensors))
    with pytest.raises(InputError, match=r"bad\.eta: has an unusable header\.lod"):
        read_artifact(path)


def test_a_file_with_the_whole_name_is_meant_first(tmp_path: Path) -> None:
    file = tmp_path / "a#b.eta"
    assert split_name(tmp_path / "set.eta#x y") == (tmp_path / "set.eta", "x y")
    assert split_name(file) == (tmp_path / "a", "b.eta")
    file.write_bytes(b"")
    assert split_name(file) == (file, None)
