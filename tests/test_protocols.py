from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import av
import numpy as np
import pytest
from web import serving

import vidnoise as vn
from vidnoise.errors import InputError, UsageError
from vidnoise.io import failures, open_reader
from vidnoise.io.protocols import ALLOWED, Location, locate, mask
from vidnoise.live.destination import resolve

FRAMES = 6


class Jumping(SimpleHTTPRequestHandler):
    """Serves a folder, and redirects /jump to a local file."""

    def do_GET(self) -> None:
        if self.path.startswith("/jump"):
            self.send_response(302)
            self.send_header("Location", "file:" + os.path.join(self.directory, "clip.ts"))
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    with av.open(folder / "clip.ts", "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for level in range(FRAMES):
            picture = np.full((64, 64), 40 * level, np.uint8)
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p"))
            )
        container.mux(stream.encode(None))
    return folder


@pytest.fixture(scope="module")
def server(folder) -> Iterator[str]:
    with serving(folder, Jumping) as address:
        yield address


def playlist(path: Path, entry: str) -> str:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{entry}\n#EXT-X-ENDLIST\n")
    return path.name


def count(place: Location) -> int:
    with av.open(place.url, format=place.format, options=place.options) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_remote_clip_and_a_remote_playlist_are_read(server, folder):
    name = playlist(folder / "good.m3u8", "clip.ts")
    assert count(locate(f"{server}/clip.ts")) == FRAMES
    assert count(locate(f"{server}/{name}")) == FRAMES


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_server_that_stops_sending_is_given_up(share, folder, monkeypatch):
    monkeypatch.setattr(failures, "PATIENCE", 0.5)
    data = (folder / "clip.ts").read_bytes()
    head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    with (
        stalling(head + data[: int(share * len(data))] if share else b"") as url,
        pytest.raises(InputError, match=r"clip\.ts.*nothing has come for 0\.5 s"),
        open_reader(url) as clip,
    ):
        list(clip)


@contextmanager
def stalling(data: bytes) -> Iterator[str]:
    """A web server that sends so much and then nothing, and does not hang up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(data)
                ended.wait()

        threading.Thread(target=answer, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/clip.ts"
        finally:
            ended.set()


@pytest.mark.parametrize("form", ["file://{0}", "file:{0}", "concat:{0}|{0}", "subfile,,start,0,end,0,,:{0}"])
def test_a_remote_playlist_reads_no_local_file(form, server, folder):
    name = playlist(folder / "evil.m3u8", form.format(folder / "clip.ts"))
    place = locate(f"{server}/{name}")
    with pytest.raises((av.error.FFmpegError, OSError)):
        count(place)
    with pytest.raises(InputError):
        open_reader(f"{server}/{name}")


def test_the_allow_list_is_what_stops_it(server, folder):
    """The same playlist is read where local files are allowed: it is not refused for another reason."""
    name = playlist(folder / "evil.m3u8", f"file:{folder / 'clip.ts'}")
    with av.open(str(folder / name), options={"protocol_whitelist": "file"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_a_playlist_that_names_a_text_file_of_the_machine_is_refused(server, folder):
    with pytest.raises(InputError):
        open_reader(f"{server}/{playlist(folder / 'host.m3u8', 'file:///etc/hostname')}")


def test_a_remote_list_of_ffconcat_reads_no_local_file(server, folder):
    (folder / "evil.ffconcat").write_text(f"ffconcat version 1.0\nfile 'file:{folder / 'clip.ts'}'\n")
    with pytest.raises((av.error.FFmpegError, OSError)):
        count(locate(f"{server}/evil.ffconcat"))


def test_a_redirection_to_a_local_file_is_not_followed(server):
    with pytest.raises((av.error.FFmpegError, OSError)):
        count(locate(f"{server}/jump"))


def test_a_local_playlist_reads_local_files_and_nothing_of_the_network(server, folder):
    assert count(locate(str(folder / playlist(folder / "near.m3u8", "clip.ts")))) == FRAMES
    with pytest.raises((av.error.FFmpegError, OSError)):
        count(locate(str(folder / playlist(folder / "far.m3u8", f"{server}/clip.ts"))))


def test_a_local_ffconcat_keeps_to_its_own_folder(folder):
    (folder / "near.ffconcat").write_text("ffconcat version 1.0\nfile 'clip.ts'\n")
    (folder / "far.ffconcat").write_text(f"ffconcat version 1.0\nfile '{folder / 'clip.ts'}'\n")
    assert count(locate(str(folder / "near.ffconcat"))) == FRAMES
    with pytest.raises((av.error.FFmpegError, OSError)):
        count(locate(str(folder / "far.ffconcat")))


def test_a_list_of_files_elsewhere_is_answered_with_what_reads_it(folder):
    (folder / "far.ffconcat").write_text(f"ffconcat version 1.0\nfile '{folder / 'clip.ts'}'\n")
    with pytest.raises(
        InputError, match=r"type: ffmpeg -f concat -safe 0 -i .*far\.ffconcat .*\| vidnoise - -o"
    ):
        open_reader(folder / "far.ffconcat")


@pytest.mark.parametrize(
    "source",
    [
        *("concat:a.ts|b.ts", "CONCAT:a.ts", "concat://a", "subfile,,start,0,end,9,,:a.ts"),
        *("data:text/plain,x", "pipe:0", "fd:0", "crypto:a.ts", "cache:http://host/a"),
    ],
)
def test_schemes_that_hide_what_is_opened_are_refused_by_name(source):
    with pytest.raises(UsageError, match=r"not allowed|is not an allowed"):
        locate(source)


@pytest.mark.parametrize(
    "source", ["ftp://host/a.mp4", "gopher://host/x", "ipfs://x", "unix://x", "nosuch://x"]
)
def test_other_protocols_are_refused_and_the_allowed_ones_named(source):
    with pytest.raises(UsageError, match="rtsp"):
        locate(source)


def test_srt_is_refused_with_how_to_pass_it_on():
    with pytest.raises(UsageError, match=r"srt://host:1\?passphrase=\*\*\*: .*pass it on, ffmpeg -i srt://"):
        locate("srt://host:1?passphrase=word")


@pytest.mark.parametrize("scheme", sorted(ALLOWED))
def test_no_network_source_may_read_local_files(scheme):
    place = locate(f"{scheme}://host:1234/path")
    assert place.kind == "network"
    allowed = set(place.options["protocol_whitelist"].split(","))
    assert scheme in allowed
    assert not allowed & {"file", "pipe", "fd", "concat", "subfile", "data", "unix"}


def test_a_file_that_is_named_like_a_url_is_read_as_a_file(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "concat:clip.ts").write_bytes((folder / "clip.ts").read_bytes())
    assert count(locate("concat:clip.ts")) == FRAMES
    assert count(locate(Path("concat:clip.ts"))) == FRAMES
    assert count(locate(f"file://{tmp_path}/concat:clip.ts")) == FRAMES
    assert locate("12:30 my talk.mp4").kind == "file"


def test_the_standard_input_and_cameras_are_told_from_files():
    assert locate("-").kind == "stdin"
    assert locate(Path("-")).kind == "file"
    assert (locate("/dev/video0").kind, locate("/dev/video0").format) == ("camera", "v4l2")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:s3cret@cam/stream", "rtsp://***@cam/stream"),
        ("rtsp://admin:p@ss@cam:554/x", "rtsp://***@cam:554/x"),
        ("rtsp://admin:s3/cret@cam/x", "rtsp://***@cam/x"),
        ("rtsp://admin:s@3/cret@cam/x", "rtsp://***@cam/x"),
        ("rtsp://admin:s@3:c/r#e?t@cam/x", "rtsp://***@cam/x"),
        ("http://h:80/a@2x.mp4", "http://h:80/a@2x.mp4"),
        ("http://[::1]:80/a@2x.mp4", "http://[::1]:80/a@2x.mp4"),
        ("https://h/a.m3u8?token=s3cret&x=1", "https://h/a.m3u8?token=***&x=1"),
        (
            "failed: 'rtsp://u:s3cret@cam/' and 'http://v:s3cret@b'",
            "failed: 'rtsp://***@cam/' and 'http://***@b'",
        ),
        ("/plain/path@home.mp4", "/plain/path@home.mp4"),
        ("'rtsp://me:it's<s3cret>@cam/1'", "'rtsp://***@cam/1'"),
        ('["rtsp://u:s3cret@a","rtsp://v:"s3cret"@b"]', '["rtsp://***@a","rtsp://***@b"]'),
        ("http://cam/a.cgi?loginpas=s3cret_1&x=1", "http://cam/a.cgi?loginpas=***&x=1"),
        (
            "rtsp://cam/user=me_password=s3cret_channel=1.sdp",
            "rtsp://cam/user=***_password=***_channel=1.sdp",
        ),
        (
            "rtsp://cam/user=me&password=s3cret&channel=1.sdp?x",
            "rtsp://cam/user=***&password=***&channel=1.sdp?x",
        ),
        (
            "rtsp://cam/user=me_password=s3cret_channel=1_stream=0.sdp?real_stream=1&token=s3cret_x=",
            "rtsp://cam/user=***_password=***_channel=1_stream=0.sdp?real_stream=1&token=***",
        ),
        ("http://h/x.m3u8?token=s3cret_s3cret==", "http://h/x.m3u8?token=***"),
        ("http://h/x.m3u8?auth_token=s3_cret_sig=s3cret&x=1", "http://h/x.m3u8?auth_token=***&x=1"),
        ("srt://h:1?passphrase=s3cret_2=x", "srt://h:1?passphrase=***"),
        ("rtsp://cam/1;token=s3cret_s3cret=", "rtsp://cam/1;token=***"),
        ("rtsp://cam/1;token=s3cret_s3=cret;x=1", "rtsp://cam/1;token=***;x=1"),
        ("rtsp://cam/token=s3cret_s3cret==/1", "rtsp://cam/token=***"),
    ],
)
def test_passwords_in_urls_are_masked(url, shown):
    assert mask(url) == shown


@pytest.mark.parametrize("path", ["missing.mp4", "evil.m3u8", "clip.ts?token=s3cret"])
def test_no_error_shows_a_password(path, server, folder):
    playlist(folder / "evil.m3u8", f"file:{folder / 'clip.ts'}")
    url = f"{server}/{path}".replace("http://", "http://admin:s3cret@")
    try:
        with open_reader(url) as reader:
            message = reader.source
    except InputError as error:
        message = str(error)
    assert "s3cret" not in message
    assert "127.0.0.1" in message


@pytest.mark.parametrize("decide", [locate, resolve])
def test_a_url_with_spaces_is_refused_with_what_to_write_and_without_its_password(decide):
    with pytest.raises(UsageError, match="write %20") as refused:
        decide("rtsp://me:s3 cret@host/cam")
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize("decide", [locate, resolve])
@pytest.mark.parametrize(
    "url", ["rtsp:/me:s3cret@host/cam", "RTMP:me:s3cret@host/cam", "rtsp:/me:s3 cret@host/cam.ts"]
)
def test_a_url_that_lacks_a_slash_is_no_file_and_shows_no_password(url, decide):
    with pytest.raises(
        UsageError, match=r"(?i)two slashes before its host: rt[sm]p://\*\*\*@host/cam"
    ) as refused:
        decide(url)
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize("decide", [locate, resolve])
@pytest.mark.parametrize(
    "url", ["udp://127.0.0.1", "tcp://me:1@host/a?b=:5", "udp://[::1]", "udp://@239.1.1.1"]
)
def test_a_url_without_a_port_is_refused_where_there_is_no_usual_one(url, decide):
    with pytest.raises(UsageError, match=r"say which port, as in (udp|tcp)://HOST:5000"):
        decide(url)


@pytest.mark.parametrize(
    "url",
    [
        "udp://h:5000",
        "udp://h:5000?localaddr=me@h",
        "tcp://h:{file:/a}?listen=1",
        "udp://[::1]:5000/",
        "rtsp://h/a",
        "rtsp://me:{file:/my secrets/cam}@h/a",
    ],
)
def test_a_url_with_a_port_or_a_usual_one_is_taken(url):
    assert locate(url).url == url
    assert resolve(url).url == url


def test_a_url_as_the_output_of_a_file_is_answered_with_what_sends_it_on_without_its_password(folder):
    with pytest.raises(UsageError, match=r"type -o - \| ffmpeg -re -i - -c copy -f FORMAT URL") as refused:
        vn.run(folder / "clip.ts", "none", "rtsp://me:s3cret@host/a")
    assert "s3cret" not in str(refused.value)


def test_a_refused_url_is_shown_without_its_password():
    with pytest.raises(UsageError) as refused:
        locate("ftp://me:s3cret@host/a.mp4")
    assert "s3cret" not in str(refused.value)
