"""Choosing the LLVM and activating a variant."""

from __future__ import annotations

from pathlib import Path

import pytest

from etendue.core.errors import DeviceError
from etendue.device import drjit as home


def test_newest_bundled_library_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home.sys, "prefix", str(tmp_path))
    assert home.bundled_llvm() is None
    (tmp_path / "lib").mkdir()
    for name in ("libLLVM.so.9.1", "libLLVM.so.23.1", "libLLVM.so.19.1"):
        (tmp_path / "lib" / name).touch()
    assert home.bundled_llvm() == tmp_path / "lib" / "libLLVM.so.23.1"


def test_the_users_choice_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.LLVM_VARIABLE, "/a/libLLVM.so")
    assert home.llvm_library() == Path("/a/libLLVM.so")
    monkeypatch.delenv(home.LLVM_VARIABLE)
    assert home.llvm_library() == home.bundled_llvm()


def test_activate_returns_the_module_with_the_variant() -> None:
    mi = home.activate("scalar_rgb")
    assert mi.variant() == "scalar_rgb"
    assert home.activate("scalar_rgb") is mi


def test_unknown_variant_is_one_clear_error() -> None:
    with pytest.raises(DeviceError, match=r"^nonsense_rgb: cannot be used here .*etendue doctor"):
        home.activate("nonsense_rgb")


def test_an_unsuitable_llvm_is_an_error_and_not_an_abort(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.activate("scalar_rgb")
    monkeypatch.setenv(home.LLVM_VARIABLE, str(private_cache / "libLLVM.so"))
    with pytest.raises(DeviceError, match=r"^llvm_ad_rgb: cannot be used here .*not be found"):
        home.activate("llvm_ad_rgb")
    assert home.activate("scalar_rgb").variant() == "scalar_rgb"
