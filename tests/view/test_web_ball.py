"""The page's ball: networks as WebAssembly, the evaluator in the browser, and what is sent."""

from __future__ import annotations

import base64
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, read_material, write_artifact
from etendue.bake import network
from etendue.bsdf.neural_numpy import evaluate, normalize
from etendue.bsdf.pyramid import level_offsets
from etendue.formats.material import plain
from etendue.view.web_material import FINEST, PageMaterial, latent_level, page_materials

SIDE = 24
HELPERS = """
window.floats = (text) =>
  new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.text = (array) => {
  const b = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let s = '';
  for (let i = 0; i < b.length; i += 8192) s += String.fromCharCode(...b.subarray(i, i + 8192));
  return btoa(s);
};
(async () => {
  for (const name of ["wasm", "decoder", "ball"])
    window[name] = await import(new URL(`${name}.js`, location.href));
})()
"""


def sent(array: np.ndarray) -> str:
    """An argument for the page."""
    return json.dumps(base64.b64encode(np.asarray(array, "<f4").tobytes()).decode())


def got(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float32)


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Any:
    browser.go(f"{address}?idle&stream")
    browser.wait("window.etendue?.ready || window.etendueError")
    assert browser.run("window.etendueError") is None
    browser.run(HELPERS)
    return browser


def saved(folder: Path, *, reciprocal: bool, arch: str = "2x32", side: int = 16) -> Path:
    """A file with random networks."""
    seeded = torch.Generator().manual_seed(3)
    made = network.init_params(arch, "2x16", seeded, reciprocal)
    tensors: dict[str, Any] = {name: value.numpy() for name, value in made.items()}
    rng = np.random.default_rng(1)
    texels = level_offsets(side)[-1]
    tensors["latents"] = (0.5 * rng.normal(size=(texels, 8))).astype(np.float16)
    tensors["energy"] = rng.uniform(0.5, 1.0, size=(33, 3)).astype(np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    header = {
        "kind": "material", "name": "Random", "lod": {"resolution": side},
        "arch": {"evaluator": arch, "reciprocal": reciprocal},
    }  # fmt: skip
    path = folder / "random.eta"
    write_artifact(path, Artifact(header, tensors))
    return path


def open_decoder(page: Any, material: PageMaterial) -> None:
    data = np.frombuffer(material.content, np.float32)
    page.run(
        f"(() => {{ const file = {json.dumps(material.description)};"
        f"window.made = new decoder.Decoder(file, floats({sent(data)}),"
        "{ outputs: 3, vectors: 2, unroll: 4, fused: false }); })()"
    )


@pytest.mark.parametrize("sizes", [(24, 32, 32, 3), (26, 64, 64, 64, 3), (5, 7, 2), (1, 1)])
def test_every_kernel_equals_torch(page: Any, sizes: tuple[int, ...]) -> None:
    """Single precision, to 1e-5; also sizes that no tile divides, and lanes that fill no group."""
    torch.manual_seed(5)
    layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    x = torch.randn(101, sizes[0])
    y = x
    for k, layer in enumerate(layers):
        y = layer(y if k == 0 else torch.relu(y))
    numbers = [p.detach().numpy() for layer in layers for p in (layer.weight, layer.bias)]
    answers = page.run(f"""(() => {{
      const x = floats({sent(x.numpy())}), sizes = {list(sizes)};
      const weights = [{",".join(f"floats({sent(n)})" for n in numbers)}], found = {{}};
      const memory = wasm.memoryFor(sizes, 101), able = wasm.features(), last = sizes.at(-1);
      for (const fused of able.fused ? [false, true] : [false]) {{
        for (const candidate of wasm.candidates({{ fused }})) {{
          const network = new wasm.Network(sizes, weights, 101, candidate, memory);
          for (let i = 0; i < 101; i++) for (let k = 0; k < sizes[0]; k++)
            network.input[network.at(i, k, sizes[0])] = x[i * sizes[0] + k];
          network.run();
          const y = new Float32Array(101 * last);
          for (let i = 0; i < 101; i++) for (let k = 0; k < last; k++)
            y[i * last + k] = network.output[network.at(i, k, last)];
          found[wasm.nameOf(candidate)] = text(y);
        }}
      }}
      return found; }})()""")
    assert len(answers) >= 30
    for name, answer in answers.items():
        values = got(answer).reshape(101, -1)
        np.testing.assert_allclose(values, y.detach().numpy(), atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("reciprocal", [False, True])
def test_the_evaluator_equals_the_oracle(page: Any, tmp_path: Path, reciprocal: bool) -> None:
    path = saved(tmp_path, reciprocal=reciprocal)
    (material,) = page_materials({"A": path, "B": path})
    assert material.description["symmetric"] == reciprocal
    rng = np.random.default_rng(8)
    n = 2100  # more than one run
    latent = rng.normal(size=(n, 8)).astype(np.float32)
    wi, wo = (normalize(rng.normal(size=(n, 3))) for _ in range(2))
    wi[:, 2] = np.abs(wi[:, 2])  # wo also below the horizon
    wi, wo = wi.astype(np.float32), wo.astype(np.float32)
    open_decoder(page, material)
    answer = page.run(f"""(() => {{
      const [z, a, o] = [floats({sent(latent)}), floats({sent(wi)}), floats({sent(wo)})];
      const cut = (v, n) => Array.from({{ length: v.length / n }}, (_, i) =>
        Array.from(v.subarray(n * i, n * i + n)));
      const as = cut(a, 3), points = cut(z, 8).map((latent, i) => made.prepare(latent, as[i]));
      return text(made.evaluate(points, cut(o, 3))); }})()""")
    artifact = read_material(path)
    tensors = plain(artifact.header, artifact.tensors)
    wanted = evaluate(*(v.astype(np.float64) for v in (latent, wi, wo)), tensors)
    assert (wanted > 0).mean() > 0.4 and (wanted == 0).mean() > 0.4
    np.testing.assert_allclose(got(answer).reshape(n, 3), wanted, rtol=1e-5, atol=1e-7)


def lookup(latents: np.ndarray, u: float, v: float) -> np.ndarray:
    """Bilinear and wrapping, (rows, columns, 8)."""
    side = len(latents)
    x, y = u * side - 0.5, v * side - 0.5
    i, j = math.floor(x), math.floor(y)
    rows = [
        (1 - (x - i)) * latents[(j + b) % side, i % side]
        + (x - i) * latents[(j + b) % side, (i + 1) % side]
        for b in (0, 1)
    ]
    return (1 - (y - j)) * rows[0] + (y - j) * rows[1]


def test_the_ball_is_what_the_oracle_shades(page: Any, ceramic: Path) -> None:
    lamp = normalize(np.array([0.5, 0.3, 0.6]))
    answer = page.run(f"""(() => {{
      const b = Object.assign(Object.create(ball.Ball.prototype), {{ lamp: {lamp.tolist()} }});
      b.decoder = etendue.ball.decoder;
      b.points = ball.points({SIDE});
      b.seen = b.points.map((p) => p && b.decoder.prepare(
        b.decoder.latent(...p.uv), decoder.into(p.axes, [0, 0, 1])));
      return text(b.radiance()); }})()""")
    artifact = read_material(ceramic)
    tensors = plain(artifact.header, artifact.tensors)
    side, level = latent_level(int(artifact.header["lod"]["resolution"]))
    latents = tensors["latents"][level].reshape(side, side, 8).astype(np.float64)
    picture, inside = got(answer).reshape(SIDE, SIDE, 3), 0
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = (2 * column + 1) / SIDE - 1, 1 - (2 * row + 1) / SIDE
            if x * x + y * y > 0.98:
                continue
            n = np.array([x, y, math.sqrt(1 - x * x - y * y)])
            t = normalize(np.cross([0.0, 1.0, 0.0], n))
            frame = np.stack([t, np.cross(n, t), n])
            u, v = 0.5 + math.atan2(n[0], n[2]) / math.pi, 0.5 + math.asin(n[1]) / math.pi
            z = lookup(latents, u, v)
            wi = frame @ np.array([0.0, 0.0, 1.0])
            light = [evaluate(z, wi, frame @ w, tensors) for w in (lamp, np.array([0.0, 0, 1]))]
            wanted = math.pi * (light[0] + 0.1 * light[1])
            np.testing.assert_allclose(picture[row, column], wanted, rtol=1e-4, atol=1e-6)
            inside += 1
    assert inside > 400 and picture[0, 0].max() == 0


def test_the_lamp_moves_and_the_highlight_follows(page: Any) -> None:
    """Of a smooth coat: the mirror direction lies half way to the lamp."""
    for x in (-0.5, 0.5):
        page.run(f"etendue.ball.light({x}, 0)")
        values = got(page.run("text(etendue.ball.radiance())")).reshape(176, 176, 3).sum(-1)
        half = normalize(np.array([x, 0.0, 1.0 + math.sqrt(1 - x * x)]))
        values[:, 80:96] = 0  # the light at the viewer has its own
        column = np.unravel_index(np.argmax(values), values.shape)[1]
        assert column / 88 - 1 == pytest.approx(half[0], abs=0.06)


def test_the_fastest_kernel_is_remembered(page: Any, address: str) -> None:
    page.run("localStorage.clear()")
    page.run("etendue.ball.show(0, { budget: 800 })")
    name = page.run("wasm.nameOf(etendue.ball.kernel)")
    assert name in page.run("Object.values(localStorage)")
    browser = page
    browser.go(f"{address}?idle&stream")
    browser.wait("window.etendue?.ready || window.etendueError")
    browser.run(HELPERS)
    assert browser.run("wasm.nameOf(etendue.ball.kernel)") == name
    assert browser.run("etendue.ball.found") is None
    assert name in browser.run("document.getElementById('lit').textContent")


def test_tuning_measures_every_kernel_that_it_has_time_for(page: Any) -> None:
    rows = page.run("etendue.ball.tune(etendue.ball.decoder, 60000).then((found) => found.rows)")
    count = page.run("wasm.candidates(wasm.features()).length")
    assert len(rows) == count and all(row["ms"] > 0 and row["runs"] >= 1 for row in rows)
    few = page.run("etendue.ball.tune(etendue.ball.decoder, 1).then((found) => found.rows)")
    assert len(few) == 1


def test_without_simd_there_is_no_ball(page: Any) -> None:
    found = page.run("""(async () => {
      const validate = WebAssembly.validate;
      WebAssembly.validate = () => false;
      const made = await ball.Ball.open(etendue.scene.balls, null, null);
      WebAssembly.validate = validate;
      return [made, await ball.Ball.open([], null, null)]; })()""")
    assert found == [None, None]


def test_a_large_texture_is_sent_small(tmp_path: Path) -> None:
    path = saved(tmp_path, reciprocal=False, side=256)
    (material,) = page_materials({"A": path})
    first, end = material.description["parts"]["latents"]
    assert material.description["side"] == FINEST and end - first == FINEST**2 * 8
    values = np.frombuffer(material.content, np.float32)
    assert len(values) == end
    stored = read_material(path).tensors["latents"][256**2 : 256**2 + 128**2]
    np.testing.assert_array_equal(values[first:end].reshape(-1, 8), stored)


def test_what_transmits_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path, reciprocal=False)
    artifact = read_material(path)
    renamed = {f"up.{name}": array for name, array in artifact.tensors.items()}
    write_artifact(path, Artifact({**artifact.header, "transmission": {}}, renamed))
    assert page_materials({"A": path}) == []
