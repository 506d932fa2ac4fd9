"""A made-up photograph of a printed lattice: rays into a gyroid sheet or an octet truss, then light and camera.

Lengths are in unit cells. The picture is the front of a part that begins inside a cell (gyroid) or at a plane of nodes
(octet); waviness, thickness drift, layer lines and rough skin are what printing adds.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from ..compiling import compiled

SIDE = 152  #: pixels, as the paper's quadrants
CELLS = 3.0  #: unit cells along an edge
DEPTH = 2.6  #: cells into the part before all is black
_PIXEL = CELLS / SIDE
_PERSPECTIVE = 0.025  #: growth of the view per cell of depth


@compiled(nogil=True)
def gyroid_distance(x: float, y: float, z: float) -> float:
    """Approximate distance to the gyroid's mid-surface; its gradient there is about 1.5 * 2 pi."""
    k = 2 * math.pi
    x, y, z = k * x, k * y, k * z
    level = math.sin(x) * math.cos(y) + math.sin(y) * math.cos(z) + math.sin(z) * math.cos(x)
    return abs(level) / (1.5 * k)


@compiled(nogil=True)
def octet_distance(x: float, y: float, z: float) -> float:
    """Distance to the nearest strut's axis; mirrors fold the cell onto one tetrahedron of FCC neighbours."""
    a, b, c = abs(x - round(x)), abs(y - round(y)), abs(z - round(z))
    best = 1e9
    # the six edges as (start, direction): three from the corner, three between face centres
    for px, py, pz, dx, dy, dz in (
        (0.0, 0.0, 0.0, 0.5, 0.5, 0.0),
        (0.0, 0.0, 0.0, 0.5, 0.0, 0.5),
        (0.0, 0.0, 0.0, 0.0, 0.5, 0.5),
        (0.5, 0.5, 0.0, 0.0, -0.5, 0.5),
        (0.5, 0.5, 0.0, -0.5, 0.0, 0.5),
        (0.5, 0.0, 0.5, -0.5, 0.5, 0.0),
    ):
        u, v, w = a - px, b - py, c - pz
        along = min(max((u * dx + v * dy + w * dz) * 2.0, 0.0), 1.0)  # every edge has length sqrt(1/2)
        u, v, w = u - along * dx, v - along * dy, w - along * dz
        best = min(best, u * u + v * v + w * w)
    return math.sqrt(best)


@compiled(nogil=True)
def _depth_map(
    octet: bool, x0: np.ndarray, y0: np.ndarray, half: np.ndarray, lean_x: float, lean_y: float, front: float
) -> np.ndarray:
    """Depth at which the ray of each pixel meets the solid |distance| < half, DEPTH where it meets nothing.

    Sphere tracing: the distance tells how far a ray may go. The gyroid's is approximate, so it goes 0.6 of it.
    """
    depth = np.full(x0.shape, DEPTH, dtype=np.float32)
    centre, caution = CELLS / 2, 0.9 if octet else 0.6
    for i in range(x0.shape[0]):
        for j in range(x0.shape[1]):
            z, before, gap_before = 0.0, 0.0, 0.0
            while z < DEPTH:
                grow = 1.0 + _PERSPECTIVE * z
                x = (x0[i, j] - centre) * grow + centre + lean_x * z
                y = (y0[i, j] - centre) * grow + centre + lean_y * z
                distance = octet_distance(x, y, z + front) if octet else gyroid_distance(x, y, z + front)
                gap = distance - half[i, j]
                if gap < 0.0:  # met: between this step and the one before
                    depth[i, j] = z if z == 0.0 else before + (z - before) * gap_before / (gap_before - gap)
                    break
                before, gap_before = z, gap
                z += max(caution * gap, 0.006)
    return depth


def thickness_tables(seed: int = 0, points: int = 100_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half thickness of wall or strut by relative density, by Monte Carlo.

    Returns:
        relative density (K,), half thickness of the gyroid (K,), of the octet (K,), both in cells.
    """
    density = np.linspace(0.05, 0.6, 56)
    p = np.random.default_rng(seed).random((points, 3))
    gyroid, octet = (np.quantile(_distances(is_octet, p), density) for is_octet in (False, True))
    return density, gyroid, octet


@compiled(nogil=True)
def _distances(octet: bool, points: np.ndarray) -> np.ndarray:
    out = np.empty(len(points))
    for n in range(len(points)):
        x, y, z = points[n]
        out[n] = octet_distance(x, y, z) if octet else gyroid_distance(x, y, z)
    return out


def _noise(rng: np.random.Generator, width: float) -> np.ndarray:
    """Smooth noise of unit variance and correlation length `width` pixels, float32 (SIDE, SIDE)."""
    coarse = max(1, int(width // 2))  # wide noise is made on a coarse grid and enlarged
    field = rng.standard_normal((SIDE // coarse + 3,) * 2, dtype=np.float32)
    field = gaussian_filter(field, width / coarse, mode="wrap")
    if coarse > 1:
        field = zoom(field, coarse, order=1)
    field = np.asarray(field)[:SIDE, :SIDE]
    return (field - field.mean()) / (field.std() + 1e-12)


def photograph(octet: bool, half_thickness: float, rng: np.random.Generator) -> np.ndarray:
    """One picture, uint8 (SIDE, SIDE).

    Args:
        octet: Octet truss, else gyroid sheet.
        half_thickness: Of the wall or strut, in cells.
        rng: Source of all that varies: pose, printing, light, camera.
    """
    depth, x, y = _part(octet, half_thickness, rng)
    return _camera(_light(depth, rng), depth, x, y, rng)


def _part(octet: bool, half: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The printed part as the camera sees it: depth of each pixel, and the pixel's x, y before the pose."""
    line = (np.arange(SIDE, dtype=np.float32) - SIDE / 2) * np.float32(_PIXEL)
    y, x = np.meshgrid(line, line, indexing="ij")
    roll, lean_x, lean_y = rng.normal(0, np.deg2rad(1.8), 3)
    zoomed = 1 + rng.normal(0, 0.015)
    shift_x, shift_y = CELLS / 2 + rng.normal(0, 0.06, 2)
    x0 = (np.cos(roll) * x - np.sin(roll) * y) * zoomed + shift_x
    y0 = (np.sin(roll) * x + np.cos(roll) * y) * zoomed + shift_y
    layers = 0.0035 * np.sin(2 * np.pi * y0 * rng.uniform(9, 12) + rng.normal())  # build direction: rows
    skin = 0.007 * _noise(rng, 1.2) + 0.009 * _noise(rng, 3.0)
    local = half * (1 + 0.06 * _noise(rng, 40)) + skin + layers
    front = rng.normal(0.0, 0.02) + (-0.8 * half if octet else 0.12)
    x0, y0 = x0 + 0.012 * _noise(rng, 14), y0 + 0.012 * _noise(rng, 14)
    return _depth_map(octet, x0, y0, local, np.tan(lean_x), np.tan(lean_y), front), x, y


def _light(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness under a ring light with an off-centre lamp: diffuse, specular, occlusion and cast shadow."""
    seen = depth < DEPTH
    smooth = gaussian_filter(depth, 0.6)
    slope_y, slope_x = (np.clip(g, -4, 4) for g in np.gradient(smooth, _PIXEL))
    bump_y, bump_x = np.gradient(0.18 * _noise(rng, 0.8) + 0.16 * _noise(rng, 2.0))
    normal_x, normal_y = 0.8 * bump_x - slope_x, 0.8 * bump_y - slope_y
    length = np.sqrt(normal_x**2 + normal_y**2 + 1)
    azimuth, elevation = rng.normal(-np.pi / 2, 0.7), rng.uniform(0.75, 1.1)
    lamp = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    halfway = lamp + np.array([0, 0, 1])
    halfway /= np.linalg.norm(halfway)
    diffuse = np.clip((normal_x * lamp[0] + normal_y * lamp[1] + lamp[2]) / length, 0, None)
    gloss = np.clip((normal_x * halfway[0] + normal_y * halfway[1] + halfway[2]) / length, 0, None)
    gloss **= rng.uniform(14, 30)
    near, far = (np.clip(smooth - gaussian_filter(smooth, w), 0, None) for w in (5, 14))
    open_sky = np.clip(1 - 1.1 * near - 0.55 * far, 0.15, 1)
    fade = np.exp(-depth / rng.uniform(0.75, 1.05))
    shadow = np.ones_like(smooth)
    for step in range(1, 22, 3):  # towards the lamp: does something rise above the ray?
        by = (round(lamp[1] * step), round(lamp[0] * step))
        rise = smooth - np.roll(smooth, by, (0, 1))
        shadow = np.minimum(shadow, 1 - 0.5 * np.clip((rise - step * _PIXEL * np.tan(elevation)) / 0.08, 0, 1))
    albedo = 0.62 * (1 + 0.10 * _noise(rng, 20)) * (1 + 0.07 * _noise(rng, 1.0))
    image = albedo * (0.22 * open_sky + 0.80 * diffuse * open_sky * shadow) * (0.10 + 0.90 * fade)
    image = np.where(seen, image + 0.38 * gloss * shadow * fade, 0.012)
    grains = gaussian_filter(((_noise(rng, 0.9) > 2.9) & seen).astype(np.float32), 0.6)  # half-molten powder
    return image + 0.25 * grains * fade


def _camera(image: np.ndarray, depth: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Depth of field, vignette, uneven lamp, exposure, gamma, shot noise; uint8."""
    far = np.clip(depth / DEPTH, 0, 1)
    image = image * (1 - far) + gaussian_filter(image, rng.uniform(1.2, 2.0)) * far
    image = gaussian_filter(image, rng.uniform(0.5, 0.85))
    uneven = 1 + (rng.normal(0, 0.06) * x + rng.normal(0, 0.06) * y) / CELLS
    vignette = 1 - 0.35 * (x**2 + y**2) / CELLS**2
    image = np.clip(image * vignette * uneven * np.exp(rng.normal(0.10, 0.12)), 0, 1)
    image = image ** rng.uniform(0.70, 0.86)
    image = image + rng.standard_normal(image.shape) * np.sqrt(6e-5 + 6e-4 * image)
    return np.clip(image * 255, 0, 255).astype(np.uint8)
