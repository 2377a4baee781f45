"""Everything that can be wrong with a document or its images is one clear `InputError`."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.materialx import load_material

OPEN = '<?xml version="1.0"?>'


def test_missing_file_and_folder(documents: Any) -> None:
    for path in (documents.folder / "none.mtlx", documents.folder):
        with pytest.raises(InputError, match="no such MaterialX file"):
            load_material(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "is not XML"),
        ("", "is not XML"),
        (f"{OPEN}<materialx version='1.39'><a", "is not XML"),
        (f"{OPEN}<other/>", "got <other>, expected <materialx>"),
        (
            f'{OPEN}<!DOCTYPE m [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><materialx>&b;</materialx>',
            "entities, which are refused",
        ),
        (
            f'{OPEN}<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
            "<materialx>&x;</materialx>",
            "entities, which are refused",
        ),
        (f'{OPEN}<!DOCTYPE m SYSTEM "m.dtd"><materialx/>', "which are refused"),
        ("<materialx>" + "<a>" * 5000 + "</a>" * 5000 + "</materialx>", "nested too deeply"),
        ('<materialx version="1.39"/>', "holds no material"),
        (
            '<materialx version="1.39"><surfacematerial name="M" type="material"/></materialx>',
            "material 'M': has no surface shader",
        ),
        (
            '<materialx xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="gone.mtlx"/>'
            "</materialx>",
            "gone.mtlx: no such MaterialX file",
        ),
    ],
)
def test_bad_documents(documents: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        documents.load(text)


def test_binary_file(documents: Any) -> None:
    path = documents.folder / "x.mtlx"
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(InputError, match="is not XML"):
        load_material(path)


def test_bomb_in_an_included_file(documents: Any) -> None:
    documents.save('<!DOCTYPE m [<!ENTITY a "x">]><materialx>&a;</materialx>', "bomb.mtlx")
    for space in ("http://www.w3.org/2001/XInclude", "http://example.org"):
        text = f'<materialx xmlns:xi="{space}"><xi:include href="bomb.mtlx"/></materialx>'
        with pytest.raises(InputError, match=r"bomb\.mtlx: declares"):
            documents.load(text)


BODIES: list[tuple[str, str, str]] = [
    ("wobble", "node 'n': is of an unknown kind; got <wobble>", "float: 1"),
    ("add", "'n': is part of a cycle", "float @ n"),
    ("add", "not a valid MaterialX document", "float @ gone"),
    ("add", "not a valid MaterialX document", "float: x"),
    ("divide", "input 'base' of 'S': evaluates to NaN", "float: 0"),
]


@pytest.mark.parametrize(("category", "message", "given"), BODIES)
def test_bad_nodes(documents: Any, node: Any, category: str, message: str, given: str) -> None:
    more = {"in2": "float: 0"} if category == "divide" else {}
    body = node(category, "n", "float", in1=given, **more)
    with pytest.raises(InputError, match=re.escape(message)):
        documents.load(documents.shader("standard_surface", body, base="float @ n"))


def test_misspelt_and_mistyped_inputs(documents: Any) -> None:
    with pytest.raises(InputError, match="node 'S': has no input 'base_colour'; expected base,"):
        documents.load(documents.shader("standard_surface", base_colour="color3: 1, 1, 1"))
    with pytest.raises(InputError, match="no variant of <standard_surface> with these types"):
        documents.load(documents.shader("standard_surface", base_color="float: 1"))
    with pytest.raises(InputError, match=r"Invalid value"):
        documents.load(documents.shader("standard_surface", base_color="color3: 1, 1"))


def test_nodes_and_bsdfs_that_are_not_supported(documents: Any, node: Any) -> None:
    body = node("hextiledimage", "n", "color3", file="filename: a.png")
    with pytest.raises(InputError, match="'n': is a node that this program cannot evaluate"):
        documents.load(documents.shader("standard_surface", body, base_color="color3 @ n"))
    hair = node("chiang_hair_bsdf", "h", "BSDF")
    with pytest.raises(InputError, match="'h': is a BSDF that this program does not model"):
        documents.load(documents.surface(hair, "h"))
    layers = node("layer", "a", "BSDF", top="BSDF @ b") + node("layer", "b", "BSDF", top="BSDF @ a")
    with pytest.raises(InputError, match="'a': is part of a cycle"):
        documents.load(documents.surface(layers, "a"))


def test_recursion(documents: Any, node: Any) -> None:
    """A definition that contains itself, and a chain longer than the interpreter's stack."""
    own = (
        '<nodedef name="ND_u" node="u"><output name="out" type="float"/></nodedef>'
        '<nodegraph name="NG_u" nodedef="ND_u"><u name="inside" type="float"/>'
        '<output name="out" type="float" nodename="inside"/></nodegraph><u name="n" type="float"/>'
    )
    chain = "".join(node("add", f"n{i}", "float", in1=f"float @ n{i + 1}") for i in range(1500))
    chain += node("constant", "n1500", "float") + node("add", "n", "float", in1="float @ n0")
    for body in (own, chain):
        with pytest.raises(InputError, match="nested too deeply or calls itself"):
            documents.load(documents.shader("standard_surface", body, base="float @ n"))


def _image_shader(documents: Any, node: Any, file: str) -> str:
    body = node("image", "picture", "color3", file=f"filename: {file}")
    return documents.shader("standard_surface", body, base_color="color3 @ picture")


def test_missing_and_empty_image(documents: Any, node: Any) -> None:
    with pytest.raises(InputError, match=r"input 'picture/file': the image is missing.*gone\.png"):
        documents.load(_image_shader(documents, node, "gone.png"))
    with pytest.raises(InputError, match=r"picture.*names no image"):
        documents.load(_image_shader(documents, node, ""))


def test_nan_and_zero_size_images(documents: Any, node: Any) -> None:
    pixels = np.ones((4, 4, 3))
    pixels[2, 1, 0] = np.nan
    documents.image("nan.exr", pixels)
    with pytest.raises(InputError, match=r"picture/file.*nan\.exr: holds NaN .* got 1 of 48"):
        documents.load(_image_shader(documents, node, "nan.exr"))

    def chunk(kind: bytes, body: bytes) -> bytes:
        size, check = struct.pack(">I", len(body)), struct.pack(">I", zlib.crc32(kind + body))
        return size + kind + body + check

    head = struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (documents.folder / "zero.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(InputError, match=r"picture/file.*zero\.png"):
        documents.load(_image_shader(documents, node, "zero.png"))


def test_bad_address_mode_and_colour_space(documents: Any, node: Any) -> None:
    documents.image("a.exr", np.ones((2, 2, 3)))
    body = node("image", "n", "color3", file="filename: a.exr", uaddressmode="string: sideways")
    with pytest.raises(InputError, match="unknown address mode; got sideways"):
        documents.load(documents.shader("standard_surface", body, base_color="color3 @ n"))
    text = documents.shader("standard_surface", base_color="color3: 1, 1, 1")
    with pytest.raises(InputError, match="unknown colour space 'wonderland'"):
        documents.load(text.replace('"lin_rec709"', '"wonderland"'))


def test_choice_among_materials(documents: Any, node: Any) -> None:
    one = documents.shader("standard_surface")
    two = one.replace(
        "</materialx>",
        '<surfacematerial name="N" type="material">'
        '<input name="surfaceshader" type="surfaceshader" nodename="S"/></surfacematerial>'
        "</materialx>",
    )
    path = documents.save(two)
    with pytest.raises(InputError, match="several materials; got M, N"):
        load_material(path)
    with pytest.raises(InputError, match="got Q, expected one of: M, N"):
        load_material(path, "Q")
    assert load_material(path, "N").name == "N"
    assert documents.load(one).name == "M"
    bare = f'<materialx version="1.39">{node("gltf_pbr", "G", "surfaceshader")}</materialx>'
    assert documents.load(bare).name == "G"


@pytest.mark.parametrize("resolution", [0, -1, 8193])
def test_resolution_out_of_range(documents: Any, resolution: int) -> None:
    with pytest.raises(InputError, match="resolution: is out of range"):
        documents.load(documents.shader("standard_surface"), resolution)
