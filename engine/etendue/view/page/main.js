// The page: a picture that gets better, a camera that moves, and what can be changed.
import { Ball } from "./ball.js";
import { Camera } from "./camera.js";
import { PathTracer, openDevice } from "./gpu.js";
import { Streamed } from "./stream.js";
import { tune } from "./tune.js";

const $ = (id) => document.getElementById(id);
const BUDGET_MS = 30000; // of tuning
const MOVING = 2; // pixels are this many times as wide while the camera moves
const REST_MS = 250; // without a move the picture gets its full size again
const PLAIN = "32-1-1"; // the kernel before anything was measured

const json = async (path) => (await fetched(path)).json();
const bytes = async (path) => (await fetched(path)).arrayBuffer();

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

class Page {
  constructor(scene) {
    this.scene = scene;
    this.camera = new Camera(scene.camera);
    this.looks = { stops: 0, curve: "ACES" };
    this.movedAt = -Infinity;
    this.dirty = true;
    this.message = "";
  }

  async open({ gpu = true } = {}) {
    const device = gpu ? await openDevice() : null;
    if (device) await this._openGpu(device);
    else this.tracer = new Streamed(this.scene);
    this.how = device ? `WebGPU: ${device.etendueName}` : "no WebGPU here: pictures come from the engine";
  }

  async _openGpu(device) {
    device.lost.then((info) => problem(`The graphics device is lost (${info.message}); load the page again.`));
    const names = Object.keys(this.scene.buffers);
    const parts = await Promise.all(names.map((name) => bytes(`buffers/${name}`)));
    const contents = Object.fromEntries(names.map((name, k) => [name, parts[k]]));
    this.tracer = await PathTracer.open(device, this.scene, contents);
    this.device = device;
    this.remembered = `étendue ${this.scene.kernel} ${device.etendueName}`;
    const name = localStorage.getItem(this.remembered) ?? PLAIN;
    this.tuning = this.scene.tunings.find((t) => t.name === name) ?? this.scene.tunings[0];
    this.tracer.use(await this.build(this.tuning));
  }

  async build(tuning) {
    return this.tracer.kernel(await (await fetched(`kernel/${tuning.name}.wgsl`)).text(), tuning.lanes);
  }

  // Measure all kernels, or as many as the budget allows, and keep the fastest.
  async tune({ budget = BUDGET_MS, size = [64, 48] } = {}) {
    const found = await tune({
      candidates: this.scene.tunings,
      budget,
      build: (tuning) => this.build(tuning),
      measure: async (kernel) => {
        this.tracer.use(kernel);
        this.begin(...size);
        return this.tracer.pass(1);
      },
    });
    this.tuning = found.best;
    this.tracer.use(found.built);
    localStorage.setItem(this.remembered, found.best.name);
    this.dirty = true;
    return { best: found.best.name, rows: found.rows.map((r) => ({ ...r, candidate: r.candidate.name })), spent: found.spent };
  }

  begin(width, height, more = {}) {
    this.tracer.begin(width, height, { ...this.camera.settings(width, height), ...more }, this.camera.pose);
  }

  // A whole picture in one go: sums per pixel (colour, squares, bad samples), for scripts.
  async render({ width, height, spp, seed = 0, samples = 1 }) {
    this.begin(width, height, { seed });
    while (this.tracer.spp < spp) await this.tracer.pass(Math.min(samples, spp - this.tracer.spp));
    return this.tracer.totals();
  }

  moved() {
    this.movedAt = performance.now();
    this.dirty = true;
  }

  // Even numbers of pixels that fill the window.
  size() {
    const box = $("picture").parentElement.getBoundingClientRect();
    const aspect = this.scene.camera.aspect;
    const ratio = (devicePixelRatio || 1) / (this.moving ? MOVING : 1);
    const width = Math.min(box.width, box.height * aspect);
    return [width * ratio, (width / aspect) * ratio].map((side) => Math.max(2, 2 * Math.floor(side / 2)));
  }

  // One pass, shown.
  async frame() {
    const moving = performance.now() - this.movedAt < REST_MS;
    if (moving !== this.moving) this.dirty = true;
    this.moving = moving;
    if (this.dirty) {
      this.dirty = false;
      this.began = performance.now();
      this.begin(...this.size());
    }
    if (this.tracer.spp >= this.scene.spp) return false;
    this.tracer.look = this.looks;
    const spent = await this.tracer.pass(1, () => !this.dirty);
    if (spent !== null) await this.show(spent);
    return true;
  }

  async show(spent) {
    const canvas = $("picture"), [width, height] = this.tracer.size;
    canvas.style.width = `${width / ((devicePixelRatio || 1) / (this.moving ? MOVING : 1))}px`;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const picture = await this.tracer.picture(this.looks.stops, this.looks.curve);
    context.putImageData(new ImageData(picture, width, height), 0, 0);
    const kernel = this.tuning ? `\nkernel ${this.tuning.name}` : "";
    const pace = spent === undefined ? "" : `, ${spent.toFixed(0)} ms each`;
    $("status").textContent = `${this.how}\n${width} × ${height}, ${this.tracer.spp} of ${this.scene.spp} samples${pace}${kernel}\n${this.message}`;
  }
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = false;
}

function controls(page) {
  const canvas = $("picture"), moved = () => page.moved();
  let last = null;
  canvas.addEventListener("pointerdown", (e) => {
    canvas.setPointerCapture(e.pointerId);
    last = [e.clientX, e.clientY];
  });
  canvas.addEventListener("pointerup", () => (last = null));
  canvas.addEventListener("pointermove", (e) => {
    if (!last) return;
    const side = canvas.clientHeight, x = (e.clientX - last[0]) / side, y = (e.clientY - last[1]) / side;
    last = [e.clientX, e.clientY];
    if (e.shiftKey || e.buttons & 4) page.camera.pan(x, y);
    else page.camera.orbit(-3 * x, 3 * y);
    moved();
  });
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    page.camera.zoom(1.001 ** e.deltaY);
    moved();
  }, { passive: false });
  const step = 0.1;
  const keys = {
    ArrowLeft: () => page.camera.orbit(-step, 0), ArrowRight: () => page.camera.orbit(step, 0),
    ArrowUp: () => page.camera.orbit(0, step), ArrowDown: () => page.camera.orbit(0, -step),
    "+": () => page.camera.zoom(0.9), "-": () => page.camera.zoom(1 / 0.9), 0: () => page.camera.reset(),
  };
  const sideways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  canvas.addEventListener("keydown", (e) => {
    const act = e.shiftKey && sideways[e.key] ? () => page.camera.pan(...sideways[e.key]) : keys[e.key];
    if (!act) return;
    e.preventDefault();
    act();
    moved();
  });
  $("exposure").addEventListener("input", (e) => {
    page.looks.stops = Number(e.target.value);
    $("stops").textContent = page.looks.stops;
    again(page);
    if (page.ball) Object.assign(page.ball, { stops: page.looks.stops }).paint();
  });
  $("curve").addEventListener("change", (e) => {
    page.looks.curve = e.target.value;
    again(page);
  });
  $("reset").addEventListener("click", () => {
    page.camera.reset();
    moved();
  });
  $("save").addEventListener("click", () => {
    const link = Object.assign(document.createElement("a"), { href: canvas.toDataURL("image/png"), download: `${page.scene.name}.png` });
    link.click();
  });
  new ResizeObserver(() => (page.dirty = true)).observe(canvas.parentElement);
}

// The same samples in another light; streamed pictures come new.
function again(page) {
  if (page.tracer instanceof Streamed) page.dirty = true;
  else page.redraw = true;
}

function materials(page) {
  const box = $("materials");
  box.hidden = page.tracer instanceof Streamed || page.scene.materials.length < 2;
  page.scene.shapes.forEach((shape, number) => {
    const select = document.createElement("select");
    page.scene.materials.forEach((name, k) => select.add(new Option(name, k, false, k === shape.material)));
    select.addEventListener("change", () => {
      page.tracer.setMaterial(number, Number(select.value));
      page.dirty = true;
    });
    const label = document.createElement("label");
    label.append(shape.name, select);
    box.append(label);
  });
}

// A ball of each neural material, which needs neither the engine nor WebGPU.
async function ball(page) {
  const names = page.scene.balls.map((b) => b.name);
  page.ball = await Ball.open(page.scene.balls, (k) => bytes(`balls/${k}`), $("lamp"));
  $("ball").hidden = !page.ball;
  if (!page.ball) return;
  const told = () => ($("lit").textContent = page.ball.told);
  const select = $("shown");
  select.hidden = names.length < 2;
  names.forEach((name, k) => select.add(new Option(name, k)));
  select.addEventListener("change", async () => {
    await page.ball.show(Number(select.value));
    told();
  });
  page.ball.listen(told);
  told();
}

async function main() {
  const scene = await json("scene.json");
  const page = new Page(scene);
  window.etendue = page;
  $("name").textContent = document.title = scene.name;
  const wish = new URLSearchParams(location.search);
  await page.open({ gpu: !wish.has("stream") });
  controls(page);
  materials(page);
  const balls = ball(page).catch((error) => problem(error.message));
  $("tune").hidden = !page.device;
  let tuning = false;
  $("tune").addEventListener("click", () => (tuning = true));
  if (wish.has("idle")) await balls; // the picture does not wait for kernels to be measured
  page.ready = true;
  if (wish.has("idle")) return; // for scripts, which call `etendue.render`
  for (;;) {
    if (tuning) {
      tuning = false;
      page.message = "measuring kernels ...";
      await page.show();
      const found = await page.tune();
      page.message = `${found.rows.length} kernels measured in ${(found.spent / 1000).toFixed(0)} s`;
    }
    const busy = await page.frame();
    if (page.redraw) {
      page.redraw = false;
      await page.show();
    }
    if (!busy) await new Promise((done) => setTimeout(done, 30));
    await new Promise(requestAnimationFrame);
  }
}

main().catch((error) => {
  problem(error.message);
  window.etendueError = error.message;
});
