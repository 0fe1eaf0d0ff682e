"""Seeded degradations of clean pictures, on any device.

Each takes clean pictures (B,3,H,W), nominal [0,1], and a `torch.Generator` of the same device; the result is
a function of the inputs and the generator's state. Levels are standard deviations on the [0,1] scale, one for
each picture: (B,1,1,1) or, where said, (B,3,1,1). `Mixture` draws a batch the way the recipes train.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..options import option
from .coded import code
from .settings import share

REACH = 6
"""Of a blur, in pixels."""


def normal(like: Tensor, generator: Generator, channels: int | None = None) -> Tensor:
    """Standard normal values of the shape of `like`, or with that many channels."""
    b, c, h, w = like.shape
    return torch.randn(b, channels or c, h, w, generator=generator, device=like.device)


def uniform(count: int, low: float, high: float, generator: Generator, channels: int = 1) -> Tensor:
    """(count, channels, 1, 1) uniform values."""
    values = torch.rand(count, channels, 1, 1, generator=generator, device=generator.device)
    return values * (high - low) + low


def white(clean: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """Adds independent Gaussian noise; `sigma` (B,1,1,1) or, for a level per channel, (B,3,1,1)."""
    return clean + normal(clean, generator) * sigma


def gray(clean: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """Adds Gaussian noise that is the same in all channels, as gray cameras and luma-only noise have."""
    return clean + normal(clean, generator, 1) * sigma


def poisson_gaussian(clean: Tensor, gain: Tensor, read: Tensor, generator: Generator) -> Tensor:
    """Sensor noise: photons are counted, each worth `gain` (> 0), then read with Gaussian noise `read`.

    The variance at brightness x is gain * x + read ** 2 (Foi et al., IEEE TIP 2008).
    """
    photons = torch.poisson(clean.clamp(min=0) / gain, generator=generator)
    return photons * gain + normal(clean, generator) * read


def low_light(clean: Tensor, gain: Tensor, read: Tensor, generator: Generator) -> Tensor:
    """Sensor noise of an underexposed frame: Poisson-Gaussian, and rows offset by half the read noise."""
    rows = torch.randn(*clean.shape[:3], 1, generator=generator, device=clean.device)
    return poisson_gaussian(clean, gain, read, generator) + rows * read * 0.5


def blur(x: Tensor, width: Tensor) -> Tensor:
    """Gaussian blur of (B,C,H,W) with a standard deviation in pixels (B,1,1,1), up to about 3."""
    b, c, h, w = x.shape
    steps = torch.arange(-REACH, REACH + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (steps / width.view(b, 1).clamp(min=0.05)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    y = F.pad(x, (REACH,) * 4, mode="reflect").reshape(1, b * c, h + 2 * REACH, w + 2 * REACH)
    y = F.conv2d(y, kernel.view(b * c, 1, -1, 1), groups=b * c)
    return F.conv2d(y, kernel.view(b * c, 1, 1, -1), groups=b * c).view(b, c, h, w)


def correlated(clean: Tensor, sigma: Tensor, width: Tensor, generator: Generator) -> Tensor:
    """Adds spatially correlated Gaussian noise, as demosaicing and resizing leave it.

    Args:
        clean: (B,3,H,W).
        sigma: standard deviation after the correlation.
        width: (B,1,1,1), the blur of white noise that gives it, in pixels.
        generator: of the clean pictures' device.
    """
    noise = blur(normal(clean, generator), width)
    return clean + noise / noise.std((1, 2, 3), keepdim=True) * sigma


def demosaiced(noise: Tensor) -> Tensor:
    """What is left of a sensor's noise (B,3,H,W) where each pixel sees one colour and the others are interpolated.

    The mosaic is RGGB (B. E. Bayer, US patent 3,971,065), the interpolation bilinear.
    """
    height, width = noise.shape[2:]
    seen = torch.zeros(3, 2, 2, device=noise.device)
    seen[0, 0, 0] = seen[1, 0, 1] = seen[1, 1, 0] = seen[2, 1, 1] = 1
    mosaic = noise * seen.repeat(1, -(-height // 2), -(-width // 2))[:, :height, :width]
    cross = torch.tensor([[0, 1, 0], [1, 4, 1], [0, 1, 0]], device=noise.device) / 4
    square = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]], device=noise.device) / 4
    kernels = torch.stack([square, cross, square])[:, None]
    return F.conv2d(F.pad(mosaic, (1, 1, 1, 1), mode="reflect"), kernels, groups=3)


def salt_and_pepper(clean: Tensor, share: Tensor, generator: Generator) -> Tensor:
    """Sets a share (B,1,1,1) of the pixels to black or white, half each."""
    chance = torch.rand(clean.shape[0], 1, *clean.shape[2:], generator=generator, device=clean.device)
    return torch.where(chance < share / 2, 0.0, torch.where(chance > 1 - share / 2, 1.0, clean))


def eight_bit(x: Tensor) -> Tensor:
    """Rounds and clips to 8 bit, as files hold it."""
    return (x * 255).round().clamp(0, 255) / 255


# Quantisation at quality 50, ITU-T T.81 Annex K.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def _dct(device: torch.device) -> Tensor:
    k = torch.arange(8, device=device, dtype=torch.float32)
    matrix = torch.cos(math.pi * (2 * k.view(1, 8) + 1) * k.view(8, 1) / 16) * 0.5
    matrix[0] *= math.sqrt(0.5)
    return matrix


def _quantise(plane: Tensor, table: Tensor) -> Tensor:
    # plane (B,C,H,W) around zero on the 8-bit scale, table (B,1,1,1,8,8)
    b, c, h, w = plane.shape
    dct = _dct(plane.device)
    tiles = plane.view(b, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    frequencies = dct @ tiles @ dct.T
    tiles = dct.T @ ((frequencies / table).round() * table) @ dct
    return tiles.transpose(3, 4).reshape(b, c, h, w)


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Compresses to JPEG with 4:2:0 chroma and back (ITU-T T.81, without the lossless entropy coding).

    Args:
        x: (B,3,H,W), height and width multiples of 16; clipped to [0,1].
        quality: (B,1,1,1), 1 to 100, on the IJG scale.
    """
    red, green, blue = (x.clamp(0, 1) * 255).unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = F.avg_pool2d(torch.stack([(blue - y) / 1.772, (red - y) / 1.402], 1), 2)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50).view(-1, 1, 1, 1, 1, 1)
    tables = torch.tensor([_LUMA, _CHROMA], device=x.device, dtype=x.dtype)
    luma, colour = ((t * scale).round().clamp(1, 255) for t in tables)
    y = _quantise(y.unsqueeze(1) - 128, luma) + 128
    chroma = F.interpolate(_quantise(chroma, colour), scale_factor=2, mode="bilinear")
    cb, cr = chroma[:, :1], chroma[:, 1:]
    return eight_bit(torch.cat([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1) / 255)


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of noise in a batch; what is left over is white Gaussian noise, 0 to `sigma`."""

    sigma: float = option(55, help="the highest level", low=0, high=255, unit="8-bit steps")
    sensor: float = share(0.1, help="Poisson-Gaussian noise")
    blotchy: float = share(0.08, help="correlated noise")
    gray: float = share(0.03, help="noise that is the same in all channels")
    channels: float = share(0.04, help="Gaussian noise, of another level in each channel")
    dark: float = share(0.04, help="noise of low light")
    impulse: float = share(0.02, help="salt and pepper on Gaussian noise")
    camera: float = share(
        0.0,
        help="Poisson-Gaussian noise in linear light, then encoded, softened and sharpened as cameras do it",
    )
    mosaic: float = share(
        0.5, help="of the sensor, dark and camera pictures: whose noise went through demosaicing"
    )
    colour: float = share(
        0.5, help="of the blotchy pictures: whose colours are blotchier than their brightness"
    )
    compressed: float = share(
        0.4, help="of the sensor, blotchy, dark and camera pictures: compressed then, JPEG of quality 25-95"
    )
    coded: float = share(
        0.5, help="of those: through a video codec instead, H.264, or in a tenth H.265, at CRF 16-34"
    )
    filed: float = share(
        0.0,
        help="of the white pictures: whose noise was there before a good file was made, H.264, 4:2:0, at CRF 6-22",
    )
    rounded: float = share(
        0.15, help="of the white, sensor, blotchy, dark and camera pictures: rounded and clipped to 8 bit"
    )

    def __call__(self, clean: Tensor, generator: Generator, frames: int = 1) -> tuple[Tensor, Tensor]:
        """Degrade a batch.

        Args:
            clean: (B * frames,3,H,W), the frames of a clip after one another; H and W multiples of 16.
            generator: of the same device.
            frames: this many pictures in a row share their kind and level of noise.

        Returns:
            The noisy pictures and the level of their noise, both of the shape of `clean`. The level is exact
            for Gaussian noise; elsewhere it follows the brightness and is known up to a tenth.
        """
        clips = clean.shape[0] // frames
        top = self.sigma / 255
        shares = [self.sensor, self.blotchy, self.gray, self.channels, self.dark, self.impulse, self.camera]
        counts = [int(share * clips + _dither(generator)) for share in shares]
        while sum(counts) > clips:
            counts[counts.index(max(counts))] -= 1
        parts = torch.split(clean, [n * frames for n in (*counts, clips - sum(counts))])
        kinds = (
            self._sensor,
            self._blotchy,
            self._gray,
            self._channels,
            self._dark,
            self._impulse,
            self._camera,
            self._white,
        )
        made = [
            kind(part, _Draw(generator, frames, part.shape[0] // frames, top))
            for kind, part in zip(kinds, parts, strict=True)
            if part.shape[0]
        ]
        return torch.cat([noisy for noisy, _ in made]), torch.cat([sigma for _, sigma in made])

    def _white(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        sigma = draw(0, draw.top)
        noisy = _as_a_camera(clean, sigma, draw.generator)
        noisy = torch.where(draw(0, 1) < self.rounded, eight_bit(noisy), noisy)
        if not self.filed:
            return noisy, sigma.expand_as(clean)
        crf = torch.where(draw(0, 1) < self.filed, draw(6, 22), math.nan)
        filed = _through_codec(noisy, crf, draw.frames)
        measured = (filed - clean).square().mean((1, 2, 3), keepdim=True).sqrt()
        return filed, torch.where(crf.isnan(), sigma, measured).expand_as(clean)

    def _gray(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        sigma = draw(0, draw.top)
        return gray(clean, sigma, draw.generator), sigma.expand_as(clean)

    def _channels(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        sigma = draw(0, draw.top, 3)
        return white(clean, sigma, draw.generator), sigma.expand_as(clean)

    def _impulse(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        sigma = draw(0, draw.top / 2)
        noisy = salt_and_pepper(_as_a_camera(clean, sigma, draw.generator), draw(0, 0.1), draw.generator)
        return noisy, sigma.expand_as(clean)

    def _sensor(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        gain, read = draw(0.01, 0.2).square(), draw(0, 0.08)
        noisy = self._interpolated(clean, poisson_gaussian(clean, gain, read, draw.generator), draw)
        return self._finish(clean, noisy, (gain * clean.clamp(min=0) + read**2).sqrt(), draw)

    def _camera(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        gamma, gain, read = draw(1.8, 2.4), draw(0.01, 0.07).square(), draw(0, 0.02)
        light = clean.clamp(min=0) ** gamma
        caught = self._interpolated(light, poisson_gaussian(light, gain, read, draw.generator), draw)
        noise = caught.clamp(min=0) ** (1 / gamma) - clean
        softened = blur(noise, draw(0.05, 1.2))
        noise = softened * (noise.std((1, 2, 3), keepdim=True) / softened.std((1, 2, 3), keepdim=True))
        noise = noise + draw(0, 0.8) * (noise - blur(noise, draw(0.6, 1.2)))
        steepness = light.clamp(min=0.01) ** (1 / gamma - 1) / gamma
        return self._finish(clean, clean + noise, (gain * light + read**2).sqrt() * steepness, draw)

    def _dark(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        gain, read = draw(0.05, 0.3).square(), draw(0.01, 0.12)
        noisy = self._interpolated(clean, low_light(clean, gain, read, draw.generator), draw)
        return self._finish(clean, noisy, (gain * clean.clamp(min=0) + read**2 * 1.25).sqrt(), draw)

    def _blotchy(self, clean: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        sigma = draw(0, draw.top * 0.7)
        noisy = correlated(clean, sigma, draw(0.3, 1.2), draw.generator)
        grown = correlated(clean, sigma, draw(0.8, 2.8), draw.generator)
        light = (grown - clean).mean(1, keepdim=True) - (noisy - clean).mean(1, keepdim=True)
        noisy = torch.where(draw(0, 1) < self.colour, grown - light, noisy)
        return self._finish(clean, noisy, sigma.expand_as(clean), draw)

    def _interpolated(self, clean: Tensor, noisy: Tensor, draw: "_Draw") -> Tensor:
        return torch.where(draw(0, 1) < self.mosaic, clean + demosaiced(noisy - clean), noisy)

    def _finish(self, clean: Tensor, noisy: Tensor, shape: Tensor, draw: "_Draw") -> tuple[Tensor, Tensor]:
        # Clipping and compression change the level, so it is measured again; an estimator errs by a tenth.
        squeezed = jpeg(noisy, draw(25, 95)) if self.compressed else noisy
        smaller = draw(0, 1) < self.compressed
        crf = torch.where(smaller & (draw(0, 1) < self.coded), draw(16, 34), math.nan)
        noisy = torch.where(smaller & crf.isnan(), squeezed, _through_codec(noisy, crf, draw.frames))
        noisy = torch.where(draw(0, 1) < self.rounded, eight_bit(noisy), noisy)
        measured = (noisy - clean).square().mean((1, 2, 3), keepdim=True).sqrt()
        assumed = shape.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-4)
        return noisy, F.avg_pool2d(shape, 5, 1, 2, count_include_pad=False) * measured / assumed * draw(
            0.9, 1.1
        )


def _as_a_camera(clean: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """White noise; in gray pictures, which come from gray cameras, the same in all channels."""
    noisy = white(clean, sigma, generator)
    colourful = (clean[:, :1] != clean[:, 1:]).flatten(1).any(1).view(-1, 1, 1, 1)
    return torch.where(colourful, noisy, noisy[:, :1] - clean[:, :1] + clean)


def _through_codec(pictures: Tensor, crf: Tensor, frames: int) -> Tensor:
    """Clips (B * frames,3,H,W) as files give them back, a tenth in H.265; unchanged where crf (B * frames,1,1,1) is NaN."""
    done = pictures.clone()
    for first, value in enumerate(crf[::frames].flatten().tolist()):
        if not math.isnan(value):
            clip = slice(first * frames, (first + 1) * frames)
            done[clip] = code(pictures[clip], value, "hevc" if round(10 * value) % 10 == 0 else "h264")
    return done


def _dither(generator: Generator) -> float:
    # Small batches get their rarer kinds now and then. From the seed, not the stream: no wait for a GPU.
    return float((generator.initial_seed() % 1_000_003 * 0.6180339887498949) % 1)


@dataclass(frozen=True)
class _Draw:
    generator: Generator
    frames: int
    clips: int
    top: float

    def __call__(self, low: float, high: float, channels: int = 1) -> Tensor:
        values = uniform(self.clips, low, high, self.generator, channels)
        return values.repeat_interleave(self.frames, 0)
