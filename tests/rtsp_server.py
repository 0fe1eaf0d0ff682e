"""A camera for the tests: gst-rtsp-server, run by the system's Python, which has its bindings.

    /usr/bin/python3 rtsp_server.py PORT [--width W] [--height H] [--fps N] [--codec h264|h265|jpeg] [--audio]
                                    [--user NAME --password WORD] [--count N] [--noise N]

Serves rtsp://127.0.0.1:PORT/cam (and /cam1, /cam2, ... with --count). The time of each picture is burnt into its
first 16 lines: 32 blocks, white for one, of the milliseconds of the monotonic clock, lowest bit first.
"""

import argparse
import os
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BITS, LINES = 32, 16

CODECS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={fps} option-string=scenecut=0 "
    "bitrate=2000 ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate=1000 ! h265parse "
    "config-interval=-1 ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def backgrounds(width, height, noise):
    """Some noisy gray pictures without the clock, and the chroma that goes with all of them."""
    table = bytes(min(235, max(16, 110 + (value - 128) * noise // 128)) for value in range(256))
    size = width * (height - LINES)
    pictures = [os.urandom(size).translate(table) for _ in range(4)]
    return pictures, bytes([128]) * (2 * ((width + 1) // 2) * ((height + 1) // 2))


def clock(width):
    """The current time as the first lines of a picture."""
    now = int(time.monotonic() * 1000)
    block = width // BITS
    line = b"".join((b"\xeb" if now >> bit & 1 else b"\x10") * block for bit in range(BITS))
    return (line + b"\x10" * (width - len(line))) * LINES


class Camera(GstRtspServer.RTSPMediaFactory):
    def __init__(self, chosen):
        super().__init__()
        self.chosen = chosen
        self.set_shared(True)
        self.set_latency(0)
        self.pictures, self.chroma = backgrounds(chosen.width, chosen.height, chosen.noise)

    def do_create_element(self, url):
        chosen = self.chosen
        caps = f"video/x-raw,format=I420,width={chosen.width},height={chosen.height},framerate={chosen.fps}/1"
        video = (
            f"appsrc name=pictures is-live=true format=time do-timestamp=true block=false caps={caps} ! "
            + CODECS[chosen.codec].format(fps=chosen.fps)
        )
        audio = (
            "appsrc name=sound is-live=true format=time do-timestamp=true caps=audio/x-alaw,rate=8000,channels=1 "
            "! rtppcmapay name=pay1 pt=8"
        )
        return Gst.parse_launch(f"( {video} {audio if chosen.audio else ''} )")

    def do_configure(self, media):
        GstRtspServer.RTSPMediaFactory.do_configure(self, media)
        source, sound = (media.get_element().get_child_by_name(name) for name in ("pictures", "sound"))
        tone = bytes(0x55 if i // 10 % 2 else 0xD5 for i in range(8000 // self.chosen.fps))
        count = 0

        def push():
            nonlocal count
            picture = clock(self.chosen.width) + self.pictures[count % len(self.pictures)] + self.chroma
            count += 1
            if sound:
                sound.emit("push-buffer", Gst.Buffer.new_wrapped(tone))
            return source.emit("push-buffer", Gst.Buffer.new_wrapped(picture)) == Gst.FlowReturn.OK

        timer = GLib.timeout_add(1000 // self.chosen.fps, push)
        media.connect("unprepared", lambda *_: GLib.source_remove(timer))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=180)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--codec", choices=CODECS, default="h264")
    parser.add_argument("--noise", type=int, default=30)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password")
    chosen = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(chosen.port)
    if chosen.user:
        protect(server, chosen)
    for name in ["/cam", *(f"/cam{i + 1}" for i in range(chosen.count))]:
        factory = Camera(chosen)
        if chosen.user:
            factory.add_role_from_structure(role("viewer"))
        server.get_mount_points().add_factory(name, factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def role(name):
    rights = "media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    return Gst.Structure.new_from_string(f"{name}, {rights}")


def protect(server, chosen):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(chosen.user, chosen.password), token)
    server.set_auth(auth)


if __name__ == "__main__":
    main()
