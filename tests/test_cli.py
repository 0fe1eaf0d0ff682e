"""The command line, as a user meets it: what is typed, what is printed where, and the exit status."""

import contextlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from clips import Clip, decoded, image_bytes, number_of, picture
from command import Answer
from test_files import HDR
from test_interlace import flagged_file, woven

from vidnoise import registry
from vidnoise.cli import main
from vidnoise.errors import FilterError
from vidnoise.filter import SpatialFilter, WindowFilter, option

FAST = ("--preset", "ultrafast")
LOSSLESS = {"codec": "libx264rgb", "pix_fmt": "rgb24", "options": {"crf": "0"}}


@dataclass(frozen=True)
class Negative(WindowFilter):
    """Inverts the picture, two frames late."""

    @property
    def behind(self) -> int:
        return 0

    @property
    def ahead(self) -> int:
        return 2

    @property
    def wants_motion(self) -> bool:
        return False

    def apply(self, window, centre):
        return 1 - window[centre]


@dataclass(frozen=True)
class Broken(SpatialFilter):
    """Fails in a way of your choice.

    The second paragraph is only in the long text.
    """

    how: str = option("bug", choices=("bug", "memory", "opencv"), help="what goes wrong")
    after: int = option(0, low=0, high=9, unit="frames", help="later")
    count: int = option(None, help="how often")
    place: "Nowhere" = option("here", help="where")  # noqa: F821, RUF009

    def apply(self, x):
        failures = {
            "bug": KeyError("strange"),
            "memory": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes"),
            "opencv": ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
        }
        raise failures[self.how]


@dataclass(frozen=True)
class Untold(SpatialFilter):
    level: float = option(1.0, help="more of it")
    side: Literal["left", "right"] = option("left", help="from where")

    def apply(self, x):
        return x


@pytest.fixture
def own_filters() -> Iterator[None]:
    for filter in (Negative, Broken, Untold):
        registry.register(filter)
    yield
    for filter in (Negative, Broken, Untold):
        registry._registered.pop(filter.name)
    registry.filters.cache_clear()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Clip(frames=8).save(tmp_path_factory.mktemp("clip") / "clip.mp4")


def process(*words: object, code: str = "", **settings) -> subprocess.Popen:
    """The command in a process of its own; `code` runs before it."""
    start = f"{code}\nfrom vidnoise.cli import main\nmain()"
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.Popen([sys.executable, "-c", start, *map(str, words)], **streams)


def finished(command: subprocess.Popen) -> Answer:
    out, err = command.communicate(timeout=60)
    return Answer(command.returncode, (out or b"").decode(), (err or b"").decode())


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


# Help


def test_help_shows_the_main_job_and_every_command_and_loads_nothing_heavy():
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sorted({'torch', 'av', 'cv2', 'numpy'} & set(sys.modules))))"
    )
    answer = finished(process("--help", code=code))
    assert answer.status == 0
    assert answer.out.rstrip().endswith("[]")
    for word in ("INPUT -o OUTPUT", "--filter", "--crf", "--tile", "probe", "compare", "filters", "devices"):
        assert word in answer.out


def test_help_takes_less_than_half_a_second_of_processor_time():
    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    assert finished(process("--help")).status == 0
    assert used() - before < 0.5


@pytest.mark.parametrize("command", ["run", "probe", "compare", "filters", "devices", "train"])
def test_every_command_explains_all_its_options(vidnoise, command):
    answer = vidnoise(command, "--help")
    assert answer.status == 0
    options = [line.split()[0] for line in answer.out.splitlines() if re.match(r"  -", line)]
    assert len(options) >= 2
    assert answer.err == ""


@pytest.mark.parametrize(
    "words",
    [
        ("export", "dwnet", "-o", "net.onnx", "--sigma"),
        ("bench", "speed", "--seconds"),
        ("selfdeblur", "in.png", "-o", "out.png", "--minutes"),
        ("train", "dwnet", "--data", ".", "--minutes"),
    ],
)
def test_what_is_no_number_is_refused_as_one(vidnoise, words):
    answer = vidnoise(*words, "nan")
    assert (answer.status, answer.out) == (2, "")
    assert f"'{words[-1]}': 'nan' is no number" in answer.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "tiny", "--data", ".", "--minutes", "1m"), "'--minutes': '1m' is not a valid number."),
        (("in.mp4", "-o", "out.mp4", "--threads", "two"), "'--threads': 'two' is not a valid integer."),
        (
            ("selfdeblur", "in.png", "-o", "out.png", "--size", "9.5"),
            "'--size': '9.5' is not a valid integer.",
        ),
    ],
)
def test_what_is_no_number_is_told_plainly(vidnoise, words, told):
    assert told in vidnoise(*words).failed(2)


@pytest.mark.parametrize("command", ["train", "export", "selfdeblur", "bench quality", "bench speed"])
def test_help_says_number_or_integer_for_what_takes_one(vidnoise, command):
    shown = vidnoise(*command.split(), "--help").out
    assert "RANGE" not in shown
    assert "NUMBER" in shown or "INTEGER" in shown


def test_without_words_it_shows_the_help_as_an_error(vidnoise):
    assert "Usage: vidnoise INPUT -o OUTPUT" in vidnoise().failed(2)


def test_the_version_is_that_of_the_package(vidnoise):
    import vidnoise as package

    assert vidnoise("--version").out.strip() == f"vidnoise {package.__version__}"


# The first word decides


def test_a_file_named_like_a_command_needs_the_word_run(vidnoise, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("probe").write_bytes(clip.read_bytes())
    answer = vidnoise("run", "probe", "-f", "none", "-o", "out.mp4", *FAST)
    assert (answer.status, Path("out.mp4").exists()) == (0, True)
    assert "Missing argument 'INPUT'" in vidnoise("probe").err


def test_a_misspelt_command_is_told_from_a_file_that_is_missing(vidnoise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'probe'" in vidnoise("prob", "x.mp4").failed(2)
    said = vidnoise("missing.mp4", "-o", "out.mp4", "-f", "none").failed(1)
    assert "missing.mp4 cannot be opened: No such file" in said


def test_a_file_with_a_name_near_a_command_is_that_file(vidnoise, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("probes").write_bytes(clip.read_bytes())
    assert vidnoise("probes", "-o", "out.mp4", "-f", "none", *FAST).status == 0


def test_options_may_stand_before_the_input(vidnoise, clip, tmp_path):
    answer = vidnoise("--debug", "-q", "-f", "none", *FAST, "-o", tmp_path / "out.mp4", clip)
    assert (answer.status, answer.err) == (0, "")


# The main job


def test_a_file_is_cleaned_and_nothing_is_said_where_nobody_watches(vidnoise, clip, tmp_path):
    out = tmp_path / "out.mp4"
    answer = vidnoise(clip, "-o", out, "-f", "none", *FAST)
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    assert [number_of(frame) for frame in decoded(out)] == list(range(8))


def test_json_gives_one_line_with_everything_that_was_done(vidnoise, clip, tmp_path):
    record = vidnoise(clip, "-o", tmp_path / "out.mp4", "-f", "none", "--json", *FAST).record
    assert record["status"] == 0
    assert record["frames"] == 8
    assert record["input"] == str(clip)
    assert record["encoder"].startswith("libx264")
    assert record["losses"] == {}
    assert record["fps"] > 0


def test_a_failure_too_gives_its_line_of_json(vidnoise, tmp_path):
    answer = vidnoise(tmp_path / "none.mp4", "-o", tmp_path / "out.mp4", "--json", "-f", "none")
    assert answer.status == answer.record["status"] == 1
    assert "No such file" in answer.record["error"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("probe", "none.mp4"), 1, "No such file"),
        (("compare", "none.mp4", "none.mp4"), 1, "No such file"),
        (("compare", "none.mp4", "none.mp4", "--duration", "0"), 2, "--duration more than 0"),
        (("in.mp4", "-o", "out.mp4", "--start", "soon"), 2, "is no time"),
        (("in.mp4",), 2, "say where to write"),
    ],
)
def test_every_failure_of_every_command_gives_its_line_of_json(vidnoise, words, status, said):
    answer = vidnoise(*words, "--json")
    assert answer.status == answer.record["status"] == status
    assert said in answer.record["error"]


@pytest.mark.parametrize("output", [("-o", "-"), ("-o-",), ("--output", "-"), ("--output=-",)])
def test_the_line_of_a_wrong_option_does_not_go_where_the_video_would(vidnoise, output):
    answer = vidnoise("in.mp4", *output, "--start", "soon", "--json")
    assert answer.out == ""
    assert json.loads(answer.err.splitlines()[0])["status"] == 2


def test_verbose_says_what_was_chosen_and_why(vidnoise, clip, tmp_path):
    words = ("-f", "none", "-v", "--device", "cpu", "--precision", "bf16", *FAST)
    answer = vidnoise(clip, "-o", tmp_path / "out.mp4", *words)
    assert "device: cpu: asked for; bf16: asked for" in answer.err
    assert "encoder: libx264" in answer.err
    assert "8 frames in" in answer.err


def test_tiles_are_as_large_as_asked_for(vidnoise, clip, tmp_path):
    said = vidnoise(clip, "-o", tmp_path / "out.mp4", "-f", "median", "--tile", 8).failed(2)
    assert "tiles of 8 pixels are too small for median; use --tile 16" in said


def test_a_part_may_be_taken_by_the_clock(vidnoise, tmp_path):
    source = Clip(frames=30, rate=10).save(tmp_path / "in.mp4")
    words = ("--start", "0:01.5", "--duration", "500ms", "-f", "none", "--json", *FAST)
    assert vidnoise(source, "-o", tmp_path / "out.mp4", *words).record["frames"] == 5
    assert [number_of(frame) for frame in decoded(tmp_path / "out.mp4")] == [15, 16, 17, 18, 19]


def test_a_damaged_file_is_saved_with_status_3_and_the_loss_is_said(vidnoise, tmp_path):
    source = Clip(frames=40, options={"g": "5", "crf": "20"}).save(tmp_path / "in.mp4")
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    source.write_bytes(data)
    answer = vidnoise(source, "-o", tmp_path / "out.mp4", "-f", "none", "--json", *FAST)
    assert answer.status == answer.record["status"] == 3
    assert sum(answer.record["losses"].values()) > 0
    assert "warning: the input is damaged" in answer.err
    assert len(decoded(tmp_path / "out.mp4")) > 20
    answer = vidnoise(source, "-o", tmp_path / "quiet.mp4", "-f", "none", "-q", *FAST)
    assert (answer.status, answer.err) == (3, "")


def test_a_warning_is_given_once(vidnoise, tmp_path):
    source = Clip(frames=4, attachments=[("a.ttf", "font/ttf", b"letters")]).save(tmp_path / "in.mkv")
    answer = vidnoise(source, "-o", tmp_path / "out.mp4", "-f", "none", *FAST)
    assert (answer.status, answer.err.count("warning: ")) == (0, 1)


def test_an_existing_file_is_replaced_only_on_demand(vidnoise, clip, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_text("precious")
    assert "--overwrite" in vidnoise(clip, "-o", out, "-f", "none", *FAST).failed(2)
    assert out.read_text() == "precious"
    assert vidnoise(clip, "-o", out, "-f", "none", "--overwrite", *FAST).status == 0
    assert len(decoded(out)) == 8


def test_the_output_is_asked_for_by_name(vidnoise, clip):
    assert "say where to write: -o clip-clean.mp4" in vidnoise(clip).failed(2)


def test_names_with_spaces_are_told_as_a_shell_takes_them(vidnoise, clip, tmp_path):
    (tmp_path / "my clip.mp4").write_bytes(clip.read_bytes())
    assert "-o 'my clip-clean.mp4'\n" in vidnoise(tmp_path / "my clip.mp4").err
    for name, typed in (("a b.gif", "-o '{}/a b.mp4',"), ("a b.png", "type '{}/a b%05d.png' for all")):
        assert typed.format(tmp_path) in vidnoise(clip, "-o", tmp_path / name).err


def test_the_latency_of_a_chain_is_printed_and_may_be_bounded(vidnoise, clip, tmp_path, own_filters):
    answer = vidnoise(clip, "-f", "negative,negative", "--print-latency")
    assert answer.out == "negative,negative looks 4 frames ahead (0.16 s at 25 frames/s)\n"
    record = vidnoise(clip, "-f", "negative", "--print-latency", "--json").record
    assert (record["latency"], record["latency_seconds"]) == (2, 0.08)
    said = vidnoise(clip, "-f", "negative", "--max-latency", 1, "-o", tmp_path / "out.mp4").failed(2)
    assert "looks 2 frames ahead, and --max-latency allows 1" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--overwrit",), "--overwrite"),
        (("--encoder-opt", "tune"), "'tune' is not key=value"),
        (("--start", "soon"), "'soon' is no time; write seconds"),
        (("--duration", "0"), "--duration more than 0"),
        (("--start", "0s", "--duration", "0ms"), "--duration more than 0"),
        (("--rate", "0"), "'0' is no frame rate"),
        (("--precision", "fp8"), "'fp8' is not one of"),
        (("-f", "brokn"), "did you mean 'broken'"),
        (("-f", "broken:hou=bug"), "did you mean 'how'"),
        (("-f", "broken:how=nothing"), "is not one of bug, memory, opencv"),
        (("-f", "broken:after=10"), "it takes 0..9 frames"),
        (("-f", "broken:after=many"), "is not a whole number"),
        (("-f", "broken:how='bug"), "is not closed"),
        (("--codec", "dnxhd"), "this container cannot hold dnxhd; .mov can"),
        (("--pix-fmt", "yuv410p"), "no encoder for this container takes the pixel format 'yuv410p'"),
    ],
)
def test_a_wrong_request_is_status_2_and_says_what_to_type(
    vidnoise, clip, tmp_path, own_filters, words, said
):
    answer = vidnoise(clip, "-o", tmp_path / "out.mp4", *words)
    assert answer.status == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not list(tmp_path.iterdir())


# Failures


def fail(*_, **__):
    raise KeyError("strange")


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ("none", "this is a bug in vidnoise: KeyError: 'strange'"),
        ("broken", "the filter 'broken' (of test_cli, at 0.000 s) failed: KeyError: 'strange'"),
    ],
)
def test_a_bug_gives_no_traceback_unless_asked_and_leaves_no_file(
    vidnoise, clip, tmp_path, own_filters, monkeypatch, filter, said
):
    if filter == "none":
        monkeypatch.setattr("vidnoise.pipeline.run", fail)
    words = (clip, "-o", tmp_path / "out.mp4", "-f", filter)
    answer = vidnoise(*words)
    assert answer.status == 1
    assert said in answer.err
    assert "--debug" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert "Traceback" in vidnoise(*words, "--debug").err
    assert not list(tmp_path.iterdir())


def caused(failure, cause):
    failure.__cause__ = cause
    return failure


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            ModuleNotFoundError("No module named 'safetensors'", name="safetensors"),
            "the Python package 'safetensors' is missing",
        ),
        (IsADirectoryError(21, "Is a directory", "result"), "result: Is a directory"),
        (caused(FilterError("the plugin ended"), SystemExit(3)), "the plugin ended"),
    ],
)
def test_what_the_system_lacks_or_refuses_is_no_bug(vidnoise, clip, tmp_path, monkeypatch, failure, words):
    def fails(*_, **__):
        raise failure

    monkeypatch.setattr("vidnoise.pipeline.run", fails)
    answer = vidnoise(clip, "-o", tmp_path / "out.mp4", "-f", "none")
    assert (answer.status, words in answer.err, "bug" in answer.err) == (1, True, False)


def test_threads_are_limited(vidnoise, clip, tmp_path):
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    try:
        assert vidnoise(clip, "-o", tmp_path / "out.mp4", "-f", "none", "--threads", 1).status == 0
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
        assert vidnoise(clip, "-o", tmp_path / "more.mp4", "-f", "none", "--threads", 1024).status == 0
        assert torch.get_num_threads() <= (os.cpu_count() or 1)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_too_little_memory_names_tiles(vidnoise, clip, tmp_path, own_filters):
    assert "--tile 512" in vidnoise(clip, "-o", tmp_path / "out.mp4", "-f", "broken:how=memory").failed(1)


def test_opencv_that_cannot_load_names_the_package_that_mends_it(vidnoise, clip, tmp_path, own_filters):
    said = vidnoise(clip, "-o", tmp_path / "out.mp4", "-f", "broken:how=opencv").failed(1)
    assert "apt-get install libgl1" in said
    assert "opencv-python-headless" in said


def test_a_password_in_a_url_is_never_printed(vidnoise, tmp_path):
    answer = vidnoise("rtsp://me:secret@127.0.0.1:9/x", "-o", tmp_path / "o.mp4", "-f", "none", "--json")
    assert answer.status == 1
    assert "secret" not in answer.out + answer.err


SLOW = """
import time
from dataclasses import dataclass
from vidnoise.filter import SpatialFilter
from vidnoise.registry import register

@register
@dataclass(frozen=True)
class Slow(SpatialFilter):
    def apply(self, x):
        time.sleep(0.3)
        return x + 0
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, number):
    source = Clip(frames=200).save(tmp_path / "in.mp4")
    out = tmp_path / "out"
    out.mkdir()
    command = process(source, "-o", out / "out.mp4", "-f", "slow", code=SLOW)
    wait_for(lambda: list(out.iterdir()))
    time.sleep(0.5)
    command.send_signal(number)
    answer = finished(command)
    assert answer.status == 130
    assert answer.err.strip() == "vidnoise: interrupted; nothing was saved"
    assert not list(out.iterdir())


def test_a_reader_that_leaves_early_is_no_error(clip):
    reading, writing = os.pipe()
    os.close(reading)
    answer = finished(process("filters", stdout=writing))
    assert (answer.status, answer.err) == (141, "")
    answer = finished(process(clip, "-o", "-", "-f", "none", "--json", stdout=writing))
    os.close(writing)
    assert (answer.status, json.loads(answer.err)["status"]) == (141, 141)


@pytest.mark.parametrize("words", [("--version",), ("probe", "clip.mp4", "--json")])
def test_words_that_nobody_reads_are_no_error_either(clip, words):
    reading, writing = os.pipe()
    os.close(reading)
    answer = finished(process(*words, stdout=writing, cwd=clip.parent))
    os.close(writing)
    assert (answer.status, answer.err) == (141, "")


def test_a_standard_output_that_was_closed_from_the_start_takes_what_is_printed(clip, tmp_path):
    words = ["-m", "vidnoise", str(clip), "-o", str(tmp_path / "out.mp4"), "-f", "none", "--json"]
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


# Progress


@pytest.fixture
def in_terminal(monkeypatch):
    """Runs the command with a terminal as standard error; gives what was written there."""

    def run(*words: object) -> str:
        mine, theirs = pty.openpty()
        with ThreadPoolExecutor() as other, open(theirs, "w") as terminal:
            said = other.submit(everything, mine)
            monkeypatch.setattr(sys, "stderr", terminal)
            monkeypatch.setenv("TERM", "xterm")
            with pytest.raises(SystemExit, match="0"):
                main([str(word) for word in words])
            monkeypatch.undo()
            terminal.close()
            return said.result(timeout=30)

    return run


def everything(terminal: int) -> str:
    """What is written to a terminal until its other end is closed."""
    parts = []
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed.
        while part := os.read(terminal, 4096):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


def test_in_a_terminal_progress_and_a_summary_are_shown(in_terminal, clip, tmp_path):
    said = in_terminal(clip, "-o", tmp_path / "out.mp4", "-f", "nlmeans:search=5", *FAST)
    assert "8/8" in said
    assert re.search(r"noise \d+\.\d", said)
    assert re.search(r"out\.mp4: 8 frames in .* frames/s", said)


def test_in_a_narrow_terminal_progress_shows_whole_figures(in_terminal, monkeypatch, clip, tmp_path):
    monkeypatch.setenv("COLUMNS", "39")
    said = in_terminal(clip, "-o", tmp_path / "out.mp4", "-f", "nlmeans:search=5", *FAST)
    assert re.search(r"8/8 .*\d:\d\d:\d\d", said)
    assert "…" not in said


def test_quiet_says_nothing_in_a_terminal_either(in_terminal, clip, tmp_path):
    assert in_terminal(clip, "-o", tmp_path / "out.mp4", "-f", "none", "-q", *FAST) == ""


# Before and after


@pytest.mark.parametrize("size", [(96, 64), (95, 63)])
def test_side_by_side_shows_the_same_moment_twice(vidnoise, tmp_path, own_filters, size):
    source = Clip(frames=6, size=size, pix_fmt="yuv444p").save(tmp_path / "in.mkv")
    out = tmp_path / "out.mkv"
    assert vidnoise(source, "-o", out, "-f", "negative", "--compare", "side", "--crf", 4).status == 0
    width = size[0]
    for number, (frame, original) in enumerate(zip(decoded(out), decoded(source), strict=True)):
        shown, before = frame.to_ndarray(format="gray"), original.to_ndarray(format="gray")
        assert shown.shape == (size[1], 2 * width)
        assert number_of(shown[:, :width]) == number
        assert np.abs(shown[:, :width].astype(int) - before).mean() < 2
        assert np.abs(shown[:, width:].astype(int) - (255 - before)).mean() < 3


def test_split_shows_the_left_half_before_and_the_right_half_after(vidnoise, clip, tmp_path, own_filters):
    out = tmp_path / "out.mp4"
    assert vidnoise(clip, "-o", out, "-f", "negative", "--compare", "split", "--crf", 4).status == 0
    for frame, original in zip(decoded(out), decoded(clip), strict=True):
        shown, before = (f.to_ndarray(format="gray").astype(int) for f in (frame, original))
        assert np.abs(shown[:, :44] - before[:, :44]).mean() < 3
        assert np.abs(shown[:, 52:] - (255 - before[:, 52:])).mean() < 6
        assert shown[:, 47:49].mean() > 200


def test_what_is_shown_before_and_after_is_cleaned_as_without(vidnoise, tmp_path):
    noise = np.random.default_rng(1).normal(0, 25, (64, 96, 3))
    noisy = Clip(
        **LOSSLESS,
        frames=4,
        draw=lambda i: (picture(i) + noise[:, :: (-1) ** i]).clip(0, 255).astype(np.uint8),
    )
    source, alone, split = noisy.save(tmp_path / "in.mkv"), tmp_path / "alone.mkv", tmp_path / "split.mkv"
    assert vidnoise(source, "-o", alone, "-f", "fuse", "--codec", "ffv1").status == 0
    assert vidnoise(source, "-o", split, "-f", "fuse", "--codec", "ffv1", "--compare", "split").status == 0
    for frame, other in zip(decoded(split), decoded(alone), strict=True):
        cleaned, alike = (shown.to_ndarray(format="rgb24")[:, 52:] for shown in (frame, other))
        assert np.array_equal(cleaned, alike)


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("layout", ["split", "side"])
def test_what_is_turned_when_it_is_shown_has_before_at_its_left(
    vidnoise, tmp_path, own_filters, layout, degrees
):
    turned = Clip(frames=3, prepare=lambda stream: stream.set_display_rotation(degrees))
    source, out = turned.save(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    assert vidnoise(source, "-o", out, "-f", "negative", "--compare", layout, "--crf", 4).status == 0
    for frame, original in zip(decoded(out), decoded(source), strict=True):
        shown, before = (
            np.rot90(picture.to_ndarray(format="gray").astype(int), original.rotation // 90)
            for picture in (frame, original)
        )
        half = before.shape[1] // 2 - 4
        assert shown.shape[1] == (2 if layout == "side" else 1) * before.shape[1]
        assert np.abs(shown[:, :half] - before[:, :half]).mean() < 3
        assert np.abs(shown[:, -half:] - (255 - before[:, -half:])).mean() < 6


# Filters


def test_every_filter_is_listed_with_its_options_and_defaults(vidnoise, own_filters):
    answer = vidnoise("filters")
    assert answer.status == 0
    text = " ".join(answer.out.split())
    for name in registry.filters():
        assert f" {name} " in text
    assert "Fails in a way of your choice." in text
    assert "how=bug, after=0, count=auto, place=here" in text


def test_one_filter_is_shown_whole(vidnoise, own_filters):
    text = " ".join(vidnoise("filters", "broken").out.split())
    assert "The second paragraph is only in the long text." in text
    assert "bug|memory|opencv" in text
    assert "0..9 frames later" in text
    assert "auto whole number or auto - how often" in text
    assert "here text - where" in text
    assert "-f broken:how=bug,after=0" in text


def test_a_filter_without_options_is_shown_too(vidnoise, own_filters):
    assert vidnoise("filters", "negative").out.endswith("two frames late.\n\nIt has no options.\n")


def test_a_filter_without_a_docstring_says_nothing_of_itself(vidnoise, own_filters):
    text = " ".join(vidnoise("filters", "untold").out.split())
    assert text.startswith("untold It says nothing of itself. option default")
    assert "side left one of left, right - from where" in text


def test_a_misspelt_filter_is_guessed(vidnoise, own_filters):
    answer = vidnoise("filters", "negativ")
    assert (answer.status, answer.out) == (2, "")
    assert "did you mean 'negative'" in answer.err


# Devices


def test_devices_say_what_would_be_used_and_why(vidnoise):
    record = vidnoise("devices", "--json", "--device", "cpu", "--precision", "fp32").record
    assert (record["device"], record["precision"]) == ("cpu", "float32")
    assert record["why"] == "cpu: asked for; fp32: asked for"
    assert record["versions"]["PyTorch"] == torch.__version__
    assert set(record["hardware_encoders"]).isdisjoint(record["failed_encoders"])
    text = vidnoise("devices").out
    for word in ("would be used", "CPU features", "FFmpeg", "OpenCV", "hardware encoders"):
        assert word in text


def test_a_device_that_is_not_there_is_said_to_be_missing(vidnoise):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "use --device cpu or auto" in vidnoise("devices", "--device", "cuda").failed(1)


def test_a_device_that_cannot_be_used_is_told_of(vidnoise, monkeypatch):
    def busy(*_: object) -> int:
        raise RuntimeError("CUDA-capable devices are busy")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", busy)
    monkeypatch.setattr(torch.cuda, "get_device_properties", busy)
    answer = vidnoise("devices", "--json")
    assert answer.status == 0
    assert "cannot be used here (CUDA-capable devices are busy)" in json.loads(answer.out)["why"]


# Probe


def noisy(number: int, sigma: float) -> np.ndarray:
    """A gradient that moves, under white noise."""
    rng = np.random.default_rng(number)
    image = picture(number, 160, 96).astype(np.float64)
    return np.clip(np.rint(image + sigma * rng.standard_normal(image.shape)), 0, 255).astype(np.uint8)


def test_probe_measures_the_blur_of_a_single_picture(vidnoise, tmp_path):
    from skimage import data

    picture = tmp_path / "blurred.png"
    cv2.imwrite(str(picture), cv2.blur(data.astronaut(), (15, 1)))
    assert 10 < vidnoise("probe", picture, "--json").record["blur"] < 20


def test_probe_measures_the_noise_and_names_the_streams(vidnoise, tmp_path):
    source = Clip(
        frames=12,
        size=(160, 96),
        **LOSSLESS,
        audio="aac",
        draw=lambda number: noisy(number, 12),
    ).save(tmp_path / "in.mkv")
    record = vidnoise("probe", source, "--json").record
    assert (record["codec"], record["width"], record["height"], record["depth"]) == ("h264", 160, 96, 8)
    assert record["rate"] == 25
    assert not record["variable_rate"]
    assert record["scan"] == "progressive"
    assert [other["type"] for other in record["others"]] == ["audio"]
    assert record["others"][0]["codec"] == "aac"
    assert (record["sampled_frames"], record["whole"]) == (12, True)
    assert record["noise"] == pytest.approx([12, 12, 12], rel=0.15)
    assert len(record["curve"]) == len(record["brightness"])
    text = vidnoise("probe", source).out
    for words in ("12 frames, which is all", "160x96", "audio aac", "noise over brightness", "correlation"):
        assert words in text


def test_probe_tells_the_size_of_a_small_picture_and_one_frame_as_one(vidnoise, tmp_path):
    source = tmp_path / "in.png"
    cv2.imwrite(str(source), noisy(0, 12)[:32, :48])
    kilobytes = source.stat().st_size / 1e3
    text = vidnoise("probe", source).out
    for words in (f", {kilobytes:.1f} kB", "said, 1 frame ", "1 frame, which is all"):
        assert words in text


def test_probe_says_in_words_what_damage_has_cost(vidnoise, tmp_path):
    source = Clip(frames=5, codec="rawvideo", options={}).save(tmp_path / "in.y4m")
    source.write_bytes(source.read_bytes()[:-1])
    assert "the input ends too early" in vidnoise("probe", source).out


def test_probe_draws_no_bars_for_noise_that_is_none(vidnoise, tmp_path):
    flat = np.full((64, 96, 3), 128, np.uint8)
    source = Clip(frames=3, **LOSSLESS, draw=lambda number: flat).save(tmp_path / "flat.mkv")
    assert "▇" not in vidnoise("probe", source).out
    source = Clip(frames=3, **LOSSLESS, draw=lambda number: noisy(number, 12)).save(tmp_path / "noisy.mkv")
    assert "▇" * 30 in vidnoise("probe", source).out


def test_probe_says_colour_by_name_and_that_the_rate_varies(vidnoise, tmp_path):
    def tag(stream) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 1

    times = [Fraction(i * i, 200) for i in range(10)]
    source = Clip(frames=10, times=times, pix_fmt="yuv420p10le", prepare=tag).save(tmp_path / "in.mkv")
    record = vidnoise("probe", source, "--json").record
    assert record["matrix"] == "bt2020nc"
    assert record["primaries"] == "bt2020"
    assert record["transfer"] == "smpte2084 (PQ)"
    assert record["range"] == "limited (tv)"
    assert record["depth"] == 10
    assert record["variable_rate"]
    assert record["frames"] == 10  # which the rate in the header would not give
    assert "it varies" in vidnoise("probe", source).out
    even = Clip(frames=10, rate=120).save(tmp_path / "even.mkv")  # in milliseconds: 8, 9, 8, ...
    assert not vidnoise("probe", even, "--json").record["variable_rate"]


def test_probe_tells_the_rotation_counter_clockwise(vidnoise, tmp_path):
    source = Clip(2, prepare=lambda stream: stream.set_display_rotation(90)).save(tmp_path / "in.mp4")
    assert vidnoise("probe", source, "--json").record["rotation"] == decoded(source)[0].rotation == 90


def test_probe_says_how_fields_follow_and_what_raw_video_does_not_say(vidnoise, tmp_path):
    interlaced = flagged_file(tmp_path / "in.h264", [woven(time, "top") for time in range(20)])
    text = vidnoise("probe", interlaced).out
    assert re.search("scan +interlaced, top field first: needs --deinterlace", text)
    assert re.search("duration +not said, 20 frames", text)


def test_probe_says_what_a_picture_was_mastered_for(vidnoise, tmp_path):
    source = Clip(codec="libx265", pix_fmt="yuv420p10le", options=HDR, frames=3).save(tmp_path / "in.mkv")
    mastered, light = vidnoise("probe", source, "--json").record["hdr"]
    assert mastered == "mastered for 0.005 to 1000 cd/m²"
    assert light == "brightest pixel 1000 cd/m², brightest frame 400 cd/m² on average"


def test_probe_of_numbered_pictures_counts_gaps_as_time(vidnoise, tmp_path):
    for number in (3, 4, 5, 9):
        (tmp_path / f"{number:03d}.png").write_bytes(image_bytes("png", picture(number), "rgb24"))
    record = vidnoise("probe", tmp_path / "%03d.png", "--json").record
    assert record["frames"] == 4
    assert record["duration"] == pytest.approx(7 / 25)


def test_probe_tells_scenes_in_times_as_start_counts_them(vidnoise, tmp_path, monkeypatch):
    monkeypatch.setattr("vidnoise.probe.WHOLE", 20)
    monkeypatch.setattr("vidnoise.probe.RUN", 2)
    source = Clip(frames=80, start=5000, options={"g": "10", "preset": "ultrafast"}).save(tmp_path / "in.ts")
    scenes = vidnoise("probe", source, "--json").record["scenes"]
    assert scenes[0]["start"] == pytest.approx(0, abs=0.001)
    assert scenes[-1]["end"] == pytest.approx(80 / 25 * 7 / 8 + 1 / 25, abs=0.1)


def test_probe_looks_at_a_few_places_of_a_long_video(vidnoise, tmp_path, monkeypatch):
    monkeypatch.setattr("vidnoise.probe.RUN", 4)
    source = Clip(frames=400, options={"g": "25", "preset": "ultrafast"}).save(tmp_path / "in.mp4")
    record = vidnoise("probe", source, "--json").record
    assert record["frames"] == 400
    assert not record["whole"]
    assert record["sampled_places"] == 8
    assert record["sampled_frames"] == 8 * 4
    assert record["scenes"][-1]["end"] == pytest.approx(400 / 25 * 7 / 8 + 3 / 25, abs=0.1)
    starts = [scene["start"] for scene in record["scenes"]]
    assert starts == sorted(starts)


def test_probe_looks_at_one_place_of_a_long_video_that_takes_too_long(vidnoise, tmp_path, monkeypatch):
    monkeypatch.setattr("vidnoise.probe.WHOLE", 20)
    monkeypatch.setattr("vidnoise.probe.SECONDS", 0)
    source = Clip(frames=80, options={"g": "10", "preset": "ultrafast"}).save(tmp_path / "in.mp4")
    record = vidnoise("probe", source, "--json").record
    assert (record["sampled_places"], record["sampled_frames"]) == (1, 2)


def test_probe_weighs_the_noise_of_scenes_by_their_frames(vidnoise, tmp_path):
    def draw(number):
        from skimage import data

        noise = np.random.default_rng(number).normal(0, 25 if number < 3 else 8, (128, 192, 3))
        still = (data.astronaut() if number < 3 else data.coffee())[100:228, 100:292]
        return (still + noise).clip(0, 255).astype(np.uint8)

    source = Clip(12, (192, 128), codec="ffv1", pix_fmt="yuv444p", options={}, draw=draw).save(
        tmp_path / "in.mkv"
    )
    record = vidnoise("probe", source, "--json").record
    loud, quiet = record["scenes"]
    assert (loud["frames"], quiet["frames"]) == (3, 9)
    assert loud["sigma"][1] > 2 * quiet["sigma"][1] > 6
    mean = (3 * loud["sigma"][1] + 9 * quiet["sigma"][1]) / 12
    assert record["noise"][1] == pytest.approx(mean, abs=0.002)


def test_probe_leaves_out_the_places_that_a_damaged_video_has_not(vidnoise, tmp_path, monkeypatch):
    monkeypatch.setattr("vidnoise.probe.RUN", 2)
    monkeypatch.setattr("vidnoise.probe.WHOLE", 20)
    clip = Clip(frames=80, options={"g": "10"}, container_options={"movflags": "+faststart"})
    source = clip.save(tmp_path / "in.mp4")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    answer = vidnoise("probe", source, "--json")
    assert (answer.status, answer.record["frames"]) == (0, 80)
    assert 1 < answer.record["sampled_places"] < 8


def test_probe_of_what_is_no_video_says_so(vidnoise, tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n" * 50)
    answer = vidnoise("probe", tmp_path / "notes.txt")
    assert answer.status == 1
    assert "notes.txt" in answer.err
    assert "Traceback" not in answer.err


# Compare


def test_compare_finds_the_same_video_alike_and_the_worst_frame_of_another(vidnoise, tmp_path):
    def spoilt(number: int) -> np.ndarray:
        image = picture(number)
        if number == 3:
            image[40:56, 60:80] //= 2
        return image

    a = Clip(**LOSSLESS, frames=6).save(tmp_path / "a.mkv")
    b = Clip(**LOSSLESS, frames=6, draw=spoilt).save(tmp_path / "b.mkv")
    same = vidnoise("compare", a, a, "--json").record
    assert (same["psnr"], same["ssim"], same["frames"]) == (None, 1.0, 6)
    assert vidnoise("compare", a, a, "-q").out == "in all: PSNR inf dB, SSIM 1.0000, 6 frames\n"
    still = tmp_path / "still.png"
    assert "they do not differ" in vidnoise("compare", a, a, "-q", "--still", tmp_path / "same.png").out
    answer = vidnoise("compare", a, b, "--still", still)
    assert re.search(r"in all: PSNR \d\d\.\d\d dB, SSIM 0\.9\d+, 6 frames", answer.out)
    assert f"{still}: frame 3" in answer.out
    assert "┤" in answer.out
    (shown,) = decoded(still)
    assert (shown.width, shown.height) == (2 * 96, 64 + 64)
    assert np.array_equal(shown.to_ndarray(format="rgb24")[:20, :50], picture(3)[:20, :50])
    record = vidnoise("compare", a, b, "--json").record
    assert record["worst_frame"] == 3
    assert [value is None for value in record["psnr_per_frame"]] == [i != 3 for i in range(6)]
    assert "--overwrite" in vidnoise("compare", a, b, "--still", still).failed(2)


def test_a_file_whose_name_is_taken_for_an_option_is_answered_with_what_to_type(
    vidnoise, clip, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-in.mp4").write_bytes(clip.read_bytes())
    assert "For the file type ./-in.mp4" in vidnoise("-in.mp4", "-o", "out.mp4", "-f", "none").failed(2)
    assert vidnoise("./-in.mp4", "-o", "./-out.mp4", "-f", "none").status == 0
    answer = vidnoise(f"--{'a' * 300}", "-o", "out.mp4")
    assert (answer.status, "Traceback" in answer.err) == (2, False)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:surrogateescape"])
def test_what_the_standard_output_cannot_encode_is_replaced(clip, encoding):
    narrow = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    answer = finished(process("probe", clip, env=narrow))
    assert (answer.status, "96x64" in answer.out, answer.err) == (0, True, "")


def test_writing_av1_prints_nothing_of_the_encoder(clip, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "SVT_LOG"}
    words = (clip, "-o", tmp_path / "out.mp4", "-f", "none", "--codec", "av1", "--preset", "12")
    answer = finished(process(*words, env=environment))
    assert (answer.status, "Svt[" in answer.err) == (0, False)


def test_inputs_that_a_shell_made_of_a_pattern_are_answered_with_what_to_type(vidnoise, tmp_path):
    several = vidnoise("a.png", "b.png", "-o", tmp_path / "o.mp4")
    assert (several.status, "frames/%05d.png" in several.err, "for f in *.png" in several.err) == (
        2,
        True,
        True,
    )
    quoted = vidnoise("frames/*.png", "-o", tmp_path / "o.mp4")
    assert (quoted.status, "frames/%05d.png" in quoted.err) == (1, True)
    assert "-o out.mp4" in vidnoise("in.mp4", "out.mp4").err


def test_the_file_that_is_the_standard_input_is_never_the_output(clip, tmp_path):
    source = tmp_path / "in.mp4"
    source.write_bytes(clip.read_bytes())
    with source.open("rb") as file:
        answer = finished(process("-", "-o", source, "--overwrite", "-f", "none", stdin=file))
    assert (answer.status, "is the input itself" in answer.err) == (2, True)
    assert source.read_bytes() == clip.read_bytes()


def test_compare_never_replaces_what_it_compares_and_checks_the_still_first(vidnoise, clip, tmp_path):
    picture = tmp_path / "in.png"
    picture.write_bytes(image_bytes("png", np.zeros((32, 32, 3), np.uint8), "rgb24"))
    before = picture.read_bytes()
    for still, said in (
        (picture, "is the input itself"),
        (tmp_path / "still.txt", "ends in .png or .jpg"),
        (tmp_path / "missing" / "still.png", "mkdir -p"),
    ):
        answer = vidnoise("compare", clip, picture, "--still", still, "--overwrite")
        assert answer.status in (1, 2)
        assert said in answer.err
    assert (picture.read_bytes(), list(tmp_path.iterdir())) == (before, [picture])


def test_compare_refuses_pictures_that_are_smaller_than_the_window_of_ssim(vidnoise, tmp_path):
    small = tmp_path / "small.png"
    small.write_bytes(image_bytes("png", np.zeros((8, 8, 3), np.uint8), "rgb24"))
    assert "is 8x8; SSIM needs 11x11 or more" in vidnoise("compare", small, small).failed(1)


def test_compare_refuses_other_sizes_and_counts_frames_without_a_partner(vidnoise, clip, tmp_path):
    small = Clip(frames=8, size=(80, 64)).save(tmp_path / "small.mp4")
    said = vidnoise("compare", clip, small).failed(1)
    assert "96x64" in said
    assert "80x64" in said
    short = Clip(frames=5).save(tmp_path / "short.mp4")
    answer = vidnoise("compare", clip, short, "-q")
    assert answer.status == 0
    assert "3 more frames are in one of the two only" in answer.err
    assert "damaged" not in answer.err
    assert answer.out.startswith("in all: ")


def test_compare_says_which_of_two_videos_is_damaged(vidnoise, tmp_path):
    whole, broken = Clip(frames=20).save(tmp_path / "whole.mkv"), tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    answer = vidnoise("compare", broken, whole, "-q")
    assert f"warning: {broken} is damaged: the input ends too early" in answer.err
    assert "whole.mkv is damaged" not in answer.err


def test_training_writes_weights_a_card_and_pictures_and_goes_on(vidnoise, tmp_path: Path) -> None:
    from skimage import data

    for name in ("coffee", "chelsea", "astronaut"):
        (tmp_path / "data").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "data" / f"{name}.png"), getattr(data, name)()[..., ::-1])
    recipe = tmp_path / "mine.toml"
    recipe.write_text('task = "spatial"\ntier = "fast"\nsteps = 4\nbatch = 4\nsize = 48\n')
    words = ("train", str(recipe), "--data", str(tmp_path / "data"), "--valid", str(tmp_path / "data"))
    words += (
        "-o",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        "--tensorboard",
        "--data-name",
        "three pictures",
    )
    answer = vidnoise(*words)
    assert answer.status == 0, answer.err
    card = json.loads((tmp_path / "out" / "spatial-fast.json").read_text())
    assert (card["steps"], card["data"]) == (4, "three pictures")
    assert list((tmp_path / "out").rglob("events.out.tfevents.*"))
    again = vidnoise(*words)
    assert again.status == 2
    assert "--resume" in again.err
    recipe.write_text(recipe.read_text().replace("steps = 4", "steps = 6"))
    assert "goes on from step 4" in vidnoise(*words, "--resume").out
    assert json.loads((tmp_path / "out" / "spatial-fast.json").read_text())["steps"] == 6
    answer = vidnoise(*words, "-o", tmp_path / "short", "--minutes", 0.0001)
    assert answer.status == 0, answer.err
    card = json.loads((tmp_path / "short" / "spatial-fast.json").read_text())
    assert (json.loads(card["recipe"])["minutes"], card["steps"] < 6) == (0.0001, True)


def test_interrupted_training_says_that_it_goes_on(tmp_path):
    from skimage import data

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "still.png").write_bytes(image_bytes("png", data.coffee(), "rgb24"))
    out = tmp_path / "out"
    command = process(
        "train", "tiny", "--data", tmp_path / "data", "-o", out, "--every", "1", "--device", "cpu"
    )
    wait_for(lambda: (out / "spatial-fast.json").exists())
    command.send_signal(signal.SIGINT)
    answer = finished(command)
    assert answer.status == 130
    assert (
        answer.err.splitlines()[-1]
        == f"vidnoise: interrupted; {out} holds what was learned; --resume goes on from there"
    )


def test_training_by_an_unknown_recipe_names_those_there_are(vidnoise, tmp_path: Path) -> None:
    assert "spatial-fast" in vidnoise("train", "spatial-fst", "--data", str(tmp_path)).failed(2)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone keeps a heap for each thread")
def test_all_threads_of_the_command_share_one_heap_unless_told_otherwise() -> None:
    script = """
import contextlib, ctypes, threading
from vidnoise.cli import main
with contextlib.suppress(SystemExit):
    main(["--version"])
gate = threading.Barrier(4)
threads = [threading.Thread(target=lambda: (bytearray(50_000), gate.wait())) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""

    def heaps(**environment: str) -> int:
        told = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=told | environment, capture_output=True, text=True, check=True)
        return done.stderr.count("Arena")

    assert heaps() == 1
    assert heaps(MALLOC_ARENA_MAX="3") > 1
