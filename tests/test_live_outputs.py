"""What becomes of outputs when processes are killed, stopped, asked twice to end, or started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cameras import LIMIT, Job, children, frames, sender, vidnoise

RAW = ("-f", "none", "--wait", "--max-backoff", "0.2s")


def recorded(job: Job, path: Path, count: int = 5) -> None:
    """Wait until a recording has so many pictures."""
    job.wait(lambda: len(frames(path)) >= count)


def written(folder: Path, source: str, *lines: str) -> str:
    """A cameras.toml with one camera that records to a.ts; its name."""
    (folder / "cameras.toml").write_text(
        "\n".join(
            ["[cameras.a]", f'source = "{source}"', f'outputs = "{folder}/a.ts"', 'filters = "none"', *lines]
        )
    )
    return str(folder / "cameras.toml")


def test_an_output_whose_process_is_killed_goes_on_in_another_file(tmp_path):
    target = tmp_path / "a.ts"
    target.write_bytes(b"old")
    with sender() as url, vidnoise(url, *RAW, "--overwrite", "-o", str(target)) as job:
        recorded(job, target)
        before = target.read_bytes()
        os.kill(children(job.pid)[0], signal.SIGKILL)
        recorded(job, tmp_path / "a_1.ts")
        assert job.stop() == 0
    assert target.read_bytes().startswith(before)
    assert [line for line in job.said if "a_1.ts" in line] == [
        line for line in job.said if "it exists" in line
    ]


def test_an_output_whose_process_stands_still_is_ended_and_started_again(tmp_path):
    words = (*RAW, "--timeout", "1s", "--json", "-o", f"{tmp_path}/a.ts")
    with sender() as url, vidnoise(url, *words) as job:
        recorded(job, tmp_path / "a.ts")
        os.kill(children(job.pid)[0], signal.SIGSTOP)
        job.hears("no progress for 1 s")
        recorded(job, tmp_path / "a_1.ts")
        assert job.stop() == 0
        told = json.loads(job.out)["outputs"][0]
    assert told["reconnects"] == 1
    assert told["dropped"] > 0


def test_a_file_that_exists_is_refused_for_one_camera(tmp_path):
    target = tmp_path / "a.ts"
    target.write_bytes(b"old")
    with vidnoise("udp://127.0.0.1:9", *RAW, "-o", str(target)) as job:
        assert job.end() == 2
    assert "add --overwrite" in job.told()
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("change", ["its settings", "its name"])
def test_a_camera_of_watch_goes_on_in_another_file_when_it_changes(change, tmp_path):
    with sender() as url:
        file = written(tmp_path, url, "overwrite = true")
        with vidnoise("watch", file) as job:
            recorded(job, tmp_path / "a.ts")
            before = (tmp_path / "a.ts").read_bytes()
            if change == "its name":
                Path(file).write_text(Path(file).read_text().replace("[cameras.", "[cameras.new_"))
            else:
                written(tmp_path, url, "overwrite = true", "crf = 30")
            job.signal(signal.SIGHUP)
            recorded(job, tmp_path / "a_1.ts")
            assert job.stop() == 0
    assert (tmp_path / "a.ts").read_bytes().startswith(before)


def test_pieces_begin_with_the_first_picture_after_a_round_time(tmp_path):
    pattern = f"{tmp_path}/%H-%M-%S.ts"
    with sender(fps=20) as url, vidnoise(url, *RAW, "--segment", "1s", "-o", pattern) as job:
        job.wait(lambda: len(list(tmp_path.glob("*.ts"))) >= 4)
        assert job.stop() == 0
    whole = sorted(tmp_path.glob("*.ts"))[1:-1]
    assert all(10 <= len(frames(path)) <= 30 for path in whole)  # keyframes come every two seconds otherwise


@pytest.mark.parametrize("signals", [[signal.SIGHUP], [signal.SIGINT] * 2, [signal.SIGTERM, signal.SIGHUP]])
def test_a_camera_ends_in_good_order_however_it_is_asked(signals, tmp_path):
    with sender() as url, vidnoise(url, *RAW, "-o", f"{tmp_path}/a.ts") as job:
        recorded(job, tmp_path / "a.ts")
        for number in signals:
            job.signal(number)
            time.sleep(0.05)
        assert job.end() == 0
    assert "interrupted" not in job.told()


ENDLESS = """
import time
from vidnoise.cli.live import SAME, stopping
with stopping(lambda: None):
    print(SAME, flush=True)
    while True:
        time.sleep(1)
"""


def test_who_asks_again_later_need_not_wait():
    job = subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    same = float(job.stdout.readline())
    job.send_signal(signal.SIGTERM)
    time.sleep(same + 0.5)
    assert job.poll() is None
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=LIMIT)
    assert (job.returncode, told) == (130, b"vidnoise: ended at once; what was recorded stays\n")


@pytest.mark.parametrize(("overwrite", "name"), [("false", "a_1.ts"), ("true", "a.ts")])
def test_a_watch_that_starts_again_replaces_a_recording_only_where_it_is_told_to(overwrite, name, tmp_path):
    (tmp_path / "a.ts").write_bytes(b"old")
    with sender() as url, vidnoise("watch", written(tmp_path, url, f"overwrite = {overwrite}")) as job:
        recorded(job, tmp_path / name)
        assert job.stop() == 0
    assert sorted(path.name for path in tmp_path.glob("*.ts")) == sorted({"a.ts", name})
