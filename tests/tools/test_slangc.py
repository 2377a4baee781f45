"""Every entry point for every target that can have it, and what hardware each one asks for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
slangc = pytest.importorskip("slangc") if (ROOT / "tools/slangc.py").is_file() else None
pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")

NO = "refused"
# (entry point, networks, target) -> signs that must stand in the code
TABLE = {
    ("neural/decode", "scalar", "spirv"): (),
    ("neural/decode", "scalar", "hlsl"): (),
    ("neural/decode", "scalar", "cuda"): (),
    ("neural/decode", "scalar", "metal"): (),
    ("neural/decode", "scalar", "wgsl"): (),
    ("neural/decode", "coopvec", "spirv"): ("OpCooperativeVectorMatrixMulAddNV",),
    ("neural/decode", "coopvec", "hlsl"): ("__builtin_MatVecMulAdd",),
    ("neural/decode", "coopvec", "optix"): ("slangOptixCoopVecMatMul",),
    ("neural/decode", "coopvec", "cuda"): (),  # array loops
    ("neural/decode", "coopvec", "wgsl"): NO,
    ("neural/decode", "coopmat", "spirv"): ("OpCooperativeMatrixMulAddKHR",),
    ("neural/decode", "coopmat", "cuda"): ("Slang_CUDA_WMMA",),
    ("neural/decode", "coopmat", "metal"): ("simdgroup_multiply_accumulate",),
    ("neural/decode", "coopmat", "wgsl"): NO,
    ("render/path.bvh", "scalar", "spirv"): (),
    ("render/path.bvh", "scalar", "hlsl"): (),
    ("render/path.bvh", "scalar", "cuda"): (),
    ("render/path.bvh", "scalar", "metal"): (),
    ("render/path.bvh", "scalar", "wgsl"): (),
    ("render/path.rq", "scalar", "spirv"): ("OpRayQueryProceedKHR",),
    ("render/path.rq", "scalar", "hlsl"): ("RayQuery<",),
    ("render/path.rq", "scalar", "metal"): ("intersection_query",),
    ("render/path.rq", "scalar", "wgsl"): NO,  # browsers have no ray queries
    ("render/path.rq", "coopmat", "spirv"): (
        "OpCooperativeMatrixMulAddKHR",
        "OpRayQueryProceedKHR",
    ),
    ("render/path.wave", "scalar", "wgsl"): NO,  # counters there are of a type of their own
    ("render/path.wave", "scalar", "spirv"): (),
    ("render/path.wave", "scalar", "metal"): (),
    ("render/path.wave", "coopmat", "spirv"): ("OpCooperativeMatrixMulAddKHR",),
    ("render/path.wave", "coopmat", "cuda"): ("Slang_CUDA_WMMA",),
    ("render/path.rt", "scalar", "spirv"): ("OpTraceRayKHR",),
    ("render/path.rt", "scalar", "hlsl"): ("TraceRay(",),
    ("render/path.rt", "scalar", "metal"): NO,
    ("render/path.rt", "coopvec", "spirv"): ("OpCooperativeVectorMatrixMulAddNV", "OpTraceRayKHR"),
}


@pytest.fixture(scope="module")
def compiler() -> object:
    assert slangc is not None
    return slangc.Compiler()


@pytest.mark.parametrize(("key", "signs"), TABLE.items(), ids=lambda x: "-".join(x))
def test_what_is_emitted(compiler: object, key: tuple[str, str, str], signs: object) -> None:
    assert slangc is not None
    made = slangc.compile_entry(compiler, *key)
    if signs == NO:
        assert made.error and not made.code, slangc.signs(made.code)
        return
    assert not made.error, made.error
    assert set(signs) <= set(slangc.signs(made.code)), slangc.signs(made.code)  # type: ignore[call-overload]
    if key[1] == "scalar":
        assert not any(
            "Cooperative" in s or "CoopVec" in s or "WMMA" in s for s in slangc.signs(made.code)
        )
