"""The neural material in torch, batched over (texel, directions); oracle: `bsdf.neural_numpy`.

Parameters live in one flat dict with the artifact's tensor names, so that exporting is a copy.
Shapes: `latent` (n, 8); `wi` (n, d, 3) and `wo` (n, d, 3), d direction pairs per texel.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from etendue.bsdf.neural_numpy import (
    ALPHA_FLOOR,
    DIRECT_INPUTS,
    LATENTS,
    LOBE_SCALE,
    LOBE_WIDTH,
    SYMMETRIC_INPUTS,
)

SAMPLER_INPUTS = LATENTS + 3
SAMPLER_OUTPUTS = 9
Params = dict[str, Tensor]


def widths(arch: str) -> tuple[int, ...]:
    """Hidden widths of `"2x32"` = two hidden layers of 32."""
    layers, width = (int(part) for part in arch.split("x"))
    return (width,) * layers


def init_mlp(name: str, sizes: tuple[int, ...], generator: torch.Generator) -> Params:
    """Kaiming-uniform weights (out x in) and zero biases for a ReLU network."""
    params: Params = {}
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        bound = math.sqrt((6 if k < len(sizes) - 2 else 1) / fan_in)
        weight = torch.rand(fan_out, fan_in, generator=generator)
        params[f"{name}.w{k}"] = bound * (2 * weight - 1)
        params[f"{name}.b{k}"] = torch.zeros(fan_out)
    return params


def init_params(
    evaluator: str, sampler: str, generator: torch.Generator, reciprocal: bool = False
) -> Params:
    """Frames, evaluator and sampler; the lobes start near a cosine and a rough central GGX."""
    inputs = SYMMETRIC_INPUTS if reciprocal else DIRECT_INPUTS
    params = init_mlp("evaluator", (inputs, *widths(evaluator), 3), generator)
    params |= init_mlp("sampler", (SAMPLER_INPUTS, *widths(sampler), SAMPLER_OUTPUTS), generator)
    params["frames"] = 0.02 * torch.randn(12, LATENTS, generator=generator)
    last = f"sampler.b{len(widths(sampler))}"
    params[last][:2] = -0.5
    params["evaluator.b" + str(len(widths(evaluator)))] += 3 + math.log(0.15)
    return params


def init_encoder(inputs: int, generator: torch.Generator) -> Params:
    """Encoder K -> 4 x 64 -> 8 (Zeltner et al. 2024, section 4.1); dropped after baking.

    A linear path beside it, which the paper lacks, is orthogonal at first: without it some seeds
    begin with latents in which a direction of the parameters is as good as lost, say the hue of
    cracks, and never find it again.
    """
    size = max(inputs, LATENTS)
    rotation = torch.linalg.qr(torch.randn(size, size, generator=generator)).Q
    linear = {"encoder.linear": rotation[:LATENTS, :inputs].contiguous()}
    return init_mlp("encoder", (inputs, 64, 64, 64, 64, LATENTS), generator) | linear


def encode(x: Tensor, params: Params, name: str) -> Tensor:
    """Latents (n, 8) by the encoder `name` of filtered parameters (n, K)."""
    return mlp(x, params, name) + x @ params[name + ".linear"].T


def mlp(x: Tensor, params: Params, name: str) -> Tensor:
    """Apply the ReLU network `name`."""
    layer = 0
    while f"{name}.w{layer}" in params:
        x = torch.relu(x) if layer else x
        x = torch.nn.functional.linear(x, params[f"{name}.w{layer}"], params[f"{name}.b{layer}"])
        layer += 1
    return x


def _normalize(v: Tensor) -> Tensor:
    return v * torch.rsqrt((v * v).sum(-1, keepdim=True))


def frames(latent: Tensor, weight: Tensor) -> Tensor:
    """(n, 2, 3, 3): per frame the rows tangent, bitangent, normal."""
    raw = (latent @ weight.T).unflatten(-1, (2, 2, 3))
    n = _normalize(raw[:, :, 0] + raw.new_tensor([0.0, 0.0, 1.0]))
    t = _normalize(raw[:, :, 1] + raw.new_tensor([1.0, 0.0, 0.0]))
    b = _normalize(torch.linalg.cross(n, t))
    return torch.stack([t, b, n], 2)


def features(latent: Tensor, wi: Tensor, wo: Tensor, params: Params) -> Tensor:
    """(n, d, 24 or, reciprocal, 26) evaluator inputs."""
    count, pairs = wi.shape[:2]
    frame = frames(latent, params["frames"]).reshape(count, 6, 3)
    local = torch.stack([wi, wo], 2).reshape(count, 2 * pairs, 3) @ frame.transpose(1, 2)
    local = local.reshape(count, pairs, 2, 2, 3)  # pair, wi/wo, frame, xyz
    a, o = local[:, :, 0], local[:, :, 1]
    half = a + o
    slopes = half[..., :2].square() / (LOBE_WIDTH**2 * (half[..., 2:].square() + 1e-4))
    if params["evaluator.w0"].shape[1] == SYMMETRIC_INPUTS:
        diagonal = (a[..., :1] + a[..., 1:2]) * (o[..., :1] + o[..., 1:2])
        directions = [half, a * o, diagonal]
    else:
        directions = [a, o]
    blocks = torch.cat([*directions, LOBE_SCALE * torch.log1p(slopes)], -1)
    blocks = blocks.flatten(2)
    return torch.cat([latent[:, None].expand(-1, pairs, -1), blocks], -1)


def evaluate(latent: Tensor, wi: Tensor, wo: Tensor, params: Params) -> Tensor:
    """f |cos theta_o| (n, d, 3), without the artifact's energy scale."""
    x = features(latent, wi, wo, params)
    return torch.exp((mlp(x, params, "evaluator") - 3).clamp(max=12)) * wo[..., 2:]


def _sampler(latent: Tensor, wi: Tensor, params: Params) -> tuple[Tensor, ...]:
    """alpha (n, d, 2), correlation (n, d), mean slopes of both lobes (n, d, 4), logits."""
    x = torch.cat([latent[:, None].expand(-1, wi.shape[1], -1), wi], -1)
    y = mlp(x, params, "sampler")
    squashed = y[..., :3] * torch.rsqrt(1 + y[..., :3] ** 2)
    slopes = y[..., 3:7] * torch.sqrt(1 + y[..., 3:7] ** 2)
    alpha = ALPHA_FLOOR + 0.5 * (1 + squashed[..., :2])
    return alpha, 0.99 * squashed[..., 2], slopes, y[..., 7:9]


def draw(latent: Tensor, wi: Tensor, u: Tensor, params: Params) -> Tensor:
    """Directions wo (n, d, 3) for points `u` (n, d, 3); `neural_numpy.draw`."""
    alpha, rho, slopes, logits = _sampler(latent, wi, params)
    phi, r2 = 2 * math.pi * u[..., 1], u[..., 2]
    radius = torch.sqrt(r2 / (1 - r2))
    a, b = radius * torch.cos(phi), radius * torch.sin(phi)
    sx = slopes[..., 0] + alpha[..., 0] * a
    sy = slopes[..., 1] + alpha[..., 1] * (rho * a + torch.sqrt(1 - rho * rho) * b)
    half = _normalize(torch.stack([-sx, -sy, torch.ones_like(sx)], -1))
    glossy = 2 * (wi * half).sum(-1, keepdim=True) * half - wi
    axis = _normalize(torch.cat([-slopes[..., 2:], torch.ones_like(slopes[..., :1])], -1))
    x, y, z = axis.unbind(-1)
    c = -1 / (1 + z)  # Duff et al. 2017
    t = torch.stack([1 + x * x * c, x * y * c, -x], -1)
    b2 = torch.stack([x * y * c, 1 + y * y * c, -y], -1)
    disk = torch.sqrt(r2)[..., None]
    planar = disk * (torch.cos(phi)[..., None] * t + torch.sin(phi)[..., None] * b2)
    cosine = planar + torch.sqrt(1 - r2)[..., None] * axis
    specular = torch.sigmoid(logits[..., :1] - logits[..., 1:])
    return torch.where(u[..., :1] < specular, glossy, cosine)


def log_density(latent: Tensor, wi: Tensor, wo: Tensor, params: Params) -> Tensor:
    """Log of the sampling density (n, d); `neural_numpy.density` in log space."""
    alpha, rho, slopes, logits = _sampler(latent, wi, params)
    half = _normalize(wi + wo)
    cos_h = half[..., 2].clamp(min=1e-6)
    d = (-half[..., :2] / cos_h[..., None] - slopes[..., :2]) / alpha
    free = 1 - rho**2
    q = (d[..., 0] ** 2 - 2 * rho * d[..., 0] * d[..., 1] + d[..., 1] ** 2) / free
    glossy = (
        -torch.log(4 * math.pi * alpha[..., 0] * alpha[..., 1])
        - 0.5 * torch.log(free)
        - 2 * torch.log1p(q)
        - 3 * torch.log(cos_h)
        - torch.log((wi * half).sum(-1).clamp(min=1e-9))
    )
    ones = torch.ones_like(slopes[..., :1])
    axis = _normalize(torch.cat([-slopes[..., 2:], ones], -1))
    cosine = (axis * wo).sum(-1).clamp(min=1e-12) / math.pi
    log_mix = torch.log_softmax(logits, -1)
    return torch.logaddexp(log_mix[..., 0] + glossy, log_mix[..., 1] + torch.log(cosine))
