// Where the browser has no WebGPU: pictures that the engine sends.

export class Streamed {
  constructor(scene) {
    Object.assign(this, { scene, size: [0, 0], spp: 0, fixed: {} });
  }

  begin(width, height, fixed, pose) {
    Object.assign(this, { size: [width, height], spp: 0, pose });
  }

  clear() {
    this.spp = 0;
  }

  // The last picture; exposure and curve are the engine's work.
  async picture() {
    return this.bytes;
  }

  // Another refinement; resolves to the milliseconds it took.
  async pass() {
    const start = performance.now();
    const wish = { size: this.size, pose: this.pose, ...this.look };
    const answer = await fetch("frame", { method: "POST", body: JSON.stringify(wish) });
    if (!answer.ok) throw new Error(await answer.text());
    this.spp = Number(answer.headers.get("X-Samples"));
    this.bytes = new Uint8ClampedArray(await answer.arrayBuffer());
    return performance.now() - start;
  }
}
