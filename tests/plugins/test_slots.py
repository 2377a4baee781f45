"""Slots: one form of calling, examples of what is fixed, and specs that find what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.plugins import slots
from etendue.plugins.slots import SLOTS, TensorSpec, mismatches, runner, to_numpy

SPECS = {"a": TensorSpec("float32", ("n", 3)), "b": TensorSpec("int64", ("n", "k"), optional=True)}


@pytest.mark.parametrize("slot", ["field", "material", "format"])
def test_examples_are_as_declared_and_repeatable(slot: str) -> None:
    for sizes in SLOTS[slot].sizes:
        inputs = slots.example(slot, sizes, 3)
        specs = SLOTS[slot].inputs
        assert specs is not None
        assert mismatches(specs, inputs, sizes) == ([], dict(sizes))
        again = slots.example(slot, sizes, 3)
        assert all(np.array_equal(inputs[name], again[name]) for name in inputs)


def test_names_of_sizes_are_bound_once() -> None:
    good = {"a": np.zeros((4, 3), np.float32), "b": torch.zeros(4, 2, dtype=torch.long)}
    assert mismatches(SPECS, good, {}) == ([], {"n": 4, "k": 2})
    assert mismatches(SPECS, {"a": good["a"]}, {"n": 4}) == ([], {"n": 4})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"a": np.zeros((4, 3))}, "a: got float64, expected float32"),
        ({"a": np.zeros(12, np.float32)}, "a: got shape (12,), expected (n=12, 3)"),
        ({"a": np.zeros((4, 4), np.float32)}, "a: got shape (4, 4), expected (n=4, 3)"),
        ({"b": torch.zeros(5, 2, dtype=torch.long)}, "b: got shape (5, 2), expected (n=4, k=2)"),
        ({"b": torch.zeros(4, 2)}, "b: got float32, expected int64"),
        ({"c": 1}, "c: not declared"),
    ],
)
def test_what_is_wrong_is_told(changed: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"a": np.zeros((4, 3), np.float32)}
    found, _ = mismatches(SPECS, {**good, **changed}, {})
    assert found == [words]


def test_missing_tensors() -> None:
    assert mismatches(SPECS, {}, {})[0] == ["a: missing"]


def test_tensors_of_three_libraries() -> None:
    from etendue.device.drjit import activate

    mi = activate()
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for tensor in (values, torch.from_numpy(values).requires_grad_(), mi.TensorXf(values)):
        assert mismatches(SPECS, {"a": tensor}, {})[0] == []
        np.testing.assert_array_equal(to_numpy(tensor), values)


def test_every_slot_is_called_in_one_form() -> None:
    class Everything:
        def query(self, x: Any, d: Any) -> tuple[Any, Any]:
            return x, d

        def eval(self, wi: Any, wo: Any) -> Any:
            return ("eval", wi, wo)

        def pdf(self, wi: Any, wo: Any) -> Any:
            return ("pdf", wi, wo)

        def sample(self, wi: Any, u1: Any, u2: Any) -> tuple[Any, Any, Any]:
            return (u1, u2, wi)

        def encode(self, x: Any) -> dict[str, Any]:
            return {"code": x + 1}

        def decode(self, code: dict[str, Any]) -> Any:
            return code["code"] * 10

        def bound(self, x: Any) -> Any:
            return -x

    it = Everything()
    assert runner("field", it)(x=1, d=2) == {"rgb": 1, "sigma": 2}
    assert runner("format", it)(x=1) == {"decoded": 20, "bound": -1}
    assert runner("material", it)(wi=1, wo=2, u1=3, u2=4) == {
        "eval": ("eval", 1, 2),
        "pdf": ("pdf", 1, 2),
        "sampled_wo": 3,
        "sampled_pdf": 4,
        "weight": 1,
    }
    assert runner("model", len) is len
