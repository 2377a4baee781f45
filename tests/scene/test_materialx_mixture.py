"""The algebra of weighted stacks: weights, order, tints, packing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.scene.material import Channel, LayerKind
from etendue.scene.materialx.inputs import dielectric, diffuse
from etendue.scene.materialx.mixture import (
    BLACK,
    Lobe,
    Mixture,
    Term,
    closed,
    constant,
    layered,
    mixed,
    packed,
    scaled,
    tinted,
)

FLAT = constant(0.0, 0.0)
ALONG = constant(1.0, 0.0)


def _interface(name: str, eta: float = 1.5) -> Lobe:
    return dielectric(name, constant(0.1, 0.1), FLAT, ALONG, constant(eta))


def _matte(name: str, albedo: float = 0.5) -> Lobe:
    return diffuse(name, constant(albedo, albedo, albedo), constant(0.0), FLAT)


def _one(lobe: Lobe) -> Mixture:
    return (Term(lobes=(lobe,)),)


def _total(terms: Mixture) -> float:
    return float(sum(t.weight[0, 0, 0] for t in terms))


amounts = st.floats(0.0, 1.0)
leaves = st.sampled_from(["a", "b", "c"]).map(lambda n: _one(_interface(n))) | st.sampled_from(
    ["d", "e"]
).map(lambda n: _one(_matte(n)))


def _pairs(children: st.SearchStrategy[Mixture]) -> st.SearchStrategy[Mixture]:
    return st.builds(
        lambda f, b, m: mixed(f, b, constant(m)), children, children, amounts
    ) | st.builds(layered, children, children)


trees = st.recursive(leaves, _pairs, max_leaves=8)


@given(trees)
def test_mixes_and_layers_keep_the_total_weight(tree: Mixture) -> None:
    """Without add, a tree is a partition of unity: nothing is counted twice or lost."""
    assert _total(tree) == pytest.approx(1.0, abs=1e-3)  # terms below WEIGHT_MIN are dropped
    for term in tree:
        assert all(not lobe.opaque for lobe in term.lobes[:-1])


@given(trees, trees, trees, amounts)
def test_layer_distributes_over_mix(a: Mixture, b: Mixture, base: Mixture, m: float) -> None:
    left = layered(mixed(a, b, constant(m)), base)
    right = mixed(layered(a, base), layered(b, base), constant(m))

    def signature(terms: Mixture) -> dict[tuple[str, ...], float]:
        result: dict[tuple[str, ...], float] = {}
        for term in terms:
            names = tuple(lobe.name for lobe in term.lobes)
            result[names] = result.get(names, 0.0) + float(term.weight[0, 0, 0])
        return result

    first, second = signature(left), signature(right)
    for names in first.keys() | second.keys():
        assert first.get(names, 0.0) == pytest.approx(second.get(names, 0.0), abs=1e-3)


@given(trees, trees, trees)
def test_layering_is_associative(a: Mixture, b: Mixture, c: Mixture) -> None:
    def names(terms: Mixture) -> list[tuple[str, ...]]:
        return [tuple(lobe.name for lobe in term.lobes) for term in terms]

    assert names(layered(layered(a, b), c)) == names(layered(a, layered(b, c)))


@settings(max_examples=40)
@given(trees, st.floats(0.0, 1.0))
def test_packing_keeps_weights_and_shares_layers(tree: Mixture, tint: float) -> None:
    material = packed("m", tinted(tree, constant(tint)), 4, (), "")
    parameters = [replace(layer, name="") for layer in material.layers]
    assert len(parameters) == len(set(parameters))  # equal lobes are stored once
    assert sum(float(s.weight[0]) for s in material.stacks) <= 1.0 + 1e-6
    for stack in material.stacks:
        kinds = [material.layers[i].kind for i in stack.layers]
        assert kinds[-1] != LayerKind.DIELECTRIC
        assert all(k == LayerKind.DIELECTRIC for k in kinds[:-1])


def test_opaque_top_hides_the_base() -> None:
    (term,) = layered(_one(_matte("top")), _one(_matte("base")))
    assert [lobe.name for lobe in term.lobes] == ["top"]


def test_fractional_coat_is_a_coated_and_an_uncoated_stack() -> None:
    coat = mixed(_one(_interface("coat")), (Term(),), constant(0.25))
    terms = layered(coat, _one(_matte("base")))
    assert [[lobe.name for lobe in t.lobes] for t in terms] == [["coat", "base"], ["base"]]
    assert [t.weight[0, 0, 0] for t in terms] == [0.25, 0.75]


def test_weights_of_zero_and_one_are_pruned() -> None:
    a, b = _one(_matte("a")), _one(_matte("b"))
    assert mixed(a, b, constant(1.0)) == a
    assert mixed(a, b, constant(-3.0)) == b
    assert scaled(a, constant(0.0)) == ()
    varying = np.zeros((4, 4, 1))
    varying[1, 1] = 1.0
    assert len(mixed(a, b, varying)) == 2


def test_tint_touches_reflection_only() -> None:
    """multiply of an interface under a layer tints its reflection, not what shines through."""
    top = tinted(_one(_interface("top")), constant(0.5, 0.6, 0.7))
    (term,) = layered(top, _one(_matte("base")))
    np.testing.assert_array_equal(term.lobes[0].values["reflect_tint"][0, 0], [0.5, 0.6, 0.7])
    assert term.weight[0, 0, 0] == 1.0
    (alone,) = tinted(_one(_matte("base")), constant(0.5, 0.6, 0.7))
    np.testing.assert_array_equal(alone.weight[0, 0], [0.5, 0.6, 0.7])


def test_open_stacks_end_in_black_and_pure_black_vanishes() -> None:
    (term,) = closed(_one(_interface("glass")))
    assert term.lobes[-1] is BLACK
    assert closed(_one(BLACK)) == ()
    assert closed((Term(),)) == ()
    material = packed("m", (), 4, (), "")
    assert [layer.kind for layer in material.layers] == [LayerKind.BLACK]


def test_identity_interface_is_left_out() -> None:
    material = packed("m", layered(_one(_interface("nothing", 1.0)), _one(_matte("b"))), 4, (), "")
    assert [layer.name for layer in material.layers] == ["b"]
    clear = _interface("absorbing", 1.0).changed(tau_absorb=constant(0.1, 0.0, 0.0))
    material = packed("m", layered(_one(clear), _one(_matte("b"))), 4, (), "")
    assert len(material.layers) == 2


def test_equal_stacks_are_merged() -> None:
    terms = scaled(_one(_matte("a")), constant(0.25)) + scaled(_one(_matte("a")), constant(0.5))
    material = packed("m", terms, 4, (), "")
    assert len(material.stacks) == 1
    assert material.stacks[0].weight == (0.75, 0.75, 0.75)


def test_channels_are_shared_and_constants_stay_floats() -> None:
    ramp = np.linspace(0.0, 1.0, 16).reshape(4, 4, 1)
    albedo = np.concatenate([ramp, np.full((4, 4, 1), 0.25), ramp], axis=-1)
    lobe = diffuse("d", albedo, ramp, FLAT)
    material = packed("m", _one(lobe), 4, ("note",), "hash")
    (layer,) = material.layers
    assert layer.albedo == (Channel(0), 0.25, Channel(0))
    assert layer.roughness == Channel(0)
    assert material.texture.data.shape == (4, 4, 1)
    assert len(material.texture.channels) == 1
    np.testing.assert_array_equal(material.texture.data[..., 0], ramp[..., 0].astype(np.float32))
    assert material.notes == ("note",)
    assert material.source_hash == "hash"


def test_tangent_of_an_isotropic_lobe_is_dropped() -> None:
    lobe = _interface("i").changed(tangent=constant(0.0, 2.0))
    material = packed("m", layered(_one(lobe), _one(_matte("b"))), 4, (), "")
    assert material.layers[0].tangent == (1.0, 0.0)
    lobe = lobe.changed(alpha=constant(0.1, 0.2))
    material = packed("m", layered(_one(lobe), _one(_matte("b"))), 4, (), "")
    assert material.layers[0].tangent == (0.0, 1.0)
