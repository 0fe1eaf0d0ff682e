"""Motion blur as cameras make it: pictures move during the exposure, and their light is added up.

A camera shakes along a smooth path (shift, turn and zoom), a second layer passes in front with a motion of its own, and
what both show is averaged in linear light over the exposure; highlights that exceed the sensor's range are cut off
before the picture is encoded again. Everything random comes from a NumPy generator.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..kernels import kernel as kernel
from ..kernels import linear_kernel as linear_kernel
from ..options import option
from .settings import share

Picture = NDArray[np.float32]
"""(H,W,3) or (H,W), as encoded, [0,1]."""
Path = NDArray[np.float32]
"""(N,2,3): at N moments, affine maps from a frame's pixels to the still's, both counted from the centre."""

STEP = 2.0
"""Pixels between two moments of an exposure, at most."""
STEPS = 4, 24
"""Moments of an exposure, at least and at most."""


@dataclass(frozen=True)
class Exposures:
    """How frames are exposed, each setting the bounds of what is drawn."""

    longest: float = option(36, help="the longest blur", low=0, unit="pixels")
    shortest: float = option(0, help="the shortest blur", low=0, unit="pixels")
    open: tuple[float, float] = share(
        (0.3, 1.0), help="the share of the time between two frames that the shutter is open"
    )
    bend: float = option(1.0, help="curvature of the path: 0 is straight", low=0)
    turn: float = option(1.0, help="how far the camera turns in the time of one frame", low=0, unit="degrees")
    zoom: float = share(0.01, help="change of scale in the time of one frame")
    layers: float = share(0.5, help="share of the clips with a second layer in front")
    gamma: tuple[float, float] = option(
        (1.0, 2.4),
        help="of the encoding that the light is added up in; 1 adds up encoded values",
        low=1,
        high=5,
    )
    bright: float = share(0.25, help="share of the clips in which highlights outshine white, by up to twice")
    grown: float = option(1.5, help="how far stills are enlarged at most", low=1, high=4)


@dataclass(frozen=True)
class Shake:
    """A smooth motion over time, which is counted in frames and is 0 in the middle of the frame looked at.

    Attributes:
        velocity, bend: (2,), pixels a frame, and its change.
        tremor: (K,2), amplitude of sines, pixels.
        pace: (K,), their cycles a frame.
        phase: (K,), where they are at time 0, radians.
        turn: radians a frame.
        zoom: logarithm of the scale, a frame.
    """

    velocity: NDArray[np.float64]
    bend: NDArray[np.float64]
    tremor: NDArray[np.float64]
    pace: NDArray[np.float64]
    phase: NDArray[np.float64]
    turn: float
    zoom: float

    def at(self, time: NDArray[np.float64], size: float = 1.0) -> Path:
        """The maps (N,2,3) at `time` (N,), with all shifts times `size`."""
        waves = np.sin(2 * math.pi * self.pace * time[:, None] + self.phase) - np.sin(self.phase)
        shift = self.velocity * time[:, None] + self.bend * time[:, None] ** 2 / 2 + waves @ self.tremor
        angle, scale = self.turn * time, np.exp(self.zoom * time)
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        x, y = (size * shift).T
        return np.stack([np.stack([cos, -sin, x], 1), np.stack([sin, cos, y], 1)], 1).astype(np.float32)

    def length(self, exposure: float) -> float:
        """How far the centre moves during an exposure around time 0, pixels."""
        path = self.at(np.linspace(-exposure / 2, exposure / 2, 17))[:, :, 2]
        return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def shake(random: Generator, bend: float = 1.0, turn: float = 1.0, zoom: float = 0.01) -> Shake:
    """A random shake of about one pixel a frame.

    Args:
        random: the source.
        bend: how far it departs from a straight line.
        turn: the most it turns, degrees a frame.
        zoom: the most it changes the scale, a frame.
    """
    heading = random.uniform(0, 2 * math.pi)
    waves = 3
    return Shake(
        velocity=np.array([math.cos(heading), math.sin(heading)]),
        bend=random.normal(size=2) * 0.7 * bend,
        tremor=random.normal(size=(waves, 2)) * 0.12 * bend * random.uniform() ** 2,
        pace=random.uniform(0.3, 2.0, waves),
        phase=random.uniform(0, 2 * math.pi, waves),
        turn=random.uniform(-1, 1) ** 3 * turn * math.pi / 180,
        zoom=random.uniform(-1, 1) ** 3 * zoom,
    )


def moments(centre: float, exposure: float, length: float) -> NDArray[np.float64]:
    """The times at which an exposure around `centre` is sampled: close enough for a blur of `length` pixels."""
    count = int(np.clip(math.ceil(length / STEP) + 1, *STEPS))
    return centre + exposure * ((np.arange(count) + 0.5) / count - 0.5)


def move(picture: Picture, path: NDArray[np.float32], height: int, width: int) -> Picture:
    """What a frame of that size sees of a picture under one affine map (2,3); the picture is mirrored at its edges."""
    import cv2

    rows, columns = picture.shape[:2]
    centred = path.astype(np.float64)
    frame = np.array([(width - 1) / 2, (height - 1) / 2])
    still = np.array([(columns - 1) / 2, (rows - 1) / 2])
    shifted = np.column_stack([centred[:, :2], centred[:, 2] + still - centred[:, :2] @ frame])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, shifted, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.float32)


def expose(layers: list[tuple[Picture, Path]], height: int, width: int) -> Picture:
    """The mean light of layers that move.

    Args:
        layers: from the back to the front: linear light (h,w,3), or (h,w,4) with the light times the share that the layer
            covers, and that share; and the layer's path. All paths have as many moments.
        height, width: of the frame.

    Returns:
        (height,width,3), linear light, not clipped.
    """
    (back, way), *fronts = layers
    total = np.zeros((height, width, 3), np.float32)
    for moment in range(len(way)):
        seen = move(back, way[moment], height, width)
        for front, path in fronts:
            moved = move(front, path[moment], height, width)
            seen *= 1 - moved[..., 3:]
            seen += moved[..., :3]
        total += seen
    return total / np.float32(len(way))


@dataclass(frozen=True)
class Layer:
    """A picture and how it moves: `still` as `expose` takes it, the shake, its size, and where the still is looked at."""

    still: Picture
    motion: Shake
    size: float
    place: tuple[float, float]
    grown: float

    def path(self, time: NDArray[np.float64]) -> Path:
        """The maps at `time`."""
        maps = self.motion.at(time, self.size)
        maps[:, :, 2] += self.place
        return np.asarray(maps / self.grown, np.float32)


class Scene:
    """A still, and perhaps another in front of it, seen by a shaking camera with one exposure a frame."""

    def __init__(
        self, back: Picture, front: Picture, size: int, settings: Exposures, random: Generator
    ) -> None:
        self.size, self.settings, self.random = size, settings, random
        self.gamma = random.uniform(*settings.gamma)
        self.gain = 1 + random.uniform() * (random.uniform() < settings.bright)
        self.exposure = random.uniform(*settings.open)
        self.layers = [self._layer(_light(back, self.gamma, self.gain))]
        if random.uniform() < settings.layers:
            cover = _cover(front.shape[:2], random)[..., None]
            self.layers.append(
                self._layer(np.concatenate([_light(front, self.gamma, self.gain) * cover, cover], 2))
            )

    def _layer(self, still: Picture) -> Layer:
        settings, random = self.settings, self.random
        motion = shake(random, settings.bend, settings.turn, settings.zoom)
        length = random.uniform(settings.shortest, settings.longest)
        grown = random.uniform(1, settings.grown)
        room = [max((n * grown - self.size) / 2, 0) for n in still.shape[1::-1]]
        place = random.uniform(-room[0], room[0]), random.uniform(-room[1], room[1])
        return Layer(still, motion, length / max(motion.length(self.exposure), 1e-3), place, grown)

    @property
    def length(self) -> float:
        """Of the blur at time 0, pixels; of its longest where there are layers."""
        return max(layer.size * layer.motion.length(self.exposure) for layer in self.layers)

    def blurred(self, centre: float, shutter: float = 1.0) -> Picture:
        """The frame whose exposure is around time `centre`, in frames; as encoded (size,size,3), [0,1].

        Args:
            centre: 0 is the frame looked at.
            shutter: the exposure's length against that of the frame looked at.
        """
        time = moments(centre, self.exposure * shutter, self.length * shutter)
        return self._seen([layer.path(time) for layer in self.layers])

    def sharp(self) -> Picture:
        """The frame looked at without blur, as it was in the middle of the exposure."""
        return self._seen([layer.path(np.zeros(1)) for layer in self.layers])

    def motion(self, cell: int) -> NDArray[np.float32]:
        """What moved how in squares of `cell` pixels during the exposure at time 0: (h,w,2), pixels right and down.

        Its direction is the path's longest, its length that of a steady motion which spreads as far.
        """
        side = self.size // cell
        places = (np.arange(side) + 0.5) * cell - self.size / 2
        points = np.stack([*np.meshgrid(places, places), np.ones((side, side))]).reshape(3, -1)
        time = moments(0.0, self.exposure, self.length)
        found = [
            _spread(layer.path(time) @ points * layer.grown).reshape(side, side, 2) for layer in self.layers
        ]
        if len(found) == 1:
            return found[0]
        still, path = self.layers[1].still[..., 3:], self.layers[1].path(time).mean(0)
        cover = move(still, path, self.size, self.size).reshape(side, cell, side, cell).mean((1, 3))
        return np.where(cover[..., None] > 0.5, found[1], found[0])

    def _seen(self, paths: list[Path]) -> Picture:
        layers = [(layer.still, path) for layer, path in zip(self.layers, paths, strict=True)]
        light = expose(layers, self.size, self.size)
        return np.asarray(np.clip(light, 0, 1) ** np.float32(1 / self.gamma), np.float32)


def _spread(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """The main axis of where points are at N moments: (N,2,P) -> (P,2), as long as a steady motion that spreads as far."""
    around = places - places.mean(0)
    values, axes = np.linalg.eigh(np.einsum("nap,nbp->pab", around, around) / len(places))
    steady = 12 / (1 - 1 / len(places) ** 2)  # the variance of so many steps, against their length's square
    return np.asarray(axes[:, :, 1] * np.sqrt(steady * values[:, 1:].clip(0)), np.float32)


def _light(picture: Picture, gamma: float, gain: float) -> Picture:
    # Above 0.8 of the encoded range light grows up to `gain` times: a lamp outshines white paper.
    light: Picture = picture ** np.float32(gamma)
    if gain == 1:
        return light
    lamp = np.clip((picture.min(2, keepdims=True) - 0.8) / 0.2, 0, 1) ** 2
    return np.asarray(light * (1 + np.float32(gain - 1) * lamp), np.float32)


def _cover(shape: tuple[int, int], random: Generator) -> Picture:
    """A smooth random shape (H,W) with soft edges of about a pixel."""
    import cv2

    height, width = shape
    coarse = random.normal(size=(4, 6)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    steep = min(height, width) / 24
    return np.asarray((1 + np.tanh((smooth - 0.2) * steep)) / 2, np.float32)
