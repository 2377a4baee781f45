"""Scenes to pictures: building, path tracing, films."""

from __future__ import annotations

from etendue import bsdf

__all__ = ["bsdf"]  # imported first, because it names the LLVM that Dr.Jit is to load
