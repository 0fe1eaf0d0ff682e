"""FFmpeg filter graphs from their text: `split[a][b];[a]bm3d[c];[b][c]blend=all_opacity=0.5`.

The syntax is that of FFmpeg's documentation, "Filtergraph syntax": filters apart by commas, chains by semicolons, names
of links in brackets, quotes and backslashes as in "Quoting and escaping".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.errors import FilterError, did_you_mean

if TYPE_CHECKING:
    from av import VideoFrame

SINK = "yuv444p16le"

FORBIDDEN = {
    "movie", "amovie", "subtitles", "ass", "lut3d", "lut1d", "removelogo", "find_rect", "cover_rect",
    "drawtext", "sendcmd", "asendcmd", "zmq", "azmq", "frei0r", "frei0r_src", "ladspa", "lv2", "libvmaf",
    "ocr", "ocv", "whisper", "vidstabdetect", "vidstabtransform", "dnn_processing", "dnn_detect",
    "dnn_classify", "derain", "sr", "signature", "program_opencl", "libplacebo", "psnr", "ssim", "ssim360",
    "vmafmotion", "metadata", "ametadata", "quirc", "nnedi", "deshake_opencl", "iccgen", "curves",
    "feedback", "a3dscope", "arnndn", "sofalizer",
}  # fmt: skip
"""Filters that read or write files or the network, load code, or can (by an option)."""


@dataclass
class Node:
    """One filter as written."""

    name: str
    arguments: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


class FilterGraph:
    """A running graph with one input and one output; frames go in and come out as 16-bit YUV 4:4:4.

    Args:
        text: the graph.
        first: a frame like those that will come: format, size, matrix and range.
        rate: frames a second that the filters are told.

    Raises:
        FilterError: the text cannot be read, names a filter that does not exist or opens files, or FFmpeg refuses it.
    """

    def __init__(self, text: str, first: VideoFrame, rate: Fraction) -> None:
        import av.error

        self._text = text
        self._rate = rate
        try:
            self._graph = _build(parse(text), first, rate)
        except (av.error.FFmpegError, ValueError) as failure:
            raise FilterError(f"ffmpeg: the graph {text!r} is refused by FFmpeg: {failure}") from failure

    def push(self, picture: VideoFrame, number: int) -> list[VideoFrame]:
        """Give one frame, take what is finished."""
        picture.pts, picture.time_base = number, 1 / self._rate
        return self._run(picture)

    def finish(self) -> list[VideoFrame]:
        """End the stream, take the rest."""
        return self._run(None)

    def _run(self, picture: VideoFrame | None) -> list[VideoFrame]:
        import av.error

        done = []
        try:
            self._graph.vpush(picture)
            while True:
                done.append(self._graph.vpull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return done
        except av.error.FFmpegError as failure:
            raise FilterError(f"ffmpeg: the graph {self._text!r} failed: {failure}") from failure


def parse(text: str) -> list[list[Node]]:
    """Chains of filters from a graph's text.

    Raises:
        FilterError: it cannot be read.
    """
    chains = [[_node(part, text) for part in _cut(chain, ",", text)] for chain in _cut(text, ";", text)]
    if not any(chains):
        raise FilterError("ffmpeg: the graph is empty; write for example graph='bm3d=sigma=8'")
    return chains


def _cut(text: str, at: str, whole: str) -> list[str]:
    """Split outside quotes, brackets and escapes; these stay."""
    parts, escaped, quoted, bracket = [""], False, False, False
    for char in text:
        if escaped:
            escaped = False
        elif char == "'":
            quoted = not quoted
        elif char == "\\" and not quoted:
            escaped = True
        elif not quoted and char in "[]":
            bracket = char == "["
        elif char == at and not quoted and not bracket:
            parts.append("")
            continue
        parts[-1] += char
    if quoted or bracket:
        raise FilterError(f"ffmpeg: a quote or bracket in the graph {whole!r} is not closed")
    return [part.strip() for part in parts if part.strip()]


def _node(part: str, whole: str) -> Node:
    label = r"\[[^\[\]]+\]"
    match = re.fullmatch(rf"(?s)((?:\s*{label})*)\s*(\w+)(?:@\w+)?\s*(?:=(.*?))?((?:\s*{label})*)\s*", part)
    if match is None:
        raise FilterError(
            f"ffmpeg: {part!r} in the graph {whole!r} is no filter; write name=option=value:option=value"
        )
    before, name, arguments, after = match.groups()
    names = [[word.strip() for word in re.findall(r"\[([^\[\]]+)\]", text)] for text in (before, after)]
    return Node(name, _unescape(arguments or ""), *names)


def _unescape(text: str) -> str:
    """One level of FFmpeg's quoting off."""
    done, position = "", 0
    while position < len(text):
        char = text[position]
        if char == "'":
            end = text.index("'", position + 1)
            done += text[position + 1 : end]
            position = end
        elif char == "\\" and position + 1 < len(text):
            position += 1
            done += text[position]
        else:
            done += char
        position += 1
    return done


def _build(chains: list[list[Node]], first: VideoFrame, rate: Fraction) -> Any:
    from av.filter import Graph

    graph = Graph()
    source = graph.add(
        "buffer",
        f"video_size={first.width}x{first.height}:pix_fmt={first.format.name}:time_base={1 / rate}:frame_rate={rate}"
        f":colorspace={int(first.colorspace)}:range={int(first.color_range)}:pixel_aspect=1/1",
    )
    joints = _Joints()
    joints.outputs["in"] = (source, 0)
    for chain in chains:
        joints.add([(node, _context(graph, node)) for node in chain])
    last = graph.add("format", f"pix_fmts={SINK}")
    last.link_to(graph.add("buffersink"))
    joints.connect(last)
    graph.configure()
    return graph


def _context(graph: Any, node: Node) -> Any:
    from av.filter import filters_available

    if node.name in FORBIDDEN:
        raise FilterError(
            f"ffmpeg: the filter {node.name} can open files or load code, and is not allowed in a graph"
        )
    if node.name not in filters_available:
        hint = did_you_mean(node.name, filters_available, "")
        raise FilterError(f"ffmpeg: PyAV's FFmpeg has no filter {node.name!r}{hint and f'; {hint}'}")
    if re.search(r"(?:^|:)\s*/?\w*file\w*\s*=|(?:^|:)\s*/", node.arguments):
        raise FilterError(f"ffmpeg: an option of {node.name} opens a file, which is not allowed in a graph")
    return graph.add(node.name, node.arguments or None)


class _Joints:
    """Which output feeds which input."""

    def __init__(self) -> None:
        self.outputs: dict[str, tuple[Any, int]] = {}
        self._inputs: list[tuple[str, Any, int]] = []
        self._ends: list[tuple[Any, int]] = []

    def add(self, chain: list[tuple[Node, Any]]) -> None:
        """Join the filters of one chain; remember what is named and what is left open."""
        carried: list[tuple[Any, int]] = []
        for node, context in chain:
            for pad in range(len(context.inputs)):
                if pad < len(node.inputs):
                    self._inputs.append((node.inputs[pad], context, pad))
                elif carried:
                    origin, out = carried.pop(0)
                    origin.link_to(context, out, pad)
                else:
                    self._inputs.append(("in", context, pad))
            for pad in range(len(context.outputs)):
                if pad < len(node.outputs):
                    self.outputs[node.outputs[pad]] = (context, pad)
                else:
                    carried.append((context, pad))
        self._ends += carried

    def connect(self, sink: Any) -> None:
        """Join what is named, the source and the sink.

        Raises:
            FilterError: a name is used but not made, or there is not one input and one output.
        """
        for name, context, pad in self._inputs:
            if name not in self.outputs:
                what = "it needs one input" if name == "in" else f"nothing makes the link [{name}]"
                raise FilterError(f"ffmpeg: the graph cannot be joined: {what}")
            origin, out = self.outputs.pop(name)
            origin.link_to(context, out, pad)
        ends = self._ends + list(self.outputs.values())
        if len(ends) != 1 or "in" in self.outputs:
            raise FilterError("ffmpeg: the graph cannot be joined: it needs one input and one output")
        origin, out = ends[0]
        origin.link_to(sink, out, 0)
