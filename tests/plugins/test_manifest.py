"""Manifests: every wrong value is named with what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from etendue.core.errors import InputError
from etendue.plugins.manifest import read_manifest

Make = Callable[..., str]
TWIN = '[[variants]]\nname = "{}"\nentry = "model:double"\n'


def test_what_is_read(make: Make, folder: Path) -> None:
    more = TWIN.format("fast") + 'atol = 1e-5\nneeds = ["torch"]\ndevice = "cuda"\nmemory_mb = 10\n'
    name = make(more=more)
    manifest = read_manifest(folder / name, f"x.{name}")
    assert (manifest.name, manifest.slot, manifest.status) == (name, "kernel", "stable")
    assert manifest.inputs["x"].shape == ("n",)
    assert manifest.sizes == ({"n": 3}, {"n": 8})
    assert manifest.oracle.name == "reference"
    fast = manifest.variant("fast")
    assert (fast.atol, fast.needs, fast.device, fast.memory_mb) == (1e-5, ("torch",), "cuda", 10)
    with pytest.raises(InputError, match="expected reference, fast"):
        manifest.variant("slow")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": '"Other"'}, "the name of the folder"),
        ({"slot": '"widget"'}, "slot is wrong; got 'widget', expected model or kernel or field"),
        ({"slot": "3"}, "slot is wrong; got 3"),
        ({"slot": '"field"'}, "the slot field has fixed inputs"),
        ({"status": '"done"'}, "expected stable or draft"),
        ({"summary": '""'}, "expected a line of text"),
        ({"summary": '"a\\u001b[31m"'}, "expected a line of text"),
        ({"example": '"model"'}, "expected module:name"),
        ({"example": '"../model:example"'}, "expected module:name"),
        ({"example": '"other:example"'}, "a file that is absent; got other.py"),
        ({"x": '"float32"'}, "inputs.x is wrong"),
        ({"x": '{ dtype = "f32", shape = ["n"] }'}, "expected float16 or bfloat16 or float32"),
        ({"x": '{ dtype = "float32", shape = [0] }'}, "a list of numbers and names"),
        ({"x": '{ dtype = "float32", shape = ["n"], unit = "m" }'}, "inputs.x.unit is wrong"),
        ({"x": '{ dtype = "float32", shape = ["n", "k"] }'}, "sizes is wrong"),
        ({"n": "-1"}, "whole numbers above zero"),
        ({"n": "2.5"}, "whole numbers above zero"),
        ({"oracle": "false"}, "0 with oracle = true', expected exactly one"),
        ({"oracle": "1"}, "expected true or false"),
        ({"cost_ms": "-1"}, "zero or more"),
        ({"cost_ms": "nan"}, "a finite number"),
        ({"cost_ms": "true"}, "expected a number"),
        ({"entry": '"model.double"'}, "entry is wrong; got 'model.double'"),
        ({"more": "colour = 1"}, "variants.colour is wrong"),
        ({"more": TWIN.format("reference")}, "names that differ"),
        ({"more": TWIN.format("fast") + "oracle = true"}, "2 with oracle = true"),
        ({"more": TWIN.format("fast") + 'needs = "torch"'}, "a list of distribution names"),
        ({"more": TWIN.format("fast") + 'device = "tpu"'}, "cpu or cuda or vulkan"),
    ],
)
def test_wrong_values(make: Make, folder: Path, changes: dict[str, str], words: str) -> None:
    name = make(**changes)
    with pytest.raises(InputError) as caught:
        read_manifest(folder / name, name)
    assert words in str(caught.value)
    assert str(folder / name / "plugin.toml") in str(caught.value)
