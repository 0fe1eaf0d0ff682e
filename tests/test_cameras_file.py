from __future__ import annotations

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
    assert (camera.timeout, str(camera.filters), camera.outputs) == (2.0, "", ("a.ts",))


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
    ],
)
def test_a_mistake_is_told_with_its_place(text, words, tmp_path):
    with pytest.raises(UsageError, match=words) as told:
        load(written(tmp_path, text))
    assert "cameras.toml" in str(told.value)


def test_two_cameras_that_would_write_to_one_file_are_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cameras = (("a", tmp_path / "real/x.ts"), ("b", tmp_path / "link/x.ts"))
    text = "\n".join(f'[cameras.{name}]\nsource = "rtsp://a"\noutputs = "{path}"' for name, path in cameras)
    with pytest.raises(UsageError, match=r"\[cameras.b\]: the output .*x.ts is that of \[cameras.a\] too"):
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
