"""The page of `etendue view --web` in a real browser, against the engine's own pictures."""

from __future__ import annotations

import base64
import http.client
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.ztest import z_test
from etendue.view.tonemap import Look, display

ROOT = Path(__file__).parents[2]
pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")
SPHERE = ROOT / "assets/scenes/sphere.xml"
SIDE = 64
POSE = '"pose": {"origin": [0, 0, 9], "target": [0, 0, 0], "up": [0, 1, 0]}'


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Any:
    """The page, which does nothing by itself."""
    browser.go(f"{address}?idle")
    browser.wait("window.etendue?.ready || window.etendueError")
    assert browser.run("window.etendueError") is None
    assert browser.run("etendue.how").startswith("WebGPU")
    return browser


def sums(page: Any, spp: int, seed: int) -> np.ndarray:
    """(SIDE, SIDE, 7) from the page."""
    wish = {"width": SIDE, "height": SIDE, "spp": spp, "seed": seed, "samples": 4}
    text = page.run(
        f"etendue.render({json.dumps(wish)}).then((a) => {{"
        "const b = new Uint8Array(a.buffer), step = 8192; let s = '';"
        "for (let i = 0; i < b.length; i += step)"
        "  s += String.fromCharCode(...b.subarray(i, i + step));"
        "return btoa(s); })"
    )
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(SIDE, SIDE, 7)


def engine(ceramic: Path) -> Any:
    from etendue.device.drjit import activate
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    scene = load_scene(SPHERE, assignments={"Sphere": ceramic})
    return build(scene, size=(SIDE, SIDE), variant=activate().variant())


def test_the_ceramic_sphere_passes_the_z_test(page: Any, ceramic: Path) -> None:
    from etendue.render.path.drjit import render

    spp = 32
    found = sums(page, spp, seed=1).astype(np.float64)
    assert found[..., 6].max() == 0
    mean = found[..., :3] / spp
    variance = (found[..., 3:6] / spp - mean**2) / (spp - 1)
    built = engine(ceramic)
    other = render(built.mi_scene, spp=96, seed=77, max_depth=built.max_depth)
    result = z_test(mean, other.rgb, np.maximum(variance, 0), other.variance())
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)


def test_the_picture_is_displayed_as_by_the_viewer(page: Any) -> None:
    total = sums(page, 4, seed=3)
    for look in (Look(0.5, "ACES"), Look(-1.0, "filmic"), Look(0.0, "linear")):
        shown = page.run(
            f"etendue.tracer.picture({look.exposure}, {look.curve!r}).then((a) => Array.from(a))"
        )
        pixels = np.array(shown).reshape(SIDE, SIDE, 4)
        wanted = display(total[..., :3] / 4, look)
        assert np.abs(pixels[..., :3] - wanted.astype(int)).max() <= 1, look
        assert (pixels[..., 3] == 255).all()


def test_a_camera_that_moved_and_came_back_sees_the_same(page: Any) -> None:
    """What the page computes from the pose equals what the engine measured on the film."""
    moved = page.run(
        "(() => { const c = etendue.camera; const own = c.settings(64, 64); c.moved = true;"
        "const computed = c.settings(64, 64);"
        "c.orbit(0.3, 0.2); c.orbit(0, -0.2); c.orbit(-0.3, 0);"
        "const back = c.settings(64, 64); c.reset(); return [own, computed, back]; })()"
    )
    for key in ("origin", "corner", "dx", "dy", "cone_width", "cone_spread"):
        for other in moved[1:]:
            np.testing.assert_allclose(other[key], moved[0][key], atol=2e-6, err_msg=key)


def test_another_material_changes_the_picture_and_back_gives_the_same_bits(page: Any) -> None:
    before = sums(page, 1, seed=2)
    names = page.run("etendue.scene.shapes.map((s) => s.name)")
    sphere = names.index("Sphere")
    own, other = page.run(f"etendue.scene.shapes[{sphere}].material"), names.index("Floor")
    page.run(f"etendue.tracer.setMaterial({sphere}, etendue.scene.shapes[{other}].material)")
    changed = sums(page, 1, seed=2)
    page.run(f"etendue.tracer.setMaterial({sphere}, {own})")
    assert np.abs(changed - before).max() > 0.05
    assert np.array_equal(sums(page, 1, seed=2), before)


def test_every_kernel_gives_the_same_bits(page: Any) -> None:
    before = sums(page, 1, seed=4)
    names = page.run("etendue.scene.tunings.map((t) => t.name)")
    assert len(names) == 12
    for name in ("128-1-1", "64-2-1", "32-1-2", "64-2-2"):
        k = names.index(name)
        page.run(
            f"etendue.build(etendue.scene.tunings[{k}]).then((x) => {{ etendue.tracer.use(x); }})"
        )
        np.testing.assert_allclose(sums(page, 1, seed=4), before, rtol=1e-4, atol=1e-5)


def test_tuning_finds_a_fast_kernel_within_its_budget(page: Any) -> None:
    """With a clock of its own: 12 kernels, of which one is the fastest; measuring is noisy."""
    found = page.run("""import(new URL('tune.js', location.href)).then(async ({ tune }) => {
      const runs = [];
      for (let seed = 0; seed < 20; seed++) {
        let clock = 0, state = seed * 7919 + 1;
        const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
        const cost = Array.from({ length: 12 }, () => 40 + 60 * random());
        const made = await tune({
          candidates: cost.map((_, k) => k), budget: 30000, now: () => clock,
          build: async (k) => { clock += 900; return k; },
          measure: async (k) => { const t = cost[k] * (1 + 0.1 * random()); clock += t; return t; },
        });
        runs.push([Math.min(...cost) / cost[made.best], clock, made.rows.length]);
      }
      return runs; })""")
    assert min(speed for speed, _, _ in found) >= 0.9
    assert max(clock for _, clock, _ in found) <= 30000 * 1.01
    assert all(count == 12 for *_, count in found)


def test_tuning_keeps_what_it_found(page: Any) -> None:
    page.run("localStorage.clear()")
    found = page.run("etendue.tune({ budget: 6000, size: [16, 16] })")
    assert found["best"] in [row["candidate"] for row in found["rows"]]
    page.run("(() => { etendue.ready = false; location.reload(); })()")
    page.wait("window.etendue?.ready || window.etendueError")
    assert page.run("etendue.tuning.name") == found["best"]


def test_it_shows_itself_and_asks_nobody_else(browser: Any, address: str, tmp_path: Path) -> None:
    browser.requests.clear()
    browser.go(address)
    done = "document.getElementById('status')?.textContent.includes('8 of 8')"
    browser.wait(f"window.etendueError || {done}")
    assert browser.run("window.etendueError") is None
    canvas = browser.run("document.getElementById('picture').toDataURL('image/png')")
    (tmp_path / "canvas.png").write_bytes(base64.b64decode(canvas.partition(",")[2]))
    from etendue.core.image import read_image

    assert read_image(tmp_path / "canvas.png").std() > 0.05
    assert browser.requests and all(url.startswith(address) for url in browser.requests)
    assert browser.console == []


def test_without_web_gpu_pictures_come_from_the_engine(
    browser: Any, address: str, ceramic: Path
) -> None:
    from etendue.render.path.drjit import render

    browser.go(f"{address}?stream&idle")
    browser.wait("window.etendue?.ready || window.etendueError")
    assert "no WebGPU" in browser.run("etendue.how")
    shown = browser.run(
        "(async () => { etendue.begin(64, 64); etendue.tracer.look = { stops: 0, curve: 'linear' };"
        "for (let i = 0; i < 16; i++) await etendue.tracer.pass();"
        "return [etendue.tracer.spp, Array.from(await etendue.tracer.picture())]; })()"
    )
    assert shown[0] == 16
    pixels = np.array(shown[1]).reshape(SIDE, SIDE, 4)[..., :3] / 255.0
    built = engine(ceramic)
    rgb = render(built.mi_scene, spp=16, seed=5, max_depth=built.max_depth).rgb
    wanted = display(rgb, Look(0.0, "linear")) / 255.0
    assert abs(pixels.mean() - wanted.mean()) < 0.01
    assert np.abs(pixels - wanted).mean() < 0.06


def ask(
    address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, Any]:
    host, _, token = address.removeprefix("http://").partition("/")
    link = http.client.HTTPConnection(host, timeout=60)
    link.request(method, path.replace("TOKEN", token.rstrip("/")), body, headers)
    answer = link.getresponse()
    found = answer.status, answer.read(), answer.headers
    link.close()
    return found


def test_nothing_is_answered_without_the_token(address: str) -> None:
    for path in ("/", "/scene.json", "/wrong/scene.json", "/%2e%2e/scene.json"):
        assert ask(address, path)[0] == 403
    assert ask(address, "/TOKEN/scene.json", Host="evil.example")[0] == 403
    status, _, headers = ask(address, "/TOKEN/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["../web.py", "%2e%2e/web.py", "buffers/none", "kernel/1-1-1.wgsl", "page/main.js"]
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert ask(address, f"/TOKEN/{path}")[0] == 404


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("[]", b"is no wish"),
        ("{", b"Expecting"),
        ('{"size": [64, 64]}', b"is no wish"),
        (f'{{"size": [63, 64], {POSE}}}', b"even"),
        (f'{{"size": [1e9, 2], {POSE}}}', b"size"),
        (f'{{"size": [64, 64], {POSE.replace("9", "NaN")}}}', b"is no wish"),
        (f'{{"size": [64, 64], "curve": "blue", {POSE}}}', b"curve"),
    ],
)  # fmt: skip
def test_a_wish_that_makes_no_sense_is_refused(address: str, wish: str, told: bytes) -> None:
    status, text, _ = ask(address, "/TOKEN/frame", "POST", wish.encode())
    assert status == 400 and told in text and b"Traceback" not in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--web"], "SCENE: is missing"),
        ([str(SPHERE), "--port", "8000"], "--port: goes together with --web only"),
    ],
)
def test_one_clear_error(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    from etendue.cli import main

    assert main(["view", *words]) != 0
    assert told in capsys.readouterr().err


def test_a_scene_with_fields_is_refused() -> None:
    """The page's shaders have none, and leaving them out would show another scene."""
    from types import SimpleNamespace

    from etendue.core.errors import InputError
    from etendue.view.web_scene import web_scene

    live: Any = SimpleNamespace(built=SimpleNamespace(fields=("a field",)))
    with pytest.raises(InputError, match="radiance fields: are not in the page's shaders"):
        web_scene(live, "s", 1)
