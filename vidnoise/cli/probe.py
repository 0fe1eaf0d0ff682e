"""`vidnoise probe`: what a video is, and how noisy and blurred."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.options import SectionCommand, debug_option, json_option
from vidnoise.cli.record import emit
from vidnoise.plain import plain

if TYPE_CHECKING:
    from vidnoise.probe import Probe

ROWS = 20
"""At most so many scenes are printed; JSON has all."""

VISIBLE = 0.5
"""Noise below this, of 255, is that of rounding; its grain means nothing."""

BLURRED = 3.0
"""Pixels: a shorter blur than that is not told apart from none."""

LEVELS = 9
"""Points of the noise curve that are printed."""


@click.command(
    cls=SectionCommand,
    short_help="Say what a video is: its streams, its colour, its noise and its blur.",
    help="Say what a video is: container, codec, rate, colour, interlacing, other streams; and how noisy: per channel, "
    "over brightness, and per scene, in units of 1/255; and how long motion blur is, in pixels.\n\n"
    "A short video is looked at whole, of a long one some places; it says how many frames.",
)
@click.argument("source", metavar="INPUT")
@json_option("Print all of it as one line of JSON.")
@debug_option
def probe(source: str, as_json: bool) -> None:
    """Look at a video and print what was found."""
    import vidnoise.probe

    found = vidnoise.probe.probe(source)
    if as_json:
        emit(plain(asdict(found)))
    else:
        _show(found)


def _show(found: Probe) -> None:
    from vidnoise.cli.console import out, table

    rows = table("", "")
    rows.show_header = False
    for name, value in _facts(found):
        rows.add_row(name, value)
    console = out()
    console.print(found.source, rows)
    console.print("noise over brightness (mean of the channels, of 255)", _curve(found))
    console.print("scenes" if found.whole else "scenes, as far as looked at", _scenes(found))
    if len(found.scenes) > ROWS:
        console.print(f"and {len(found.scenes) - ROWS} more scenes; --json has them all")


def _facts(found: Probe) -> list[tuple[str, str]]:
    """What is worth a line, in words."""
    rotated = f", shown turned by {found.rotation} degrees" if found.rotation else ""
    aspect = "" if found.pixel_aspect in ("1", "0") else f", pixels {found.pixel_aspect}"
    lines = [
        ("container", f"{found.container}{_size(found.bytes)}"),
        ("video", f"{found.codec}{f' ({found.profile})' if found.profile else ''}"),
        ("size", f"{found.width}x{found.height}{aspect}{rotated}"),
        ("pixels", f"{found.pixel_format}, {found.depth} bit"),
        ("rate", _rate(found)),
        ("duration", _clock(found.duration) + _count(found)),
        ("colour", _colour(found)),
        ("scan", _scan(found.scan)),
    ]
    lines += [("hdr", ", ".join(found.hdr))] if found.hdr else []
    lines += [("also", _stream(other)) for other in found.others]
    lines += [("damage", _damage(found.losses))] if found.losses else []
    lines += [("warning", warning) for warning in found.warnings]
    lines.append(("looked at", f"{_of(found.sampled_frames, 'frame')}, {_places(found)}"))
    r, g, b = found.noise
    lines.append(("noise", f"R {r:.2f}  G {g:.2f}  B {b:.2f} of 255"))
    lines += [("grain", _grain(found.correlation))] if max(found.noise) >= VISIBLE else []
    return [*lines, ("blur", _blur(found.blur))]


def _damage(losses: dict[str, Any]) -> str:
    from vidnoise.io.decode import Losses

    return str(Losses(**losses))


def _curve(found: Probe) -> Any:
    """The noise at some levels of brightness, as figures and bars."""
    from vidnoise.cli.console import table

    rows = table("brightness", "noise", "")
    last = len(found.brightness) - 1
    chosen = [round(i * last / (LEVELS - 1)) for i in range(LEVELS)]
    most = max(VISIBLE, *(found.curve[i] for i in chosen if math.isfinite(found.curve[i])))
    for i in chosen:
        noise = found.curve[i]
        bar = "▇" * round(30 * noise / most) if math.isfinite(noise) else ""
        rows.add_row(f"{found.brightness[i]:.0f}", f"{noise:.2f}" if math.isfinite(noise) else "-", bar)
    return rows


def _scenes(found: Probe) -> Any:
    from vidnoise.cli.console import table

    rows = table("from", "to", "frames", "R", "G", "B", "correlation", "blur")
    for scene in found.scenes[:ROWS]:
        times = _clock(scene.start), _clock(scene.end), str(scene.frames)
        noise = (f"{value:.2f}" for value in (*scene.sigma, scene.correlation))
        rows.add_row(*times, *noise, f"{scene.blur:.1f}")
    return rows


def _scan(scan: str) -> str:
    return scan if scan == "progressive" else f"interlaced, {scan}: needs --deinterlace"


def _places(found: Probe) -> str:
    if found.whole:
        return "which is all"
    return f"in {found.sampled_places} places" if found.sampled_places > 1 else "at its start"


def _count(found: Probe) -> str:
    if not found.frames:
        return ""
    return f", {'' if found.whole else 'about '}{_of(found.frames, 'frame')}"


def _rate(found: Probe) -> str:
    if found.rate is None:
        return "not said"
    return f"{found.rate:.6g} frames/s" + (" on average; it varies" if found.variable_rate else "")


def _colour(found: Probe) -> str:
    tags = {
        "matrix": found.matrix,
        "range": found.range,
        "transfer": found.transfer,
        "primaries": found.primaries,
        "chroma": found.chroma_location,
    }
    return ", ".join(f"{name} {value or 'not said'}" for name, value in tags.items())


def _blur(length: float) -> str:
    return f"about {length:.0f} pixels long" if length >= BLURRED else "none of motion that shows"


def _grain(correlation: float) -> str:
    """What the correlation between neighbouring pixels means."""
    words = "fine, like a sensor's" if correlation < 0.15 else "coarse, as compression or scaling leave it"
    return f"{words} (correlation of neighbours {correlation:.2f})"


def _stream(other: dict[str, Any]) -> str:
    parts = [other["type"], other["codec"], other["language"]]
    parts += [_of(other["channels"], "channel"), f"{other['rate']} Hz"] if "channels" in other else []
    parts += [f"“{other['title']}”"] if other["title"] else []
    return " ".join(str(part) for part in parts if part and part != "und")


def _of(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _size(bytes: int | None) -> str:
    if bytes is None:
        return ""
    return f", {bytes / 1e6:.1f} MB" if bytes >= 1e5 else f", {bytes / 1e3:.1f} kB"


def _clock(seconds: float | None) -> str:
    """`1:02:03.45`, `2:03.45` or `3.45 s`."""
    if seconds is None:
        return "not said"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:05.2f}"
    return f"{minutes}:{rest:05.2f}" if minutes else f"{rest:.2f} s"
