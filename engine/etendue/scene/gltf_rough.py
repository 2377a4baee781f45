"""What a rough dielectric interface does to the brightness of the diffuse base below it.

A GGX interface without multiple scattering loses light at every crossing, more the rougher it is:
white under alpha = 1 shows a third of the light. glTF's dielectric does not darken with roughness,
so the base is brightened to give the albedo that glTF means, and where no base under the interface
can (rho = 1 is too dark), a share of the surface is bare diffuse instead.
"""

from __future__ import annotations

import numpy as np

# alpha, directional-hemispherical averages for eta = 1.5 of `bsdf.layered`, cosine-weighted:
# albedo(rho) = R + T rho / (1 - k rho), fitted at rho = 0, 1/2, 1 (0.8 is predicted within 0.001)
_ALPHA = np.array([0.03, 0.09, 0.16, 0.25, 0.36, 0.49, 0.64, 0.81, 1.0])
_R = np.array([0.0502, 0.0500, 0.0485, 0.0448, 0.0394, 0.0333, 0.0270, 0.0213, 0.0164])
_T = np.array([0.3837, 0.3844, 0.3835, 0.3795, 0.3698, 0.3519, 0.3263, 0.2933, 0.2561])
_K = np.array([0.5918, 0.5663, 0.5226, 0.4590, 0.3832, 0.3064, 0.2365, 0.1793, 0.1348])
_K_SMOOTH = 0.5968  # internal reflectance at eta = 1.5
_BARE_MAX = 0.98  # albedo of bare diffuse, below one so that energy is never gained
_SHARE_FROM, _SHARE_TO = 0.05, 0.50  # alpha where bare diffuse may begin and may be everything


def internal_reflectance(eta: float) -> float:
    """Diffuse reflectance of a dielectric from inside: k = -1.4399 / eta^2 + 0.7099 / eta
    + 0.6681 + 0.0636 eta (Egan and Hilgeman 1973), 0.597 for eta = 1.5.
    """
    return -1.4399 / eta**2 + 0.7099 / eta + 0.6681 + 0.0636 * eta


def base_under_interface(
    color: np.ndarray, alpha: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Albedo rho under the interface, albedo of bare diffuse, and its share (..., 1).

    The wanted albedo is R + (1 - R) c. Smooth interfaces need no bare share and give
    rho = c / (1 - k + k c) (Saunderson 1942).
    """
    alpha = np.asarray(alpha, np.float64)[..., None]
    color = np.clip(np.asarray(color, np.float64), 0.0, 1.0)
    smooth = internal_reflectance(eta)
    r = np.interp(alpha, _ALPHA, _R)
    t = np.interp(alpha, _ALPHA, _T) * (1 - smooth) / (1 - _K_SMOOTH)
    k = np.clip(np.interp(alpha, _ALPHA, _K) + smooth - _K_SMOOTH, 0.0, 0.99)
    wanted = (1.0 - r) * color
    rho = np.clip(wanted / (t + k * wanted), 0.0, 1.0)
    reached = r + t * rho / (1.0 - k * rho)
    missing = np.maximum(r + wanted - reached, 0.0)
    needed = (missing / np.maximum(_BARE_MAX - reached, 1e-3)).max(-1, keepdims=True)
    allowed = np.clip((alpha - _SHARE_FROM) / (_SHARE_TO - _SHARE_FROM), 0.0, 1.0)
    share = np.clip(np.minimum(needed, allowed), 0.0, 1.0)
    share = np.where(share < 0.02, 0.0, share)
    bare = np.minimum(reached + missing / np.maximum(share, 0.02), _BARE_MAX)
    return rho, np.where(share > 0, bare, 0.0), share
