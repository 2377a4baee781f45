"""The conformance checks themselves: each of them can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from etendue.plugins import conformance
from etendue.plugins.registry import find

Make = Callable[..., str]
HEAD = "import numpy as np\n\ndef example(sizes, seed):\n"
EXAMPLE = HEAD + "    return {'x': np.random.default_rng(seed).random(sizes['n'], np.float32)}\n\n"
FAULTS = {
    "loads": "raise RuntimeError('no')\n",
    "shapes": EXAMPLE + "def double(x):\n    x *= 2\n    return {'y': x}\n",
    "determinism": EXAMPLE + "def double(x):\n    return {'y': x + np.float32(np.random.rand())}\n",
    "in_a_frame": EXAMPLE + "calls = []\n\ndef double(x):\n    calls.append(1)\n"
    "    return {'y': x + np.float32(len(calls))}\n",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(make: Make, fault: str) -> None:
    manifest = find(make(FAULTS[fault]))
    check = getattr(conformance, fault)
    arguments = (manifest,) if fault == "in_a_frame" else (manifest, manifest.oracle)
    with pytest.raises(Exception) as caught:
        check(*arguments)
    assert isinstance(caught.value, AssertionError) or fault == "loads"


def test_a_variant_that_differs_from_the_oracle_is_found(make: Make) -> None:
    code = EXAMPLE + "def double(x):\n    return {'y': 2 * x}\n\ndef fast(x):\n"
    code += "    return {'y': 2 * x + np.float32(1e-3)}\n"
    more = '[[variants]]\nname = "fast"\nentry = "model:fast"\natol = '
    loose, strict = (find(make(code, more=more + atol)) for atol in ("2e-3", "1e-4"))
    conformance.agreement(loose, loose.variant("fast"))
    with pytest.raises(AssertionError, match="from reference"):
        conformance.agreement(strict, strict.variant("fast"))


@pytest.mark.parametrize("page", ["", "x\n" * 61, "| reference | 1 | 1 | 5 |\n"])
def test_a_readme_without_figures_or_end_is_found(make: Make, folder: Path, page: str) -> None:
    name = make()
    (folder / name / "README.md").write_text(page)
    with pytest.raises(AssertionError):
        conformance.readme(find(name))


WRONG_MATERIALS = {
    "pdf": "    def pdf(self, wi, wo):\n        return 2 * super().pdf(wi, wo)\n",
    "energy": "    def eval(self, wi, wo):\n        return 2 * super().eval(wi, wo)\n"
    "    def sample(self, wi, u1, u2):\n        wo, pdf, w = super().sample(wi, u1, u2)\n"
    "        return wo, pdf, 2 * w\n",
    "weight": "    def sample(self, wi, u1, u2):\n        wo, pdf, w = super().sample(wi, u1, u2)\n"
    "        return wo, pdf, 0.9 * w\n",
}


def template(slot: str) -> str:
    root = Path(__file__).parents[2] / "plugins" / "_template" / slot
    return (root / "model.py").read_text(encoding="utf-8")


def wrong(make: Make, slot: str, base: str, body: str) -> str:
    """A plugin of the skeleton of `slot`, with one method that is wrong."""
    code = template(slot).replace("def build(", "def right(")
    code += f"\n\nclass Wrong({base}):\n{body}\n\ndef build(seed):\n    return Wrong()\n"
    name = make(code)
    return name


@pytest.mark.parametrize("fault", WRONG_MATERIALS)
def test_wrong_materials_are_found(make: Make, folder: Path, fault: str) -> None:
    name = wrong(make, "material", "Diffuse", WRONG_MATERIALS[fault])
    slotted(folder / name, "material")
    manifest = find(name)
    with pytest.raises(AssertionError):
        conformance.of_material(manifest, manifest.oracle)


WRONG_FORMATS = {
    "bits": "    bits = 8.0\n",
    "bound": "    def bound(self, x):\n        return super().bound(x) * np.float32(0.1)\n",
    "fixed point": "    def decode(self, code):\n"
    "        return super().decode(code) * np.float32(1.0005)\n"
    "    def bound(self, x):\n        return np.abs(x)\n",
}


@pytest.mark.parametrize("fault", WRONG_FORMATS)
def test_wrong_formats_are_found(make: Make, folder: Path, fault: str) -> None:
    name = wrong(make, "format", "Half", WRONG_FORMATS[fault])
    slotted(folder / name, "format")
    manifest = find(name)
    with pytest.raises(AssertionError):
        conformance.of_format(manifest, manifest.oracle)


WRONG_FIELDS = {
    "negative": "    def query(self, x, d):\n        rgb, sigma = super().query(x, d)\n"
    "        return rgb, sigma - 1\n",
    "neighbours": "    def query(self, x, d):\n        rgb, sigma = super().query(x, d)\n"
    "        return rgb, sigma + np.float32(len(x))\n",
}


@pytest.mark.parametrize("fault", WRONG_FIELDS)
def test_wrong_fields_are_found(make: Make, folder: Path, fault: str) -> None:
    name = wrong(make, "field", "Ball", WRONG_FIELDS[fault])
    slotted(folder / name, "field")
    manifest = find(name)
    with pytest.raises(AssertionError):
        conformance.of_field(manifest, manifest.oracle)


def slotted(path: Path, slot: str) -> None:
    """Give a plugin the manifest of another slot."""
    text = f'name = "{path.name}"\nslot = "{slot}"\nsummary = "x"\nstatus = "stable"\n'
    text += '[[variants]]\nname = "reference"\nentry = "model:build"\noracle = true\n'
    (path / "plugin.toml").write_text(text)
