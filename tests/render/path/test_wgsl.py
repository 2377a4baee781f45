"""Shaders as WGSL: what the code says of itself, and a decoder in a browser against torch."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tools"))
spy = pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")

from etendue.core.errors import DeviceError  # noqa: E402
from etendue.render.path import slang_neural, wgsl  # noqa: E402
from etendue.render.path.slang_neural import DataBuilder  # noqa: E402

from .test_slang_neural import COUNT, QUERY, expected, hemisphere  # noqa: E402

PAGE = ROOT / "engine/etendue/view/page"


def program(artifacts: list[Any], tuning: wgsl.Tuning) -> wgsl.Program:
    sizes = {
        "CAPACITY": slang_neural.capacity(artifacts),
        "LAYERS": slang_neural.deepest(artifacts),
    }
    return wgsl.compile_wgsl("neural/decode", "decode_main", {**sizes, **tuning.constants})


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A browser with the page's modules, from a plain server."""
    chromium = pytest.importorskip("chromium")
    if chromium.executable() is None:
        pytest.skip("no Chromium: `tools/dev browser` installs one")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(PAGE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found = chromium.Chromium()
        found.go(f"http://127.0.0.1:{server.server_port}/style.css")
        found.wait("location.pathname === '/style.css' && document.readyState === 'complete'")
        yield found
        found.close()
        server.shutdown()
        thread.join()


RUN = """(async () => {
  const { openDevice, makeBuffer, makePipeline, readBuffer } = await import("/gpu.js");
  const given = JSON.parse(%s);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const device = await openDevice();
  const pipeline = await makePipeline(device, given.code, "decode_main");
  const S = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC, U = GPUBufferUsage.UNIFORM;
  const buffers = {};
  for (const [name, text] of Object.entries(given.buffers))
    buffers[name] = makeBuffer(device, bytes(text), S);
  const size = 32 * given.count;
  buffers.g_answers = makeBuffer(device, new Uint8Array(size), S);
  const count = makeBuffer(device, new Uint32Array([given.count, 0, 0, 0]), U);
  const entries = Object.entries(given.bindings).map(([name, binding]) =>
    ({ binding, resource: { buffer: buffers[name] ?? count } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(given.count / 32));
  pass.end();
  device.queue.submit([encoder.finish()]);
  return Array.from(new Float32Array(await readBuffer(device, buffers.g_answers, size)));
})()"""


@pytest.mark.parametrize("tuning", [wgsl.Tuning(), wgsl.Tuning(32, 2, 2), wgsl.Tuning(32, 2, 1)])
def test_the_decoder_in_a_browser_equals_torch(
    page: Any, artifact: Any, tuning: wgsl.Tuning
) -> None:
    made = [artifact(0), artifact(1, "1x16", "1x16"), artifact(2)]
    rng, builder = np.random.default_rng(0), DataBuilder()
    headers = [builder.add_neural(a) for a in made]
    queries = np.zeros(COUNT, QUERY)
    queries["uv"] = rng.uniform(-1, 2, (COUNT, 2))
    queries["material"] = rng.choice(headers, COUNT)
    queries["wi"], queries["wo"] = hemisphere(rng), hemisphere(rng)
    queries["u0"], queries["u1"] = rng.random((2, COUNT))
    contents = {"g_data": builder.data(), "g_queries": queries}
    code = program(made, tuning)
    given = {
        "code": code.code,
        "bindings": code.bindings,
        "count": COUNT,
        "buffers": {n: base64.b64encode(a.tobytes()).decode() for n, a in contents.items()},
    }
    got = np.array(page.run(RUN % json.dumps(json.dumps(given)))).reshape(COUNT, 8)
    queries["material"] = np.searchsorted(headers, queries["material"])
    want = expected(queries, made)
    np.testing.assert_allclose(got[:, :3], want[:, :3], rtol=1e-5)
    np.testing.assert_allclose(got[:, 3], want[:, 3], rtol=2e-4)
    # WGSL allows sines and cosines an error of 2^-11, and a browser's driver makes use of it
    np.testing.assert_allclose(got[:, 4:7], want[:, 4:], atol=2**-11)


def test_the_layout_of_settings_is_read_from_the_code() -> None:
    code = """struct Settings_std140_0
{
    @align(16) origin_0 : vec3<f32>,
    @align(4) near_0 : f32,
    @align(16) full_0 : vec2<u32>,
    @align(8) at_0 : vec2<u32>,
    @align(16) lens0_0 : vec3<f32>,
};"""
    assert wgsl.settings_layout(code) == {
        "origin": (0, 3, "f"),
        "near": (12, 1, "f"),
        "full": (16, 2, "u"),
        "at": (24, 2, "u"),
        "lens0": (32, 3, "f"),
        "": (48, 0, ""),
    }
    with pytest.raises(DeviceError, match="no settings"):
        wgsl.settings_layout("struct Other { }")


def test_what_wgsl_cannot_say_is_an_error_with_the_compilers_words() -> None:
    with pytest.raises(DeviceError, match=r"render/path\.rq: has no WGSL \(E"):
        wgsl.compile_wgsl("render/path.rq", "path_main", {"CAPACITY": 32, "LAYERS": 1})


def test_tunings_without_networks_differ_in_workgroups_only() -> None:
    names = [tuning.name for tuning in wgsl.tunings(0)]
    assert names == ["32-1-1", "64-1-1", "128-1-1"]
    every = wgsl.tunings(3)
    assert every[0] == wgsl.Tuning() and len({t.name for t in every}) == len(every) == 12
