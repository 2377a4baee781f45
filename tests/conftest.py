"""Shared by all tests: seeds, the lent test data, and a JIT that works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from etendue.device import drjit

ROOT = Path(__file__).parents[1]

# the same examples on every machine, and no time limit: other work may share the processor
settings.register_profile("etendue", derandomize=True, deadline=None)
settings.load_profile("etendue")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--variant cuda_ad_rgb` runs everything that takes the default on CUDA instead."""
    parser.addoption("--variant", default=drjit.DEFAULT_VARIANT, help="Mitsuba variant of arrays")


def pytest_configure(config: pytest.Config) -> None:
    """Before any module takes the name of the default variant over."""
    drjit.DEFAULT_VARIANT = config.getoption("--variant")
    drjit.activate.__defaults__ = (drjit.DEFAULT_VARIANT,)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real materials and scenes that may lie beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the data folder ../shared/data is not here")
    return folder


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder for answers of probes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "etendue"


@pytest.fixture(scope="module", autouse=True)
def default_variant_afterwards() -> Iterator[None]:
    """A file that worked with `scalar_rgb` does not leave it to the next file of its worker."""
    yield
    mitsuba = sys.modules.get("mitsuba")
    if mitsuba is not None and mitsuba.variant() not in (None, drjit.DEFAULT_VARIANT):
        mitsuba.set_variant(drjit.DEFAULT_VARIANT)
