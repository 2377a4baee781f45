"""Node graphs: evaluated values against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import MaterialX
import numpy as np
import pytest

from etendue.core.color import srgb_to_linear
from etendue.core.errors import InputError
from etendue.scene.materialx.document import standard_library
from etendue.scene.materialx.graph import COMPONENTS, Evaluator

CENTRES = (np.arange(8) + 0.5) / 8


def _evaluate(
    folder: Path, body: str, name: str = "n", output: str = "", resolution: int = 8
) -> np.ndarray:
    """Value of a node of a document; colour spaces and files resolve as in any document."""
    document = MaterialX.createDocument()
    text = f'<materialx version="1.39" colorspace="lin_rec709">{body}</materialx>'
    MaterialX.readFromXmlString(document, text)
    document.setDataLibrary(standard_library())
    evaluator = Evaluator(folder / "x.mtlx", resolution)
    with np.errstate(all="ignore"):
        return evaluator.node(document.getNode(name), output, None)


def _only(value: np.ndarray) -> list[float]:
    assert value.shape[:2] == (1, 1)
    return value[0, 0].tolist()


CASES: list[tuple[str, str, dict[str, str], list[float]]] = [
    ("add", "color3", {"in1": "color3: 1, 2, 3", "in2": "float: 0.5"}, [1.5, 2.5, 3.5]),
    ("power", "float", {"in1": "float: 2", "in2": "float: 3"}, [8.0]),
    ("modulo", "float", {"in1": "float: -0.25", "in2": "float: 1"}, [0.75]),
    ("clamp", "float", {"in_": "float: 7"}, [1.0]),
    ("remap", "float", {"in_": "float: 0.25", "outlow": "float: 2", "outhigh": "float: 6"}, [3.0]),
    ("smoothstep", "float", {"in_": "float: 0.5"}, [0.5]),
    ("mix", "color3", {"fg": "color3: 1, 1, 1", "bg": "color3: 0, 0.5, 1", "mix": "float: 0.5"},
     [0.5, 0.75, 1.0]),
    ("ifgreater", "float", {"value1": "float: 2", "value2": "float: 1", "in1": "float: 5",
                            "in2": "float: 6"}, [5.0]),
    ("ifequal", "float", {"value1": "integer: 1", "value2": "integer: 2", "in1": "float: 5",
                          "in2": "float: 6"}, [6.0]),
    ("switch", "float", {"in1": "float: 4", "in2": "float: 5", "which": "integer: 1"}, [5.0]),
    ("combine3", "color3", {"in1": "float: 1", "in2": "float: 2", "in3": "float: 3"}, [1, 2, 3]),
    ("extract", "float", {"in_": "vector3: 4, 5, 6", "index": "integer: 2"}, [6.0]),
    ("convert", "color3", {"in_": "float: 0.3"}, [0.3, 0.3, 0.3]),
    ("dotproduct", "float", {"in1": "vector3: 1, 2, 3", "in2": "vector3: 4, 5, 6"}, [32.0]),
    ("crossproduct", "vector3", {"in1": "vector3: 1, 0, 0", "in2": "vector3: 0, 1, 0"}, [0, 0, 1]),
    ("rotate2d", "vector2", {"in_": "vector2: 1, 0", "amount": "float: 90"}, [0.0, -1.0]),
    ("rgbtohsv", "color3", {"in_": "color3: 0, 1, 0"}, [1 / 3, 1.0, 1.0]),
    ("hsvtorgb", "color3", {"in_": "color3: 0.6666667, 1, 0.5"}, [0.0, 0.0, 0.5]),
    ("hsvadjust", "color3", {"in_": "color3: 1, 0, 0", "amount": "vector3: 0.3333333, 1, 1"},
     [0.0, 1.0, 0.0]),
    ("luminance", "color3", {"in_": "color3: 0, 1, 0", "lumacoeffs": "color3: 0.3, 0.6, 0.1"},
     [0.6, 0.6, 0.6]),
    ("contrast", "float", {"in_": "float: 0.75", "amount": "float: 2"}, [1.0]),
    ("normalmap", "vector3", {"in_": "vector3: 0.5, 0.5, 1"}, [0.0, 0.0, 1.0]),
    ("normalmap", "vector3", {"in_": "vector3: 1, 0.5, 0.5", "scale": "float: 0.5"}, [1, 0, 0]),
    ("transformmatrix", "vector2",
     {"in_": "vector2: 1, 2", "mat": "matrix33: 2,0,0, 0,3,0, 10,20,1"}, [12.0, 26.0]),
    ("roughness_anisotropy", "vector2", {"roughness": "float: 0.5", "anisotropy": "float: 0.75"},
     [0.5, 0.125]),
    ("overlay", "float", {"fg": "float: 0.5", "bg": "float: 0.25"}, [0.25]),
    ("over", "color4", {"fg": "color4: 0.2, 0, 0, 0.5", "bg": "color4: 0, 0.4, 0, 1"},
     [0.2, 0.2, 0.0, 1.0]),
    ("blackbody", "color3", {"temperature": "float: 6504"}, [1.0, 1.0, 1.0]),
]  # fmt: skip


@pytest.mark.parametrize(("category", "kind", "inputs", "expected"), CASES)
def test_constant_nodes(
    tmp_path: Path, node: Any, category: str, kind: str, inputs: dict[str, str], expected: list
) -> None:
    value = _only(_evaluate(tmp_path, node(category, "n", kind, **inputs)))
    atol = 0.05 if category == "blackbody" else 1e-6  # D65 is not exactly on the locus
    np.testing.assert_allclose(value, expected, atol=atol)


def test_every_numeric_node_of_the_library_evaluates(tmp_path: Path) -> None:
    """All definitions with numbers only, at their defaults: right width, finite, or a clear no."""
    library = standard_library()
    refused, done = set(), 0
    for nodedef in library.getNodeDefs():
        outputs = nodedef.getActiveOutputs()
        if not all(o.getType() in COMPONENTS for o in outputs):
            continue
        document = MaterialX.createDocument()
        document.setDataLibrary(library)
        instance = document.addNodeInstance(nodedef, "n")
        with np.errstate(all="ignore"):
            try:
                evaluator = Evaluator(tmp_path / "x.mtlx", 4)
                value = evaluator.node(instance, outputs[0].getName(), None)
            except ValueError as error:
                raise AssertionError(nodedef.getName()) from error
            except Exception as error:
                assert "names no image" in str(error) or "cannot evaluate" in str(error)
                if "cannot evaluate" in str(error):
                    refused.add(nodedef.getNodeString())
                continue
        assert value.shape[-1] == COMPONENTS[outputs[0].getType()]
        assert np.isfinite(value).all()
        done += 1
    assert done > 600
    assert refused == {
        "chiang_hair_absorption_from_color",
        "chiang_hair_roughness",
        "deon_hair_absorption_from_melanin",
        "flake2d",
        "flake3d",
        "hextiledimage",
        "hextilednormalmap",
    }


def test_geometry_is_the_unit_patch(tmp_path: Path, node: Any) -> None:
    uv = _evaluate(tmp_path, node("texcoord", "n", "vector2"))
    np.testing.assert_allclose(uv[0, :, 0], CENTRES)
    np.testing.assert_allclose(uv[:, 0, 1], CENTRES[::-1])  # row 0 is the top: v near 1
    position = _evaluate(tmp_path, node("position", "n", "vector3"))
    np.testing.assert_array_equal(position[..., :2], uv)
    assert (position[..., 2] == 0.0).all()
    assert _only(_evaluate(tmp_path, node("tangent", "n", "vector3"))) == [1, 0, 0]
    assert _only(_evaluate(tmp_path, node("bitangent", "n", "vector3"))) == [0, 1, 0]
    assert _only(_evaluate(tmp_path, node("normal", "n", "vector3"))) == [0, 0, 1]


def test_ramps_and_splits(tmp_path: Path, node: Any) -> None:
    ramp = _evaluate(tmp_path, node("ramplr", "n", "float", valuel="float: 1", valuer="float: 3"))
    np.testing.assert_allclose(ramp[3, :, 0], 1.0 + 2.0 * CENTRES)
    ramp = _evaluate(tmp_path, node("ramptb", "n", "float", valuet="float: 1", valueb="float: 0"))
    np.testing.assert_allclose(ramp[:, 3, 0], CENTRES[::-1])  # the top is row 0
    split = _evaluate(tmp_path, node("splittb", "n", "float", valuet="float: 1"))
    assert split[0].min() == 1.0
    assert split[-1].max() == 0.0


def test_bump_of_a_ridge(tmp_path: Path, node: Any) -> None:
    """heighttonormal of h = u: slope dh/du / 16, encoded."""
    body = node("texcoord", "t", "vector2") + node(
        "separate2", "s", "multioutput", in_="vector2 @ t"
    )
    body += '<heighttonormal name="n" type="vector3"><input name="in" type="float" nodename="s" '
    body += 'output="outx"/><input name="scale" type="float" value="4"/></heighttonormal>'
    value = _evaluate(tmp_path, body)[4, 4] * 2.0 - 1.0  # away from the seam
    np.testing.assert_allclose(value[:2] / value[2], [-0.25, 0.0], atol=1e-9)


def test_compound_graph_with_interface_and_functional_graph(tmp_path: Path, node: Any) -> None:
    """Interface inputs reach through a plain graph, a definition's default, and nesting."""
    body = (
        '<nodedef name="ND_twice" node="twice"><input name="x" type="float" value="21"/>'
        '<output name="out" type="float"/></nodedef>'
        '<nodegraph name="NG_twice" nodedef="ND_twice">'
        '<multiply name="m" type="float"><input name="in1" type="float" interfacename="x"/>'
        '<input name="in2" type="float" value="2"/></multiply>'
        '<output name="out" type="float" nodename="m"/></nodegraph>'
        '<nodegraph name="G"><input name="a" type="float" value="5"/>'
        '<twice name="t" type="float"><input name="x" type="float" interfacename="a"/></twice>'
        '<output name="o" type="float" nodename="t"/></nodegraph>'
        + node("twice", "default", "float")
        + '<add name="n" type="float"><input name="in1" type="float" nodegraph="G" output="o"/>'
        '<input name="in2" type="float" nodename="default"/></add>'
    )
    assert _only(_evaluate(tmp_path, body)) == [10.0 + 42.0]


def test_colour_spaces_of_values(tmp_path: Path) -> None:
    """sRGB is decoded; the library's own graphs do the rest; vectors are never converted."""
    text = '<constant name="n" type="{0}"><input name="value" type="{0}" value="0.5, 0.5, 0.5" '
    text += 'colorspace="{1}"/></constant>'
    linear = float(srgb_to_linear(np.array(0.5)))
    for kind, space, expected in (
        ("color3", "srgb_texture", linear),
        ("color3", "lin_rec709", 0.5),
        ("color3", "g22_rec709", 0.5**2.2),
        ("color3", "gamma22", 0.5**2.2),
        ("color3", "acescg", 0.5),  # grey stays grey
        ("vector3", "srgb_texture", 0.5),
    ):
        value = _only(_evaluate(tmp_path, text.format(kind, space)))
        np.testing.assert_allclose(value, expected, atol=2e-3 if space == "acescg" else 1e-6)


def test_srgb_shortcut_is_the_library_graph(tmp_path: Path, node: Any) -> None:
    body = node("srgb_texture_to_lin_rec709", "n", "color3", in_="color3: 0.02, 0.4, 0.9")
    value = _only(_evaluate(tmp_path, body))
    np.testing.assert_allclose(value, srgb_to_linear(np.array([0.02, 0.4, 0.9])), atol=1e-6)


def test_a_connection_has_the_components_of_its_end(tmp_path: Path) -> None:
    """One component stands for all, what is too much is left out, too few are an error."""
    graph = (
        '<nodegraph name="g"><constant name="a" type="float">'
        '<input name="value" type="float" value="0.25"/></constant>'
        '<constant name="b" type="vector2"><input name="value" type="vector2" value="1, 2"/>'
        "</constant>"
        '<constant name="c" type="vector4"><input name="value" type="vector4" value="1, 2, 3, 4"/>'
        '</constant><output name="a_out" type="float" nodename="a"/>'
        '<output name="b_out" type="vector2" nodename="b"/>'
        '<output name="c_out" type="vector4" nodename="c"/></nodegraph>'
    )

    def add(output: str) -> np.ndarray:
        node = (
            '<add name="n" type="vector3">'
            f'<input name="in1" type="vector3" nodegraph="g" output="{output}"/>'
            '<input name="in2" type="vector3" value="10, 10, 10"/></add>'
        )
        return _evaluate(tmp_path, graph + node)

    assert _only(add("a_out")) == [10.25, 10.25, 10.25]
    assert _only(add("c_out")) == [11, 12, 13]
    with pytest.raises(InputError, match="connected to another type; got 2 components, expected 3"):
        add("b_out")
