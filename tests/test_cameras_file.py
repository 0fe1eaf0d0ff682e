from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vidnoise.cli import main
from vidnoise.errors import UsageError
from vidnoise.live.cameras_file import load
from vidnoise.live.metrics import Server
from vidnoise.live.settings import Settings, is_camera

EXAMPLE = Path(__file__).parent.parent / "examples/cameras.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "cameras.toml"
    path.write_text(text)
    return path


def test_the_example_is_read_and_each_camera_has_the_defaults():
    cameras = load(EXAMPLE)
    assert set(cameras) == {"door", "yard"}
    assert all(c.max_delay == 0.5 and c.wait and c.segment == "10m" for c in cameras.values())
    assert str(cameras["yard"].filters) == "denoise"
    assert cameras["yard"].transport == "udp"
    assert cameras["yard"].ignore == ((0, 0, 400, 40),)


def test_what_a_camera_says_itself_goes_before_the_defaults(tmp_path):
    text = '[defaults]\nfilters = "none"\ntimeout = 3\n[cameras.a]\nsource = "rtsp://a/1"\noutputs = "a.ts"\ntimeout = "2s"'
    camera = load(written(tmp_path, text))["a"]
    assert (camera.timeout, str(camera.filters), camera.outputs) == (2.0, "none", ("a.ts",))


def test_a_file_of_an_editor_that_marks_its_encoding_is_read(tmp_path):
    path = written(tmp_path, '[cameras."Tür"]\nsource = "rtsp://a/1"\noutputs = "a.ts"')
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert list(load(path)) == ["Tür"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cameras", "no TOML"),
        ("", "one \\[cameras.NAME\\]"),
        ("[camera.a]", "not 'camera'"),
        ('[cameras.a]\nsource = "rtsp://a"', "outputs is missing"),
        ('[cameras.a]\nsource = "rtsp://a"\noutputs = []', "say where to write"),
        ('[cameras.a]\nsource = "rtsp://a"\noutputs = ["a.ts"]\nfilter = "x"', "did you mean 'filters'"),
        ('[cameras.a]\nsource = "rtsp://a"\noutputs = ["a.ts"]\nfilters = "nosuch"', "nosuch"),
        ('[cameras.a]\nsource = "rtsp://a"\noutputs = ["a.ts"]\nmax_delay = "soon"', "500ms"),
        ('[cameras.a]\nsource = "rtsp://a"\noutputs = ["a.ts"]\nignore = [[1, 2]]', "cameras.a"),
        ('[cameras.a]\nsource = "rtsp://a"\noutputs = ["a\\u0000.ts"]', "null"),
        ("[cameras]\na = 5", "one \\[cameras.NAME\\]"),
        ('defaults = 5\n[cameras.a]\nsource = "rtsp://a"', "one \\[cameras.NAME\\]"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, words, tmp_path):
    with pytest.raises(UsageError, match=words) as told:
        load(written(tmp_path, text))
    assert "cameras.toml" in str(told.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("source = 5", "source takes text, not 5"),
        ('source = ""', "say which camera"),
        ('source = "ftp://a"', "ftp:// is not an allowed protocol"),
        ("outputs = 5", "outputs takes text, or a list of texts, not 5"),
        ("outputs = [5]", "outputs takes text, or a list of texts, not \\[5\\]"),
        ('outputs = ["a.gif"]', "a camera is recorded as"),
        ("filters = 3", "filters takes filters, .* not 3"),
        ('crf = "x"', "crf takes a number, not 'x'"),
        ("crf = true", "crf takes a number, not True"),
        ('retries = "x"', "retries takes a whole number, not 'x'"),
        ("retries = -1", "retries is 0 or more, not -1"),
        ("threads = 100000", "threads is at most 1024, not 100000"),
        ("crf = 99", "--crf 99 is out of range; .* and 21 where none is given"),
        ('codec = "nonsense"', "there is no encoder 'nonsense'"),
        ('codec = "aac"', "there is no encoder 'aac'"),
        ('encoder_opts = { tuna = "film" }', "has no option 'tuna'"),
        ('wait = "yes"', "wait takes true or false, not 'yes'"),
        ("timeout = [5]", "timeout takes a span of time, .* not \\[5\\]"),
        ('timeout = "soon"', "timeout: 'soon' is no span of time"),
        ("segment = 600", "segment takes text, not 600"),
        ("roi = 5", "roi takes x, y, width and height, .* not 5"),
        ("roi = [1, 2]", "roi: \\[1, 2\\] is no rectangle"),
        ("roi = [0, -8, 16, 16]", "roi: \\[0, -8, 16, 16\\] is no rectangle in a picture"),
        ("ignore = [[0, 0, 16, 0]]", "ignore: \\[0, 0, 16, 0\\] is no rectangle in a picture"),
        ('outputs = ""', "the name of the output is empty"),
        ('outputs = "rtsp://a"', "the output rtsp://a is the camera itself"),
        ("encoder_opts = { g = [5] }", "encoder_opts takes a table of texts"),
        ('precision = "fp99"', "precision is auto or fp32 or .* not 'fp99'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_its_key_and_what_it_takes(line, words, tmp_path):
    others = {"source": 'source = "rtsp://a"', "outputs": 'outputs = "a.ts"'}
    lines = {**others, line.split(" ")[0]: line}
    with pytest.raises(UsageError, match=rf"\[cameras.a\]: .*{words}"):
        load(written(tmp_path, "\n".join(["[cameras.a]", *lines.values()])))


def test_values_are_read_as_the_settings_hold_them(tmp_path):
    text = (
        '[cameras.a]\nsource = "rtsp://a"\noutputs = ["a.ts"]\nduration = "2m"\nmax_delay = 0.5\ncrf = 20\n'
        'roi = "0,0,8,8"\nretries = 3\nencoder_opts = { g = 5, tune = "film" }\nignore = [[1, 2, 3, 4]]'
    )
    camera = load(written(tmp_path, text))["a"]
    assert (camera.duration, camera.max_delay, camera.crf, camera.retries) == (120, 0.5, 20, 3)
    assert (camera.roi, camera.ignore) == ((0, 0, 8, 8), ((1, 2, 3, 4),))
    assert camera.encoder_opts == {"g": "5", "tune": "film"}


def test_two_cameras_that_would_write_to_one_file_are_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cameras = (("a", tmp_path / "real/x.ts"), ("b", tmp_path / "link/x.ts"))
    text = "\n".join(f'[cameras.{name}]\nsource = "rtsp://a"\noutputs = "{path}"' for name, path in cameras)
    with pytest.raises(UsageError, match=r"\[cameras.b\]: the output .*x.ts is that of \[cameras.a\] too"):
        load(written(tmp_path, text))


def test_two_cameras_that_would_read_one_pipe_are_refused(tmp_path):
    text = "\n".join(f'[cameras.{name}]\nsource = "-"\noutputs = "{name}.ts"' for name in "ab")
    with pytest.raises(UsageError, match=r"\[cameras.b\]: the pipe \(-\) is the source of \[cameras.a\]"):
        load(written(tmp_path, text))


def test_live_protocols_and_devices_are_cameras_and_files_are_not(tmp_path):
    assert all(map(is_camera, ("rtsp://a/1", "rtmp://a/b", "udp://127.0.0.1:5", "/dev/video0")))
    assert not any(map(is_camera, ("a.mp4", "http://a/b.mp4", "-", str(tmp_path / "frames/%05d.png"))))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"segment": "10m"}, "%Y"),
        ({"keep": "7d"}, "--segment"),
        ({"transport": "smoke"}, "tcp or udp"),
        ({"encoder_opts": {"tune": "nix"}}, "--encoder-opt tune=nix: libx264 does not open with that"),
        ({"encoder_opts": {"profile": "nix"}, "codec": "hevc"}, "profile=nix: libx265 does not open"),
        ({"outputs": ()}, "say where to write"),
        ({"outputs": ("a.ts", "./a.ts")}, "./a.ts is given twice"),
        ({"outputs": ("%H.ts", "b.ts", "%H.ts"), "segment": "1h"}, "%H.ts is given twice"),
        ({"outputs": ("udp://me:x@a:1", "udp://me:x@a:1")}, r"udp://\*\*\*@a:1 is given twice"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        Settings(**{"source": "rtsp://a/1", "outputs": ("a.ts",), **options})


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", "a b:1"])
def test_an_address_for_metrics_that_is_none_is_refused(address):
    with pytest.raises(UsageError, match="HOST:PORT"):
        Server(address, list)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["in.mp4", "-o", "out.mp4", "--retries", "3"], "--retries is for cameras"),
        (["in.mp4", "-o", "out.mp4", "-o", "two.mp4"], "several are for cameras"),
        (["rtsp://cam/1", "-o", "out.mp4", "--compare", "side"], "--compare is for files"),
        (["rtsp://cam/1", "-o", "out.mp4", "--max-delay", "soon"], "500ms"),
        (["rtsp://cam/1", "-o", "out.mp4", "--ignore", "1,2,3"], "x,y,width,height"),
        (["rtsp://cam/1"], "say where to write"),
        (["rtsp://cam/1", "-o", "out.ts", "-o", "out.ts"], "out.ts is given twice"),
        (["watch", "nowhere.toml"], "nowhere.toml cannot be read"),
    ],
)
def test_wrong_usage_of_cameras_is_told_with_status_2(words, told, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert told in capsys.readouterr().err


HANGS_UP = """
import os, signal, sys
from vidnoise.cli import main

class HangsUp:
    def find_spec(self, name, *_):
        if name == "click":  # of all that is imported the first that takes long
            os.kill(os.getpid(), signal.SIGHUP)

sys.meta_path.insert(0, HangsUp())
main()
"""


@pytest.mark.parametrize(
    ("words", "status"), [(["watch", "nowhere"], 2), (["watch.mp4", "-o", "out.mp4"], -1)]
)
def test_a_watch_that_is_told_to_read_its_file_again_while_it_is_imported_goes_on(words, status):
    done = subprocess.run([sys.executable, "-c", HANGS_UP, *words], capture_output=True, timeout=100)
    assert done.returncode == status, done.stderr
