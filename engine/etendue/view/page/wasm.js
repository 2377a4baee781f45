// WebAssembly that runs a fully connected ReLU network, emitted as bytes for its layers.
//
// Lanes go in groups of 4 * `vectors`. In a group every feature has its lanes side by side. A tile
// of `outputs` is held in registers while the loop over the inputs, `unroll` at a time, adds weight
// times input; all bounds and addresses but the group's are literals. Oracle: `mlp` in
// bsdf/neural_numpy.py.

const I32 = 0x7f, V128 = 0x7b, VOID = 0x40;
const INPUT = 0, OUTPUT = 1, GROUPS = 2, WEIGHT = 3, ACTIVATION = 4, ZERO = 5, SUM = 6; // locals

const unsigned = (n) => {
  const out = [];
  for (; n > 0x7f; n >>>= 7) out.push((n & 0x7f) | 0x80);
  return [...out, n];
};
const signed = (n) => {
  const out = [];
  for (; n < -64 || n > 63; n >>= 7) out.push((n & 0x7f) | 0x80);
  return [...out, n & 0x7f];
};
const list = (items) => [...unsigned(items.length), ...items.flat()];
const section = (id, items) => [id, ...list(list(items))];
const text = (word) => list([...word].map((letter) => letter.charCodeAt(0)));

const get = (local) => [0x20, ...unsigned(local)];
const set = (local) => [0x21, ...unsigned(local)];
const number = (n) => [0x41, ...signed(n)];
const add = (local, n) => [...get(local), ...number(n), 0x6a, ...set(local)];
const simd = (op) => [0xfd, ...unsigned(op)];
const load = (offset) => [...simd(0), 4, ...unsigned(offset)];
const splat = (offset) => [...simd(9), 2, ...unsigned(offset)];
const store = (offset) => [...simd(11), 4, ...unsigned(offset)];
const PLUS = simd(228), TIMES = simd(230), MAX = simd(233), MADD = simd(0x105);
const NOTHING = [...simd(12), ...new Array(16).fill(0)];
const loop = (body) => [0x03, VOID, ...body, 0x0d, 0, 0x0b]; // while its last value is not 0

// Where weights and activations lie, in bytes; `sizes` are the features from first to last.
export function plan(sizes, vectors, lanes) {
  const group = 4 * vectors, groups = Math.ceil(lanes / group), wide = Math.max(...sizes) * group;
  let end = 0;
  const room = (floats) => {
    const start = 16 * Math.ceil(end / 16);
    end = start + 4 * floats;
    return start;
  };
  const layers = sizes.slice(1).map((outs, k) => ({
    ins: sizes[k], outs, weights: room(sizes[k] * outs), biases: room(outs),
  }));
  const scratch = [room(wide), room(wide)];
  const input = room(sizes[0] * group * groups), output = room(sizes.at(-1) * group * groups);
  return { sizes, vectors, layers, scratch, input, output, group, groups, bytes: end };
}

// `count` outputs of a layer from `first` on.
function tile(layer, first, count, { from, to, relu }, { vectors, unroll, fused }) {
  const row = 16 * vectors, weight = SUM + count * vectors, inputs = weight + 1, code = [];
  const each = (act) => {
    for (let o = 0; o < count; o++) for (let v = 0; v < vectors; v++) code.push(...act(o, v, SUM + o * vectors + v));
  };
  const steps = (n) => {
    const body = [];
    for (let k = 0; k < n; k++) {
      for (let v = 0; v < vectors; v++) body.push(...get(ACTIVATION), ...load(from.offset + row * k + 16 * v), ...set(inputs + v));
      for (let o = 0; o < count; o++) {
        body.push(...get(WEIGHT), ...splat(layer.weights + 4 * ((first + o) * layer.ins + k)), ...set(weight));
        for (let v = 0; v < vectors; v++) {
          const sum = SUM + o * vectors + v, pair = [...get(inputs + v), ...get(weight)];
          body.push(...(fused ? [...pair, ...get(sum), ...MADD] : [...get(sum), ...pair, ...TIMES, ...PLUS]), ...set(sum));
        }
      }
    }
    return body;
  };
  const whole = layer.ins - (layer.ins % unroll);
  const ahead = [...add(WEIGHT, 4 * unroll), ...add(ACTIVATION, row * unroll)];
  each((o, v, sum) => [...number(0), ...splat(layer.biases + 4 * (first + o)), ...set(sum)]);
  code.push(...number(0), ...set(WEIGHT), ...get(from.local), ...set(ACTIVATION));
  if (whole) code.push(...loop([...steps(unroll), ...ahead, ...get(WEIGHT), ...number(4 * whole), 0x48]));
  code.push(...steps(layer.ins - whole));
  each((o, v, sum) => [
    ...get(to.local), ...get(sum), ...(relu ? [...NOTHING, ...MAX] : []), ...store(to.offset + row * (first + o) + 16 * v),
  ]);
  return code;
}

// The bytes of a module that imports `m.memory` and exports `run(input, output, groups)`.
// `candidate` is {outputs, vectors, unroll, fused}.
export function emit(candidate, { sizes, layers, scratch }) {
  const row = 16 * candidate.vectors, body = [];
  layers.forEach((layer, k) => {
    const last = k === layers.length - 1;
    const way = {
      from: k ? { local: ZERO, offset: scratch[(k - 1) % 2] } : { local: INPUT, offset: 0 },
      to: last ? { local: OUTPUT, offset: 0 } : { local: ZERO, offset: scratch[k % 2] },
      relu: !last,
    };
    for (let first = 0; first < layer.outs; first += candidate.outputs)
      body.push(...tile(layer, first, Math.min(candidate.outputs, layer.outs - first), way, candidate));
  });
  const next = [...add(INPUT, row * sizes[0]), ...add(OUTPUT, row * sizes.at(-1)), ...add(GROUPS, -1), ...get(GROUPS)];
  const registers = (candidate.outputs + 1) * candidate.vectors + 1;
  const locals = list([[...unsigned(3), I32], [...unsigned(registers), V128]]);
  const code = [...locals, ...loop([...body, ...next]), 0x0b];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, ...list([I32, I32, I32]), 0]]),
    ...section(2, [[...text("m"), ...text("memory"), 2, 0, 1]]),
    ...section(3, [0]),
    ...section(7, [[...text("run"), 0, 0]]),
    ...section(10, [list(code)]),
  ]);
}

// Whether this browser runs such modules, and whether it has fused multiply-add (relaxed SIMD).
export function features() {
  if (typeof WebAssembly === "undefined") return { simd: false, fused: false };
  const layout = plan([1, 1], 1, 4);
  const valid = (fused) => WebAssembly.validate(emit({ outputs: 1, vectors: 1, unroll: 1, fused }, layout));
  return { simd: valid(false), fused: valid(true) };
}

// The kernels worth measuring: accumulators that fill the registers without spilling them.
export function candidates({ fused = false, registers = 16 } = {}) {
  const found = [];
  for (const outputs of [1, 2, 3, 4, 6, 8])
    for (const vectors of [1, 2, 3, 4])
      for (const unroll of [1, 2, 4]) {
        const held = (outputs + 1) * vectors + 1;
        if (outputs * vectors >= 4 && held <= registers + 2) found.push({ outputs, vectors, unroll, fused });
      }
  return found;
}

export const nameOf = ({ outputs, vectors, unroll, fused }) => `${outputs}-${vectors}-${unroll}${fused ? "-fused" : ""}`;

// Memory that networks of these sizes may share, whatever their candidate: a browser has room for
// few memories, because it reserves addresses for their growth.
export function memoryFor(sizes, lanes) {
  const most = Math.max(...[1, 2, 3, 4, 5, 6].map((vectors) => plan(sizes, vectors, lanes).bytes));
  return new WebAssembly.Memory({ initial: Math.ceil(most / 65536) });
}

// A network that runs `lanes` lanes at once; `weights` are [w0, b0, w1, b1, ...], each out x in.
export class Network {
  constructor(sizes, weights, lanes, candidate, memory) {
    this.layout = plan(sizes, candidate.vectors, lanes);
    this.memory = memory;
    const module = new WebAssembly.Module(emit(candidate, this.layout));
    this.instance = new WebAssembly.Instance(module, { m: { memory: this.memory } });
    this.layout.layers.forEach((layer, k) => {
      new Float32Array(this.memory.buffer, layer.weights).set(weights[2 * k]);
      new Float32Array(this.memory.buffer, layer.biases).set(weights[2 * k + 1]);
    });
    const { input, output, group, groups } = this.layout;
    this.input = new Float32Array(this.memory.buffer, input, sizes[0] * group * groups);
    this.output = new Float32Array(this.memory.buffer, output, sizes.at(-1) * group * groups);
  }

  // Where feature `k` of lane `i` lies in `input`, or `output`, which have `width` features.
  at(i, k, width) {
    const { group } = this.layout, lane = i % group;
    return (i - lane) * width + k * group + lane;
  }

  run(groups = this.layout.groups) {
    this.instance.exports.run(this.layout.input, this.layout.output, groups);
  }
}
