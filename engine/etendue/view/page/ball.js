// A ball of a neural material in the light of a lamp, evaluated here, without the engine and
// without WebGPU. The network's kernel is the fastest on this machine, measured once.
import { Decoder, into } from "./decoder.js";
import { tune } from "./tune.js";
import { candidates, features, nameOf } from "./wasm.js";

const BUDGET_MS = 4000; // of tuning
const WARM_MS = 12, RUN_MS = 6; // before a kernel is timed, so that it is compiled well; and timed
const FIRST = { outputs: 4, vectors: 2, unroll: 1, fused: false }; // before anything is measured
const VIEW = [0, 0, 1]; // to the viewer
const FILL = 0.1; // light from there

const rest = () => new Promise((done) => setTimeout(done));

// Milliseconds of one run.
export async function time(network, atLeast) {
  await rest();
  const start = performance.now();
  let runs = 0, now = start;
  for (; now - start < atLeast; now = performance.now()) {
    network.run();
    runs++;
  }
  return (now - start) / runs;
}

// The ball's points as seen from far away along z, row by row; null beside it.
export function points(side) {
  const found = [];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const x = (2 * column + 1) / side - 1, y = 1 - (2 * row + 1) / side, z2 = 1 - x * x - y * y;
      if (z2 <= 1e-4) {
        found.push(null);
        continue;
      }
      const n = [x, y, Math.sqrt(z2)], ring = Math.hypot(n[0], n[2]);
      const t = [n[2] / ring, 0, -n[0] / ring];
      const b = [n[1] * t[2], n[2] * t[0] - n[0] * t[2], -n[1] * t[0]];
      found.push({ uv: [0.5 + Math.atan2(n[0], n[2]) / Math.PI, 0.5 + Math.asin(n[1]) / Math.PI], axes: [t, b, n] });
    }
  }
  return found;
}

export class Ball {
  // `files` describe the materials; `load(k)` gets the numbers of one. Null where there is nothing to show.
  static async open(files, load, canvas) {
    const able = features();
    if (!files.length || !able.simd) return null;
    const ball = new Ball();
    Object.assign(ball, { files, load, canvas, able, lamp: [-0.45, 0.6, 0.66], stops: 0, kernels: {} });
    ball.points = points(canvas.width);
    await ball.show(0);
    return ball;
  }

  // Show the material `k`; its kernel is measured unless it is known.
  async show(k, { budget = BUDGET_MS } = {}) {
    const file = this.files[k];
    const key = `étendue wasm ${file.sizes} ${navigator.userAgent}`;
    const known = candidates(this.able).find((c) => nameOf(c) === localStorage.getItem(key));
    const decoder = new Decoder(file, new Float32Array(await this.load(k)), known ?? FIRST);
    if (!known) {
      this.found = await this.tune(decoder, budget);
      localStorage.setItem(key, nameOf(this.found.best));
      decoder.use(this.found.best);
    }
    this.kernel = known ?? this.found.best;
    this.decoder = decoder;
    this.seen = this.points.map((p) => p && decoder.prepare(decoder.latent(...p.uv), into(p.axes, VIEW)));
    this.paint();
  }

  async tune(decoder, budget) {
    return tune({
      candidates: candidates(this.able),
      budget,
      build: (candidate) => decoder.build(candidate),
      measure: async (network) => {
        if (!network.warm) await time(network, WARM_MS);
        network.warm = true;
        return time(network, RUN_MS);
      },
    });
  }

  // Linear radiance of all pixels, RGB, in the light of the lamp and of a weak one at the viewer.
  radiance() {
    const out = new Float32Array(3 * this.points.length);
    for (const [light, power] of [[this.lamp, 1], [VIEW, FILL]]) {
      const lit = [], wos = [], where = [];
      this.points.forEach((p, k) => {
        if (!p) return;
        const wo = into(p.axes, light);
        if (wo[2] <= 0) return;
        lit.push(this.seen[k]);
        wos.push(wo);
        where.push(k);
      });
      const values = this.decoder.evaluate(lit, wos);
      where.forEach((k, i) => {
        for (let c = 0; c < 3; c++) out[3 * k + c] += Math.PI * power * values[3 * i + c];
      });
    }
    return out;
  }

  paint() {
    const start = performance.now(), values = this.radiance(), gain = 2 ** this.stops;
    const { width, height } = this.canvas, pixels = new Uint8ClampedArray(4 * width * height);
    const srgb = (x) => 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * Math.min(x, 1) ** (1 / 2.4) - 0.055);
    this.points.forEach((p, k) => {
      if (!p) return;
      for (let c = 0; c < 3; c++) pixels[4 * k + c] = srgb(gain * values[3 * k + c]);
      pixels[4 * k + 3] = 255;
    });
    this.canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    this.spent = performance.now() - start;
  }

  // The lamp above the place (x, y) of the picture, both from -1 to 1.
  light(x, y) {
    const size = Math.hypot(x, y), part = Math.min(1, 0.98 / Math.max(size, 1e-6));
    this.lamp = [x * part, y * part, Math.sqrt(1 - (size * part) ** 2)];
    this.paint();
  }

  // Pointer and arrow keys move the lamp.
  listen(told) {
    const act = (x, y) => {
      this.light(x, y);
      told();
    };
    this.canvas.addEventListener("pointermove", (e) => {
      const box = this.canvas.getBoundingClientRect();
      act((2 * (e.clientX - box.left)) / box.width - 1, 1 - (2 * (e.clientY - box.top)) / box.height);
    });
    const keys = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    this.canvas.addEventListener("keydown", (e) => {
      const step = keys[e.key];
      if (!step) return;
      e.preventDefault();
      act(this.lamp[0] + step[0], this.lamp[1] + step[1]);
    });
  }

  get told() {
    return `${this.files.length > 1 ? "" : this.decoder.file.name + ", "}kernel ${nameOf(this.kernel)}, ${this.spent.toFixed(0)} ms`;
  }
}
