"""Flat things with digits on them, as cameras see them: pictures and depths that fit to the last digit."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Things of a scene beside its ground.
THINGS = 4
# Digits each way on a texture, and pixels of one.
DIGITS, GLYPH = 8, 8


class Scene(NamedTuple):
    """A scene of P = THINGS + 1 planes, seen by V cameras; the first camera is the origin.

    centres: (P, 3). axes: (P, 3, 3), across, along and out of each plane. halves: (P, 2), how far it goes
    across and along. pitches: (P,), metres of a digit. textures: (P, 3, S, S) in [0, 1]. poses: (V, 4, 4),
    from each camera to the world. All lengths are metres, all float32.
    """

    centres: Tensor
    axes: Tensor
    halves: Tensor
    pitches: Tensor
    textures: Tensor
    poses: Tensor


def draw_scene(glyphs: Tensor, views: int, ends: tuple[float, float], generator: torch.Generator) -> Scene:
    """Draw a scene. glyphs: (N, 8, 8) in [0, 1]. ends: the least and the largest depth about the middle."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    planes, (near, far) = THINGS + 1, ends
    # The ground lies behind all things; where one of these is drawn is even in 1 / depth.
    depths = torch.cat([uniform(0.8 * far, far, 1), 1 / uniform(1.25 / far, 1 / near, THINGS)])
    places = uniform(-0.4, 0.4, planes, 2) * depths[:, None]
    centres = torch.cat([places, depths[:, None]], 1)
    tilts = torch.cat([uniform(-0.25, 0.25, 1, 3), uniform(-0.7, 0.7, THINGS, 3)])
    halves = torch.cat([torch.full((1, 2), torch.inf), uniform(0.1, 0.3, THINGS, 2) * depths[1:, None]])
    which = torch.randint(len(glyphs), (planes, DIGITS, DIGITS), generator=generator)
    cover = glyphs[which].transpose(2, 3).reshape(planes, 1, DIGITS * GLYPH, DIGITS * GLYPH)
    shades = uniform(0, 1, 2, planes, 3, DIGITS, DIGITS).repeat_interleave(GLYPH, 3)
    dark, light = shades.repeat_interleave(GLYPH, 4)
    textures = dark + cover * (light - dark)
    # The others stand to the left and to the right in turn, and look about where the first does.
    sides = torch.tensor([(-1.0) ** view for view in range(views - 1)])[:, None]
    moves = uniform(0.06, 0.09, views - 1, 1) * far * sides
    shifts = torch.cat([moves, uniform(-0.03, 0.03, views - 1, 2) * far], 1)
    turns = torch.stack([shifts[:, 1], -shifts[:, 0], torch.zeros(views - 1)], 1) * 1.5 / far
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[1:, :3, :3] = turned(turns + uniform(-0.02, 0.02, views - 1, 3))
    poses[1:, :3, 3] = shifts
    return Scene(centres, turned(tilts).mT, halves, 0.12 * depths, textures, poses)


def turned(angles: Tensor) -> Tensor:
    """Return rotations (n, 3, 3) by (n, 3), the axis times the angle in radians."""
    x, y, z = angles.unbind(1)
    none = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([none, -z, y, z, none, -x, -y, x, none], 1).view(-1, 3, 3))


def render(scenes: Scene, rays: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the cameras of some scenes see: colours (n, V, 3, R) in [0, 1] and depths (n, V, R).

    scenes: as in `Scene`, n of each. rays: (3, R), the points at depth 1 that the pixels see, the same for
    all cameras.
    """
    ahead = scenes.poses[..., :3, :3] @ rays
    eyes = scenes.poses[..., :3, 3:]
    count, views, _, size = ahead.shape
    depths = ahead.new_full((count, views, size), torch.inf)
    colours = ahead.new_zeros(count, views, 3, size)
    for plane in range(scenes.centres.shape[1]):
        axes = scenes.axes[:, None, plane]
        # In the plane's own axes: where the camera is, and how far a step of depth 1 goes.
        start = axes @ (eyes - scenes.centres[:, None, plane, :, None])
        step = axes @ ahead
        depth = -start[..., 2, :] / step[..., 2, :]
        place = start[..., :2, :] + depth[..., None, :] * step[..., :2, :]
        inside = (place.abs() <= scenes.halves[:, None, plane, :, None]).all(2)
        first = inside & (depth > 0) & (depth < depths)
        # A texture goes from -1 to 1; beyond it, it is mirrored.
        grid = (place / scenes.pitches[:, None, plane, None, None] * 2 / DIGITS).mT
        found = F.grid_sample(
            scenes.textures[:, plane], grid, padding_mode="reflection", align_corners=False
        ).transpose(1, 2)
        depths = depth.where(first, depths)
        colours = found.where(first[:, :, None], colours)
    return colours, depths
