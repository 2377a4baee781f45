// The camera: a pose that turns around its target, and what the kernel needs of it.

const sub = (a, b) => a.map((x, k) => x - b[k]);
const add = (a, b) => a.map((x, k) => x + b[k]);
const scale = (a, s) => a.map((x) => x * s);
const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const length = (a) => Math.sqrt(dot(a, a));
const unit = (a) => scale(a, 1 / length(a));

// Steps of unit depth across the film: its right and down, seen from the pose.
function axes(pose) {
  const forward = unit(sub(pose.target, pose.origin));
  const right = unit(cross(forward, pose.up));
  return { forward, right, down: cross(forward, right) };
}

// `pose` is {origin, target, up}; `lens` holds what does not move.
export class Camera {
  constructor(file) {
    this.file = file;
    this.reset();
  }

  reset() {
    this.pose = structuredClone(this.file.pose);
    this.moved = false;
  }

  // Fields of `Settings` for a picture of this size; that of the file itself has its own numbers.
  settings(width, height) {
    const { exact, tall, aspect } = this.file;
    const own = !this.moved && Math.abs(width / height / aspect - 1) < 1e-6;
    const { forward, right, down } = axes(this.pose);
    const wide = (tall * width) / height;
    const at = own ? exact : {
      corner: sub(sub(forward, scale(right, wide)), scale(down, tall)),
      dx: scale(right, 2 * wide),
      dy: scale(down, 2 * tall),
    };
    const origin = own ? exact.origin : this.pose.origin;
    const radius = this.file.lens;
    const lens = { lens_x: scale(right, -radius), lens_y: scale(down, -radius) };
    return { ...at, origin, ...lens, ...cone(at, this.file.near, width, height), full: [width, height], width };
  }

  // Around the target, in radians.
  orbit(turn, lift) {
    const { origin, target, up } = this.pose;
    const away = sub(origin, target), size = length(away), axis = unit(up);
    const along = dot(away, axis), flat = sub(away, scale(axis, along)), side = cross(axis, flat);
    const turned = add(scale(flat, Math.cos(turn)), scale(side, Math.sin(turn)));
    const height = Math.asin(Math.max(-1, Math.min(1, along / size)));
    const now = Math.max(-1.55, Math.min(1.55, height + lift));
    const ring = unit(turned);
    const place = add(scale(ring, size * Math.cos(now)), scale(axis, size * Math.sin(now)));
    this.pose.origin = add(target, place);
    this.moved = true;
  }

  zoom(factor) {
    const away = sub(this.pose.origin, this.pose.target);
    this.pose.origin = add(this.pose.target, scale(away, factor));
    this.moved = true;
  }

  // Sideways, in heights of the picture.
  pan(x, y) {
    const { right, down } = axes(this.pose);
    const size = 2 * this.file.tall * length(sub(this.pose.origin, this.pose.target));
    const by = add(scale(right, -x * size), scale(down, -y * size));
    this.pose.origin = add(this.pose.origin, by);
    this.pose.target = add(this.pose.target, by);
    this.moved = true;
  }
}

// Width and spread of the cone through the pixel in the middle; twin: `slang_camera.cone`.
function cone({ corner, dx, dy }, near, width, height) {
  const at = (x, y) => add(corner, add(scale(dx, 0.5 + x), scale(dy, 0.5 + y)));
  const d = [at(0, 0), at(1 / width, 0), at(0, 1 / height)];
  const area = (p) => length(cross(sub(p[1], p[0]), sub(p[2], p[0])));
  return { cone_width: Math.sqrt(area(d.map((v) => scale(v, near)))), cone_spread: Math.sqrt(area(d.map(unit))) };
}
