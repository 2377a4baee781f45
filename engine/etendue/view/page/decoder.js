// A neural material's evaluator on the processor: frames and features here, the network as
// WebAssembly. The equations are those of bsdf/neural_numpy.py, which is the oracle.
import { Network, memoryFor } from "./wasm.js";

const LATENTS = 8, WIDTH2 = 0.03 ** 2, SCALE = 0.25, LANES = 2048;

function unit(v) {
  const size = Math.hypot(v[0], v[1], v[2]);
  return [v[0] / size, v[1] / size, v[2] / size];
}

const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// The coordinates of `w` in a frame.
export const into = (axes, w) => [dot(w, axes[0]), dot(w, axes[1]), dot(w, axes[2])];

export class Decoder {
  // `file` describes the material, `data` are its numbers (Float32Array).
  constructor(file, data, candidate) {
    const part = (name) => data.subarray(...file.parts[name]);
    Object.assign(this, { file, frames: part("frames"), energy: part("energy"), latents: part("latents") });
    this.weights = file.sizes.slice(1).flatMap((_, k) => [part(`w${k}`), part(`b${k}`)]);
    this.memory = memoryFor(file.sizes, LANES);
    this.use(candidate);
  }

  use(candidate) {
    this.network = this.build(candidate);
  }

  build(candidate) {
    return new Network(this.file.sizes, this.weights, LANES, candidate, this.memory);
  }

  // Eight latents at (u, v): bilinear, wrapping.
  latent(u, v) {
    const { side } = this.file, wrap = (k) => ((k % side) + side) % side;
    const x = (u - Math.floor(u)) * side - 0.5, y = (v - Math.floor(v)) * side - 0.5;
    const [i, j] = [Math.floor(x), Math.floor(y)], [s, t] = [x - i, y - j];
    const taps = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([a, b]) => LATENTS * (wrap(j + b) * side + wrap(i + a)));
    const share = [(1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t];
    return Array.from({ length: LATENTS }, (_, c) => taps.reduce((sum, tap, k) => sum + share[k] * this.latents[tap + c], 0));
  }

  // What does not depend on the light: `wi` in both learned frames, and the energy.
  prepare(latent, wi) {
    const row = (k) => latent.reduce((sum, z, c) => sum + z * this.frames[LATENTS * k + c], 0);
    const frames = [0, 6].map((k) => {
      const n = unit([row(k), row(k + 1), row(k + 2) + 1]);
      const t = unit([row(k + 3) + 1, row(k + 4), row(k + 5)]);
      return [t, unit(cross(n, t)), n];
    });
    return { latent, frames, seen: frames.map((axes) => into(axes, wi)), energy: this.energyAt(wi[2]) };
  }

  // Write the network's inputs of a prepared point lit from `wo` to lane `i`.
  _write(i, { latent, frames, seen }, wo) {
    const { input, layout } = this.network, { symmetric, sizes } = this.file;
    let at = this.network.at(i, 0, sizes[0]);
    const put = (x) => {
      input[at] = x;
      at += layout.group;
    };
    for (let c = 0; c < LATENTS; c++) put(latent[c]);
    for (let k = 0; k < 2; k++) {
      const a = seen[k], o = into(frames[k], wo), x = a[0] + o[0], y = a[1] + o[1], z = a[2] + o[2];
      if (symmetric) {
        put(x), put(y), put(z);
        for (let c = 0; c < 3; c++) put(a[c] * o[c]);
        put((a[0] + a[1]) * (o[0] + o[1]));
      } else {
        for (let c = 0; c < 3; c++) put(a[c]);
        for (let c = 0; c < 3; c++) put(o[c]);
      }
      const narrow = WIDTH2 * (z * z + 1e-4);
      put(SCALE * Math.log1p((x * x) / narrow));
      put(SCALE * Math.log1p((y * y) / narrow));
    }
  }

  // RGB factor by incidence, linear between the knots of a table.
  energyAt(cosine) {
    const last = this.energy.length / 3 - 1, at = Math.min(Math.max(cosine, 0), 1) * last;
    const k = Math.min(Math.floor(at), last - 1), t = at - k;
    return [0, 1, 2].map((c) => (1 - t) * this.energy[3 * k + c] + t * this.energy[3 * k + 3 + c]);
  }

  // f |cos| of prepared points, each lit from its `wos`: RGB of one after the other.
  evaluate(points, wos) {
    const out = new Float32Array(3 * points.length), { network, file } = this;
    for (let first = 0; first < points.length; first += LANES) {
      const count = Math.min(LANES, points.length - first);
      for (let i = 0; i < count; i++) this._write(i, points[first + i], wos[first + i]);
      network.run(Math.ceil(count / network.layout.group));
      for (let i = 0; i < count; i++) {
        const cosine = Math.max(wos[first + i][2], 0), { energy } = points[first + i];
        const other = file.symmetric ? this.energyAt(wos[first + i][2]) : energy;
        for (let c = 0; c < 3; c++) {
          const scale = file.symmetric ? Math.sqrt(energy[c] * other[c]) : energy[c];
          out[3 * (first + i) + c] = Math.exp(network.output[network.at(i, c, 3)] - 3) * cosine * scale;
        }
      }
    }
    return out;
  }
}
