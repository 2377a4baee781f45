"""`plugin.toml`: what a plugin says of itself, read without importing any of its Python."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.plugins.slots import SLOTS, Specs, TensorSpec

FILE = "plugin.toml"
STATUSES = ("stable", "draft")
KINDS = ("cpu", "cuda", "vulkan")
NAME = re.compile(r"[a-z][a-z0-9_]*")
ENTRY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int32", "int64", "bool")


@dataclass(frozen=True)
class Variant:
    """One implementation of a plugin."""

    name: str
    entry: str  # module:attribute, in the plugin's folder
    oracle: bool = False  # the one that the others are compared with
    device: str = "cpu"  # kind
    cost_ms: float = 1.0  # a guess; among the usable variants the cheapest is picked
    memory_mb: int = 0
    atol: float = 0.0  # against the oracle, per output value
    needs: tuple[str, ...] = ()  # distributions that must be installed
    reasons: str | None = None  # entry of `reasons(inputs, caps) -> list[str]`


@dataclass(frozen=True)
class Manifest:
    """A plugin as data."""

    name: str
    slot: str
    summary: str
    status: str
    folder: Path
    module: str  # import name of the folder
    variants: tuple[Variant, ...]
    inputs: Specs
    outputs: Specs
    sizes: tuple[Mapping[str, int], ...]  # two or more, for conformance and examples
    example: str | None = None  # entry of `example(sizes, seed) -> inputs`
    compare: str | None = None  # entry of `compare(outputs) -> arrays` that variants agree in
    extra: str | None = None  # of the package, with the distributions in `needs`

    @property
    def oracle(self) -> Variant:
        """The variant that the others are compared with."""
        return next(variant for variant in self.variants if variant.oracle)

    def variant(self, name: str) -> Variant:
        """The variant called `name`."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise InputError(self.name, "has no such variant", got=name, expected=known)


def read_manifest(folder: Path, module: str) -> Manifest:
    """Read and check `folder/plugin.toml`; `module` is the import name of the folder.

    Raises `InputError` for anything wrong, also when a file that an entry names is absent.
    """
    path = folder / FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(path, f"cannot be read ({' '.join(str(error).split())})") from error
    return _Reader(path, folder, module).manifest(table)


@dataclass(frozen=True)
class _Reader:
    """Checks the values of one file; errors name the file and the key."""

    path: Path
    folder: Path
    module: str

    def manifest(self, table: dict[str, Any]) -> Manifest:
        known = "name slot summary status inputs outputs sizes example compare extra variants"
        self._known(table, known, "")
        name = self._text(table, "name")
        if not NAME.fullmatch(name) or name != self.folder.name:
            raise self._wrong("name", name, f"the name of the folder, {self.folder.name}")
        slot = self._choice(table, "slot", tuple(SLOTS))
        inputs, outputs = self._specs(table, slot, "inputs"), self._specs(table, slot, "outputs")
        fixed = SLOTS[slot].inputs is not None
        manifest = Manifest(
            name=name,
            slot=slot,
            summary=self._text(table, "summary"),
            status=self._choice(table, "status", STATUSES),
            folder=self.folder,
            module=self.module,
            variants=self._variants(table.get("variants")),
            inputs=inputs,
            outputs=outputs,
            sizes=self._sizes(table, slot, inputs),
            example=self._entry(table, "example", needed=not fixed),
            compare=self._entry(table, "compare"),
            extra=self._text(table, "extra") if "extra" in table else None,
        )
        return manifest

    def _variants(self, rows: Any) -> tuple[Variant, ...]:
        if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
            raise self._wrong("variants", rows, "one [[variants]] table or more")
        variants = tuple(self._variant(row) for row in rows)
        names = [variant.name for variant in variants]
        if len(set(names)) != len(names):
            raise self._wrong("variants", ", ".join(names), "names that differ")
        oracles = sum(variant.oracle for variant in variants)
        if oracles != 1:
            raise self._wrong("variants", f"{oracles} with oracle = true", "exactly one")
        return variants

    def _variant(self, row: dict[str, Any]) -> Variant:
        known = "name entry oracle device cost_ms memory_mb atol needs reasons"
        self._known(row, known, "variants.")
        needs = row.get("needs", [])
        if not isinstance(needs, list) or not all(isinstance(n, str) and n for n in needs):
            raise self._wrong("variants.needs", needs, "a list of distribution names")
        if not isinstance(row.get("oracle", False), bool):
            raise self._wrong("variants.oracle", row["oracle"], "true or false")
        return Variant(
            name=self._text(row, "name"),
            entry=self._entry(row, "entry", needed=True) or "",
            oracle=row.get("oracle", False),
            device=self._choice({"device": "cpu", **row}, "device", KINDS),
            cost_ms=self._number(row, "cost_ms", 1.0),
            memory_mb=int(self._number(row, "memory_mb", 0)),
            atol=self._number(row, "atol", 0.0),
            needs=tuple(needs),
            reasons=self._entry(row, "reasons"),
        )

    def _specs(self, table: dict[str, Any], slot: str, key: str) -> Specs:
        fixed = getattr(SLOTS[slot], key)
        if fixed is not None:
            if key in table:
                raise self._wrong(key, "a table", f"none: the slot {slot} has fixed {key}")
            return fixed
        rows = table.get(key)
        if not isinstance(rows, dict) or not rows:
            raise self._wrong(key, rows, f"a table [{key}] of tensors")
        return {name: self._spec(f"{key}.{name}", row) for name, row in rows.items()}

    def _spec(self, key: str, row: Any) -> TensorSpec:
        if not isinstance(row, dict):
            raise self._wrong(key, row, '{ dtype = "float32", shape = ["n", 3] }')
        self._known(row, "dtype shape optional", f"{key}.")
        shape = row.get("shape")
        good = isinstance(shape, list) and all(
            (isinstance(d, int) and d > 0) or (isinstance(d, str) and NAME.fullmatch(d))
            for d in shape
        )
        if not good:
            raise self._wrong(f"{key}.shape", shape, "a list of numbers and names")
        dtype = self._choice(row, "dtype", DTYPES)
        return TensorSpec(dtype, tuple(shape or ()), bool(row.get("optional", False)))

    def _sizes(
        self, table: dict[str, Any], slot: str, inputs: Specs
    ) -> tuple[Mapping[str, int], ...]:
        rows = table.get("sizes")
        if rows is None and SLOTS[slot].inputs is not None:
            return SLOTS[slot].sizes
        names = {d for spec in inputs.values() for d in spec.shape if isinstance(d, str)}
        wanted = f"two [[sizes]] tables or more with {', '.join(sorted(names)) or 'no key'}"
        if not isinstance(rows, list) or len(rows) < 2:
            raise self._wrong("sizes", rows, wanted)
        for row in rows:
            if not isinstance(row, dict) or set(row) < names:
                raise self._wrong("sizes", row, wanted)
            if not all(type(v) is int and v > 0 for v in row.values()):
                raise self._wrong("sizes", row, "whole numbers above zero")
        return tuple(rows)

    def _entry(self, row: dict[str, Any], key: str, needed: bool = False) -> str | None:
        if key not in row and not needed:
            return None
        text = row.get(key)
        match = ENTRY.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise self._wrong(key, text, "module:name, such as model:build")
        file = self.folder.joinpath(*match[1].split(".")).with_suffix(".py")
        if not file.is_file():
            raise InputError(self.path, f"{key} names a file that is absent", got=file.name)
        return text

    def _text(self, row: dict[str, Any], key: str) -> str:
        text = row.get(key)
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise self._wrong(key, text, "a line of text")
        return text

    def _choice(self, row: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
        if row.get(key) not in choices:
            raise self._wrong(key, row.get(key), " or ".join(choices))
        return row[key]

    def _number(self, row: dict[str, Any], key: str, default: float) -> float:
        value = row.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        if not (math.isfinite(value) and value >= 0):
            raise self._wrong(key, value, "a finite number, zero or more")
        return float(value)

    def _known(self, row: dict[str, Any], keys: str, prefix: str) -> None:
        unknown = sorted(set(row) - set(keys.split()))
        if unknown:
            raise self._wrong(f"{prefix}{unknown[0]}", "an unknown key", keys.replace(" ", ", "))

    def _wrong(self, key: str, got: Any, expected: str) -> InputError:
        return InputError(self.path, f"{key} is wrong", got=repr(got), expected=expected)
