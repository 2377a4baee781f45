// The path tracer on WebGPU: passes of samples that are added up, and the picture they make.

const GROUP = 64; // lanes of the small kernels here
const SUMS = 7; // numbers per pixel: colour, its square, samples that were not finite
const PATIENCE_MS = 60; // of one dispatch, so that no watchdog and no user loses patience

const ADD = `
@group(0) @binding(0) var<storage, read> part : array<f32>;
@group(0) @binding(1) var<storage, read_write> sums : array<f32>;
@compute @workgroup_size(${GROUP})
fn main(@builtin(global_invocation_id) at : vec3<u32>, @builtin(num_workgroups) groups : vec3<u32>) {
  let i = at.x + at.y * groups.x * ${GROUP}u;
  if (i < arrayLength(&sums)) { sums[i] += part[i]; }
}`;

// Curves as `view/tonemap.py` has them.
const SHOW = `
struct Look { scale : f32, curve : u32, pixels : u32, unused : u32 }
@group(0) @binding(0) var<storage, read> sums : array<f32>;
@group(0) @binding(1) var<storage, read_write> shown : array<u32>;
@group(0) @binding(2) var<uniform> look : Look;
fn hable(x : vec3<f32>) -> vec3<f32> {
  return (x * (0.15 * x + 0.05) + 0.004) / (x * (0.15 * x + 0.5) + 0.06) - 0.02 / 0.3;
}
fn curve(x : vec3<f32>) -> vec3<f32> {
  switch look.curve {
    case 0u: { return x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14); }
    case 1u: { return hable(2.0 * x) / hable(vec3<f32>(11.2)); }
    default: { return x; }
  }
}
@compute @workgroup_size(${GROUP})
fn main(@builtin(global_invocation_id) at : vec3<u32>, @builtin(num_workgroups) groups : vec3<u32>) {
  let i = at.x + at.y * groups.x * ${GROUP}u;
  if (i >= look.pixels) { return; }
  let c = vec3<f32>(sums[${SUMS}u * i], sums[${SUMS}u * i + 1u], sums[${SUMS}u * i + 2u]);
  let x = clamp(curve(max(c * look.scale, vec3<f32>(0.0))), vec3<f32>(0.0), vec3<f32>(1.0));
  let srgb = select(1.055 * pow(x, vec3<f32>(1.0 / 2.4)) - 0.055, 12.92 * x, x <= vec3<f32>(0.0031308));
  shown[i] = pack4x8unorm(vec4<f32>(srgb, 1.0));
}`;

// A device, or null where the browser has none.
export async function openDevice() {
  const adapter = navigator.gpu ? await navigator.gpu.requestAdapter() : null;
  if (!adapter) return null;
  const most = ["maxStorageBufferBindingSize", "maxBufferSize"];
  const requiredLimits = Object.fromEntries(most.map((name) => [name, adapter.limits[name]]));
  const device = await adapter.requestDevice({ requiredLimits });
  const { vendor, architecture, description } = adapter.info ?? {};
  device.etendueName = [vendor, architecture, description].filter(Boolean).join(" ") || "WebGPU";
  return device;
}

// `data` is an ArrayBuffer or a view of one.
export function makeBuffer(device, data, usage) {
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  const size = (bytes.length + 3) & ~3;
  const buffer = device.createBuffer({ size: Math.max(16, size), usage: usage | GPUBufferUsage.COPY_DST, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(bytes);
  buffer.unmap();
  return buffer;
}

// Compile; what is wrong in a shader is an error with the compiler's words.
export async function makePipeline(device, code, entryPoint, layout) {
  const module = device.createShaderModule({ code });
  const bad = (await module.getCompilationInfo()).messages.find((m) => m.type === "error");
  if (bad) throw new Error(`shader, line ${bad.lineNum}: ${bad.message}`);
  return device.createComputePipelineAsync({ layout: layout ?? "auto", compute: { module, entryPoint } });
}

export async function readBuffer(device, buffer, bytes) {
  const to = device.createBuffer({ size: bytes, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, to, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await to.mapAsync(GPUMapMode.READ);
  const copy = to.getMappedRange().slice(0);
  to.destroy();
  return copy;
}

function bind(device, layout, buffers) {
  const entries = Object.entries(buffers).map(([at, buffer]) => ({ binding: Number(at), resource: { buffer } }));
  return device.createBindGroup({ layout, entries });
}

function dispatch(encoder, pipeline, group, lanes, width) {
  const groups = Math.ceil(lanes / width), rows = Math.ceil(groups / 65535);
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(groups / rows), rows);
  pass.end();
}

export class PathTracer {
  // `scene` is scene.json, `contents` the storage buffers' bytes by name.
  static async open(device, scene, contents) {
    const tracer = new PathTracer();
    Object.assign(tracer, { device, scene, size: [0, 0], spp: 0, chunk: 1 << 14 });
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    tracer.buffers = Object.fromEntries(Object.entries(contents).map(([name, data]) => [name, makeBuffer(device, data, storage)]));
    tracer.layoutBytes = scene.layout[""][0];
    tracer.settings = device.createBuffer({ size: tracer.layoutBytes, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    tracer.looking = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const kind = (name) => (name === "g_settings" ? "uniform" : name === "g_out" ? "storage" : "read-only-storage");
    tracer.layout = device.createBindGroupLayout({
      entries: Object.entries(scene.bindings).map(([name, binding]) => ({
        binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: kind(name) },
      })),
    });
    tracer.pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [tracer.layout] });
    tracer.adding = await makePipeline(device, ADD, "main");
    tracer.showing = await makePipeline(device, SHOW, "main");
    return tracer;
  }

  // A kernel of this text for `use`.
  async kernel(code, lanes) {
    return { pipeline: await makePipeline(this.device, code, "path_main", this.pipelineLayout), lanes };
  }

  use(kernel) {
    this.path = kernel;
    this.clear();
  }

  // Begin a new picture; `fixed` are fields of `Settings`.
  begin(width, height, fixed) {
    if (this.size[0] !== width || this.size[1] !== height) this._resize(width, height);
    this.fixed = { ...this.scene.settings, ...fixed, at: [0, 0], full: [width, height], width };
    this.clear();
  }

  clear() {
    this.spp = 0;
    if (!this.sums) return;
    const encoder = this.device.createCommandEncoder();
    encoder.clearBuffer(this.sums);
    this.device.queue.submit([encoder.finish()]);
  }

  _resize(width, height) {
    for (const old of [this.out, this.sums, this.shown]) old?.destroy();
    const pixels = width * height, usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.size = [width, height];
    this.out = this.device.createBuffer({ size: 4 * SUMS * pixels, usage });
    this.sums = this.device.createBuffer({ size: 4 * SUMS * pixels, usage });
    this.shown = this.device.createBuffer({ size: 4 * pixels, usage });
    this.addGroup = bind(this.device, this.adding.getBindGroupLayout(0), { 0: this.out, 1: this.sums });
    this.showGroup = bind(this.device, this.showing.getBindGroupLayout(0), { 0: this.sums, 1: this.shown, 2: this.looking });
  }

  _write(values) {
    const block = new ArrayBuffer(this.layoutBytes);
    const views = { f: new Float32Array(block), u: new Uint32Array(block) };
    for (const [name, [offset, count, kind]] of Object.entries(this.scene.layout)) {
      if (name && values[name] !== undefined) views[kind].set([values[name]].flat().slice(0, count), offset / 4);
    }
    this.device.queue.writeBuffer(this.settings, 0, block);
  }

  // `samples` more per pixel; resolves when they are done, to the milliseconds they took.
  // Every dispatch covers as many pixels as the ones before were quick. `going` false leaves early.
  async pass(samples = 1, going = () => true) {
    const pixels = this.size[0] * this.size[1], start = performance.now();
    for (let first = 0; first < pixels;) {
      const now = performance.now(), count = Math.min(this.chunk, pixels - first);
      await this._part(first, count, samples);
      if (!going()) return null;
      const spent = Math.max(performance.now() - now, 0.1);
      const wanted = (count * PATIENCE_MS) / spent;
      if (count === this.chunk || wanted < count) this.chunk = Math.max(1024, Math.min(1 << 20, Math.round(wanted)));
      first += count;
    }
    const encoder = this.device.createCommandEncoder();
    dispatch(encoder, this.adding, this.addGroup, SUMS * pixels, GROUP);
    this.device.queue.submit([encoder.finish()]);
    this.spp += samples;
    return performance.now() - start;
  }

  // The kernel writes a part's pixels from the beginning of `g_out` on; they are moved to their place.
  async _part(first, count, samples) {
    this._write({ ...this.fixed, first, pixels: count, sample: this.spp, groups: 1, group: samples });
    const encoder = this.device.createCommandEncoder();
    const bytes = 4 * SUMS * count;
    if (!this.part || this.part.size < bytes) this._grow(bytes);
    dispatch(encoder, this.path.pipeline, this.part.group, count, this.path.lanes);
    encoder.copyBufferToBuffer(this.part.buffer, 0, this.out, 4 * SUMS * first, bytes);
    this.device.queue.submit([encoder.finish()]);
    await this.device.queue.onSubmittedWorkDone();
  }

  _grow(bytes) {
    this.part?.buffer.destroy();
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    this.part = { size: bytes, buffer: this.device.createBuffer({ size: bytes, usage }) };
    const all = { ...this.buffers, g_out: this.part.buffer, g_settings: this.settings };
    this.part.group = bind(this.device, this.layout, Object.fromEntries(Object.entries(this.scene.bindings).map(([name, at]) => [at, all[name]])));
  }

  // Give a shape another material, by their numbers.
  setMaterial(shape, material) {
    this.device.queue.writeBuffer(this.buffers.g_shapes, 16 * shape, new Uint32Array([material]));
    this.clear();
  }

  // The picture as sRGB (RGBA bytes).
  async picture(stops, curve) {
    const pixels = this.size[0] * this.size[1], block = new ArrayBuffer(16);
    new Float32Array(block)[0] = 2 ** stops / Math.max(1, this.spp);
    new Uint32Array(block).set([["ACES", "filmic", "linear"].indexOf(curve), pixels], 1);
    this.device.queue.writeBuffer(this.looking, 0, block);
    const encoder = this.device.createCommandEncoder();
    dispatch(encoder, this.showing, this.showGroup, pixels, GROUP);
    this.device.queue.submit([encoder.finish()]);
    return new Uint8ClampedArray(await readBuffer(this.device, this.shown, 4 * pixels));
  }

  // Sums over all samples so far, SUMS numbers per pixel.
  async totals() {
    return new Float32Array(await readBuffer(this.device, this.sums, 4 * SUMS * this.size[0] * this.size[1]));
  }
}
