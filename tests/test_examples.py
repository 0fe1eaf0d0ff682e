"""Every example, run as its first lines say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from clips import Clip, number_of

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDED = ("ffmpeg", "sh")
MISSING = [name for name in NEEDED if shutil.which(name) is None]


def run(*words, site="", **environment):
    """Run a program that finds the packages that this process finds, and those in the folder `site`."""
    path = os.pathsep.join(filter(None, [str(site), *sys.path]))
    given = {**os.environ, **environment, "PYTHONPATH": path}
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=given, timeout=150
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(path):
    with av.open(str(path)) as container:
        return [number_of(frame) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clip(frames=6, audio="aac").save(tmp_path_factory.mktemp("examples") / "clip.mp4")


def test_file(clip, tmp_path):
    out = run(sys.executable, EXAMPLES / "file.py", clip, tmp_path / "out.mp4")
    assert out.startswith("6 frames")
    assert "noise found" in out
    assert numbers(tmp_path / "out.mp4") == list(range(6))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio) == 1


def test_chain(clip):
    lines = run(sys.executable, EXAMPLES / "chain.py", clip).splitlines()
    assert [line.split()[0] for line in lines] == ["0.000", "0.040", "0.080", "0.120", "0.160", "0.200"]


def test_opencv_loop(clip):
    lines = run(sys.executable, EXAMPLES / "opencv_loop.py", clip).splitlines()
    assert len(lines) == 5
    assert all(float(re.search(r"([\d.]+) % moves", line)[1]) > 1 for line in lines)


def test_custom_filter_is_installed_and_found_as_a_plugin(clip, tmp_path):
    shutil.copytree(EXAMPLES / "custom_filter", tmp_path / "source")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(sys.executable, *install, "--target", tmp_path / "site", tmp_path / "source")
    site = tmp_path / "site"
    assert "amount" in run(sys.executable, "-m", "vidnoise", "filters", "unsharp", site=site)
    out = tmp_path / "out.mp4"
    run(sys.executable, "-m", "vidnoise", clip, "-o", out, "-f", "unsharp:amount=0.8", "-q", site=site)
    assert numbers(out) == list(range(6))
    code = "import vidnoise_unsharp as u, vidnoise.registry as r; assert r.find('unsharp') is u.Unsharp"
    run(sys.executable, "-c", code, site=site)


@pytest.mark.skipif(bool(MISSING), reason=f"the programs {', '.join(MISSING)} are missing")
def test_ffmpeg_pipe(clip, tmp_path):
    out = tmp_path / "out.mp4"
    run(EXAMPLES / "ffmpeg_pipe.sh", clip, out, VIDNOISE=f"{sys.executable} -m vidnoise")
    assert numbers(out) == list(range(6))


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing; apt-get install systemd"
)
def test_the_systemd_unit_is_one_and_starts_what_there_is(tmp_path):
    unit = (EXAMPLES / "vidnoise.service").read_text()
    command = re.search(r"^ExecStart=(\S+) (\S+) .*--metrics (\S+) --log (\S+)$", unit, re.MULTILINE)
    assert command[1].endswith("/bin/vidnoise")
    (tmp_path / "vidnoise.service").write_text(unit.replace(command[1], sys.executable))
    run("systemd-analyze", "verify", tmp_path / "vidnoise.service")
    known = run(sys.executable, "-m", "vidnoise", command[2], "--help")
    assert "--metrics" in known
    assert "--log" in known
