"""How live filtering keeps its delay, without cameras: decisions by a clock of our own, and stages made of tensors."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Literal

import pytest
import torch
from cameras import LIMIT, wait
from streams import CPU, Running, clip, info

from vidnoise.chain import Chain
from vidnoise.device import Device
from vidnoise.errors import FilterError, UsageError
from vidnoise.filter import SpatialFilter, option
from vidnoise.live import fleet as fleets
from vidnoise.live.backoff import Backoff
from vidnoise.live.camera import Camera
from vidnoise.live.cleaner import Cleaner, Shot
from vidnoise.live.clock import OutputClock
from vidnoise.live.destination import resolve
from vidnoise.live.fleet import Fleet
from vidnoise.live.ladder import ladder
from vidnoise.live.pace import TRIAL, Pace, Turns
from vidnoise.live.recording import pieces_of, prune, round_after
from vidnoise.live.region import Region, check
from vidnoise.live.secrets import fill
from vidnoise.live.seldom import Seldom
from vidnoise.live.settings import Settings
from vidnoise.live.source import LONGEST_INBOX, Inbox
from vidnoise.live.status import Status
from vidnoise.live.units import amount, seconds

LOG = logging.LoggerAdapter(logging.getLogger("vidnoise.live"), {"camera": "test"})


@dataclass(frozen=True)
class Dear(SpatialFilter):
    """A filter with the options that can be made cheaper."""

    quality: str = option("best", choices=("fast", "balanced", "best"), help="better")
    ahead: int = option(2, low=0, high=2, help="more")

    def apply(self, x):
        return x


def run(pace: Pace, *, costs: list[float], fps: float = 10, length: float = 60, now: float = 0.0):
    """Frames at a fixed rate into a worker whose work takes `costs[tier]` seconds; the verdicts, delays and tiers."""
    verdicts, delays, tiers, free = [], [], [], now
    for i in range(round(length * fps)):
        arrival = now + i / fps
        began = max(free, arrival)
        waiting = int((began - arrival) * fps)
        verdict = pace.judge(began - arrival, waiting)
        free = began + (costs[pace.tier] if verdict == "clean" else 0.001)
        tier = pace.tier
        if verdict != "drop":
            pace.worked(free - began, free)
            delays.append(free - arrival)
        if pace.tier != tier:
            pace.settle(free)
        verdicts.append(verdict)
        tiers.append(pace.tier)
    return verdicts, delays, tiers


def test_filters_that_are_quick_enough_are_left_as_they_are():
    pace = Pace(3, 1.0)
    verdicts, _, _ = run(pace, costs=[0.05, 0.01, 0.0])
    assert set(verdicts) == {"clean"}
    assert pace.tier == 0


def test_filters_that_are_too_slow_are_made_cheaper_before_any_frame_is_dropped():
    pace = Pace(3, 1.0)
    verdicts, delays, _ = run(pace, costs=[0.3, 0.05, 0.0])
    assert "drop" not in verdicts
    assert verdicts.count("pass") < 20
    assert max(delays) <= 1.0
    assert verdicts[-20:] == ["clean"] * 20


def test_where_passing_on_takes_too_long_no_filter_is_said_to_run():
    pace = Pace(4, 1.0)
    for second in range(60):
        assert pace.judge(1.0, 5) == "pass"
        pace.worked(1.0, float(second))
    assert pace.tier == 3
    run(pace, costs=[0.01] * 4, now=60)
    assert pace.tier == 0


def test_a_tier_that_failed_is_tried_less_and_less_often():
    _, _, tiers = run(Pace(2, 1.0), costs=[0.3, 0.01], length=600)
    ups = [i / 10 for i, (a, b) in enumerate(pairwise(tiers)) if b < a]
    waits = [b - a for a, b in pairwise(ups)]
    assert len(waits) >= 3
    assert all(1.5 * a < b < 3 * a for a, b in pairwise(waits))


def test_there_is_a_way_back_up_when_there_is_room_again():
    pace = Pace(2, 1.0)
    run(pace, costs=[0.3, 0.01], length=5)
    assert pace.tier == 1
    run(pace, costs=[0.02, 0.01], length=60, now=5)
    assert pace.tier == 0


def test_one_camera_at_a_time_tries_dearer_filters():
    turns = Turns()
    one, other = Pace(2, 1.0, turns), Pace(2, 1.0, turns)
    for pace in (one, other):
        run(pace, costs=[0.3, 0.01], length=5)
        assert pace.tier == 1
    run(one, costs=[0.02, 0.01], length=8, now=5)
    run(other, costs=[0.02, 0.01], length=8, now=5)
    assert (one.tier, other.tier) == (0, 1)
    run(other, costs=[0.02, 0.01], length=2 * TRIAL, now=13)
    assert other.tier == 0


def test_a_camera_that_suffers_from_the_trial_of_another_stays_and_the_other_goes_back():
    turns = Turns()
    steady, trying = Pace(3, 1.0, turns), Pace(2, 1.0, turns)
    run(steady, costs=[0.3, 0.02, 0.0], length=5)
    run(trying, costs=[0.3, 0.01], length=5)
    assert (steady.tier, trying.tier) == (1, 1)
    run(trying, costs=[0.02, 0.01], length=8, now=5)
    assert trying.tier == 0
    run(steady, costs=[0.3, 0.3, 0.0], length=2.5, now=11)
    run(trying, costs=[0.02, 0.01], length=2.5, now=13)
    assert (steady.tier, trying.tier) == (1, 1)
    run(steady, costs=[0.3, 0.3, 0.0], length=5, now=13 + 2 * TRIAL)
    assert steady.tier == 2


@pytest.mark.parametrize(("cores", "tiers"), [(2.8, [0, 0, 0, 1]), (1.5, [1, 1, 1, 1])])
def test_cameras_that_fall_behind_together_go_down_one_at_a_time_and_only_as_far_as_it_takes(cores, tiers):
    costs, turns = [0.8, 0.5, 0.2, 0.0], Turns()  # cores that a camera takes at each tier
    paces = [Pace(len(costs), 1.0, turns) for _ in range(4)]
    lowest = 0
    for tick in range(120):  # a tenth of a second each, in which each camera has one picture
        slower = max(1.0, sum(costs[pace.tier] for pace in paces) / cores)
        for pace in paces:
            before, now = pace.tier, tick / 10
            assert pace.judge(0.0, 0) == "clean"
            pace.worked(costs[pace.tier] * slower / 10, now)
            if pace.tier != before:
                pace.settle(now)
        lowest = max(lowest, *(pace.tier for pace in paces))
    assert sorted(pace.tier for pace in paces) == tiers
    assert lowest == 1


def second(paces: list[Pace], number: int, late: float) -> list[int]:
    """A second in which cameras leave out this share of ten pictures each; their tiers."""
    for tick in range(11):
        for pace in paces:
            pace.judge(0.0 if tick == 0 or tick > 10 * late else 0.6, 5)
            pace.worked(0.1, number + tick / 10)
    return [pace.tier for pace in paces]


@pytest.mark.parametrize(("late", "gone"), [(0.1, 1), (0.5, 3), (0.9, 6)])
def test_the_more_pictures_cameras_leave_out_the_more_of_them_go_down_at_once(late, gone):
    turns = Turns()
    paces = [Pace(2, 1.0, turns) for _ in range(8)]
    assert sum(second(paces, 0, late)) == 1  # it may be a hiccup
    assert sum(second(paces, 1, late)) == gone


def test_cameras_with_cheaper_filters_wait_until_those_with_dearer_ones_have_gone_down():
    turns = Turns()
    paces = [Pace(tiers, 1.0, turns) for tiers in (3, 3, 2, 2, 2, 2)]
    for number in range(4):
        tiers = second(paces, number, 0.9)
    assert tiers == [1, 1, 0, 0, 0, 0]


def test_no_camera_goes_down_while_the_filters_of_another_get_ready():
    turns = Turns()
    begun, new = Pace(2, 1.0, turns), Pace(2, 1.0, turns)
    for tick in range(50):  # a tenth of a second each
        new.settle(tick / 10)
        begun.judge(0.0 if tick == 0 else 0.6, 5)
        begun.worked(0.1, tick / 10)
        assert begun.tier == 0
    run(begun, costs=[0.3, 0.01], length=3, now=5)
    assert begun.tier == 1


def test_dearer_filters_are_not_tried_while_another_camera_falls_behind():
    turns = Turns()
    calm, behind = Pace(2, 1.0, turns), Pace(1, 1.0, turns)
    run(calm, costs=[0.3, 0.01], length=2)
    assert calm.tier == 1
    for second in range(2, 15):
        run(behind, costs=[0.3], length=1, now=second)
        run(calm, costs=[0.01, 0.01], length=1, now=second)
        assert calm.tier == 1
    run(calm, costs=[0.01, 0.01], length=5, now=15)
    assert calm.tier == 0


def test_a_trial_that_has_failed_keeps_no_camera_from_cheaper_filters():
    turns = Turns()
    trying, steady = Pace(2, 1.0, turns), Pace(2, 1.0, turns)
    run(trying, costs=[0.3, 0.01], length=2)
    run(trying, costs=[0.01, 0.01], length=6, now=2)
    assert trying.tier == 0
    run(steady, costs=[0.3, 0.01], length=1.5, now=8)
    run(trying, costs=[0.01, 0.01], length=2, now=8)
    assert (trying.tier, steady.tier) == (1, 0)
    run(steady, costs=[0.3, 0.01], length=3, now=10)
    assert steady.tier == 1


def test_two_cameras_that_ask_at_one_moment_do_not_both_go_down():
    class Slow(float):
        def __radd__(self, other):
            time.sleep(0.05)
            return float(self) + other

    turns, gone = Turns(), []
    first, *others = [Pace(2, 1.0, turns) for _ in range(3)]
    assert [turns.falls(pace, 0.7, 0.0) for pace in (first, *others)] == [True, False, False]
    asking = [
        threading.Thread(target=lambda who=pace: gone.append(turns.falls(who, Slow(0.7), 1.0)))
        for pace in others
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(gone) == [False, True]


def test_frames_are_dropped_only_where_passing_them_on_does_not_help():
    pace = Pace(1, 0.5)
    assert [pace.judge(age, 5) for age in (0.1, 0.3, 0.6)] == ["clean", "pass", "drop"]
    assert pace.judge(0.6, 0) == "pass"


def test_the_ladder_looks_less_far_ahead_then_coarser_then_takes_none():
    steps = [str(chain) for chain in ladder(Chain.of(Dear()))]
    assert steps == [
        "dear",
        "dear:ahead=0",
        "dear:quality=balanced,ahead=0",
        "dear:quality=fast,ahead=0",
        "none",
    ]
    assert ladder(Chain()) == (Chain(),)


@dataclass(frozen=True)
class Plain(Dear):
    """The same, as a plugin may say it."""

    quality: Literal["low", "high"] = option("high", help="better")


def test_the_ladder_knows_qualities_that_are_literals():
    steps = [str(chain) for chain in ladder(Chain.of(Plain(ahead=0)))]
    assert steps == ["plain:ahead=0", "plain:quality=low,ahead=0", "none"]


def test_the_ladder_of_the_default_filter_keeps_its_options():
    steps = ladder(Chain.parse("denoise:sigma=20,strength=0.5"))
    assert all("sigma=20" in str(chain) and "strength=0.5" in str(chain) for chain in steps[:-1])
    assert ["quality=fast," in str(chain) for chain in steps[-3:]] == [True, False, False]
    assert "quality=fastest" in str(steps[-2])


def cleaner(chains, pace, now) -> tuple[Cleaner, Status]:
    status = Status("test")
    return Cleaner(
        chains, lambda chain: chain.open(info(), CPU), CPU, pace, status, LOG, now=lambda: now[0]
    ), status


def ready(made: Cleaner, shots: list[Shot]) -> list[Shot]:
    """Push until the first tier is open; what comes out is unfiltered."""
    import time

    out, until = [], time.monotonic() + 60
    while made._current is None:
        assert time.monotonic() < until
        out += made.push(shots[0], 0)
        time.sleep(0.01)
    return out


def test_pictures_go_out_unfiltered_until_the_filters_are_ready():
    made, _ = cleaner([Chain.of(Running()), Chain()], Pace(2, 1.0), [0.0])
    shots = [Shot(frame, 0.0) for frame in clip(3)]
    early = ready(made, shots)
    assert early
    assert not early[0].cleaned
    assert early[0].frame.image is shots[0].frame.image
    assert all(shot.cleaned for shot in made.push(shots[1], 0))


def test_filters_get_ready_on_the_device_that_they_will_run_on():
    class Notes:
        latency, seen = 0, []

        def push(self, *frames):
            self.seen += [frame.image.device.type for frame in frames]
            return frames

        def reset(self):
            pass

    device, chains = Device(torch.device("meta"), torch.float32, ""), [Chain.of(Running()), Chain()]
    made = Cleaner(chains, lambda chain: Notes(), device, Pace(2, 1.0), Status("test"), LOG, now=lambda: 0.0)
    ready(made, [Shot(clip(1)[0], 0.0)])
    assert set(Notes.seen) == {"meta"}


def test_filters_that_cannot_be_opened_are_told_of_before_a_picture_comes():
    with pytest.raises(FilterError, match=r"lost\.onnx' cannot be read"):
        cleaner([Chain.parse("model:path=lost.onnx"), Chain()], Pace(2, 1.0), [0.0])


def test_filters_that_fail_on_their_first_picture_are_told_of():
    class Broken(SpatialFilter):
        def apply(self, x):
            raise FilterError("it broke")

    made, _ = cleaner([Chain.of(Broken()), Chain()], Pace(2, 1.0), [0.0])
    with pytest.raises(FilterError, match="it broke"):
        ready(made, [Shot(clip(1)[0], 0.0)])


def test_pictures_that_wait_too_long_for_the_filters_are_dropped_oldest_first():
    dropped: list[None] = []
    inbox = Inbox(lambda: dropped.append(None))
    for frame in clip(1) * LONGEST_INBOX + clip(3)[1:]:
        inbox.put(Shot(frame, frame.pts))
    assert len(dropped) == 2
    held = [inbox.take(0).frame.pts for _ in range(len(inbox))]
    assert held[-3:] == [frame.pts for frame in clip(3)]


def test_a_camera_that_fails_is_started_anew_whatever_the_reason(caplog):
    settings = Settings("rtsp://me:{env:LOST}@127.0.0.1:9/a", ("udp://127.0.0.1:9",), max_backoff=0.1)
    fleet = Fleet()
    with caplog.at_level(logging.WARNING):
        fleet.become({"door": settings})
        wait(lambda: len(caplog.messages) >= 2)
    (status,) = fleet.statuses()
    fleet.close()
    assert (status.state, "LOST is not set" in status.failure) == ("waiting", True)
    assert all("LOST is not set" in said and "; starting anew in 0." in said for said in caplog.messages)


def test_a_failure_that_has_no_words_is_told_by_its_name(caplog, monkeypatch):
    def fails(camera):
        raise MemoryError

    monkeypatch.setattr(Camera, "run", fails)
    fleet = Fleet()
    with caplog.at_level(logging.WARNING):
        fleet.become({"door": Settings("rtsp://127.0.0.1:9/a", ("udp://127.0.0.1:9",))})
        wait(lambda: caplog.messages)
    fleet.close()
    assert caplog.messages[0].startswith("MemoryError; starting anew in ")


def test_cameras_that_hang_are_waited_for_together(tmp_path, monkeypatch):
    monkeypatch.setattr(fleets, "ENDING", 0.3)
    ended = threading.Event()
    monkeypatch.setattr(Camera, "run", lambda camera: ended.wait(LIMIT))
    fleet = Fleet()
    fleet.become({str(n): Settings("udp://127.0.0.1:9", (f"{tmp_path}/{n}.ts",)) for n in range(20)})
    began = time.monotonic()
    fleet.close()
    assert time.monotonic() - began < 3
    ended.set()


def test_late_pictures_leave_in_order_with_those_that_the_filters_hold_before_them():
    now = [0.0]
    made, status = cleaner([Chain.of(Running(look=2)), Chain()], Pace(2, 1.0), now)
    shots = [Shot(frame, 0.0) for frame in clip(8)]
    ready(made, shots)
    made.reset()
    held = [out for shot in shots[:2] for out in made.push(shot, 0)]
    assert held == []
    now[0] = 0.7
    out = made.push(shots[2], 0)
    assert [shot.frame.pts for shot in out] == [shot.frame.pts for shot in shots[:3]]
    assert not any(shot.cleaned for shot in out)
    now[0] = 1.5
    assert made.push(shots[3], 4) == []
    assert status.dropped == 1


def test_outside_the_region_and_in_what_is_ignored_the_picture_stays_as_it_is():
    frames = clip(4)
    region = Region(lambda size: Running(look=1).open(size, CPU), info(), (8, 4, 40, 30), [(10, 6, 5, 5)])
    made = [out for frame in frames for out in region.push(frame)] + list(region.flush())
    assert [frame.pts for frame in made] == [frame.pts for frame in frames]
    for before, after in zip(frames, made, strict=True):
        changed = (before.image != after.image).any(0)
        assert changed[4:34, 8:48].sum() == 40 * 30 - 5 * 5
        assert changed.sum() == 40 * 30 - 5 * 5
    region.reset()
    assert region.flush() == []


def test_pictures_that_are_left_out_are_told_of_by_the_minute(caplog):
    now = [0.0]
    made, status = cleaner([Chain()], Pace(1, 1.0), now)
    with caplog.at_level(logging.WARNING):
        for _ in range(9):
            for age in (2.0, 3.0):
                made.push(Shot(clip(1)[0], now[0] - age), 5)
            now[0] += 61
    assert status.dropped == 18
    assert [words.split(":")[1][:12] for words in caplog.messages] == [
        " 2 pictures "
    ] * 4  # minutes 1, 2, 4 and 8


def test_filters_that_come_and_go_without_end_are_told_of_less_and_less_often(caplog):
    pace = Pace(2, 1.0)
    made, status = cleaner([Chain.of(Running()), Chain()], pace, [0.0])
    (frame,) = clip(1)
    with caplog.at_level(logging.INFO):
        for number in range(40):
            pace.tier = number % 2
            while not status.filters or status.tier != pace.tier:
                made.push(Shot(frame, 0.0), 0)
    assert caplog.messages.count("filters: running") == 5  # times 1, 2, 4, 8 and 16


@pytest.mark.parametrize("box", [(60, 0, 10, 10), (0, 40, 10, 10), (0, 0, 0, 5)])
def test_a_region_that_reaches_beyond_the_picture_is_refused(box):
    with pytest.raises(UsageError, match="64x48"):
        check(info(), box, [])
    with pytest.raises(UsageError, match=r"--ignore .* beyond the picture, which is 64x48"):
        check(info(), None, [(0, 0, 8, 8), box])


def test_times_never_go_back_across_connections_and_gaps_last_as_long_as_they_did():
    now = [100.0]
    clock = OutputClock(now=lambda: now[0])
    clock.connect()
    first = [clock.place(Fraction(5) + Fraction(i, 10)) for i in range(10)]
    now[0] = 104.0
    clock.connect()
    second = [clock.place(Fraction(i, 10)) for i in range(10)]
    now[0] = 104.1  # back at once, and the camera's clock starts again
    clock.connect()
    third = [clock.place(Fraction(i, 10)) for i in range(3)]
    times = [*first, *second, *third]
    assert times[0] == 0
    assert second[0] == 4
    assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize(
    ("given", "placed"),
    [
        ([5.0, 5.5, 6.0, 6.5], [0.0, 0.5, 1.0, 1.5]),
        ([5.0, 5.0, 5.0, 5.0], [0.0, 0.5, 1.0, 1.5]),  # stands still
        ([5.0, 5.5, 5.1, 5.6], [0.0, 0.5, 1.0, 1.5]),  # falls back
        ([5.0, 5.5, 13.0, 13.5], [0.0, 0.5, 1.0, 1.5]),  # leaps ahead
        ([5.0, 5.5, 7.0, 7.5], [0.0, 0.5, 2.0, 2.5]),  # a burst after a pause
        ([5.0, 5.3, 5.3, 6.3, 6.8], [0.0, 0.3, 0.8, 1.3, 1.8]),  # given twice, by one that is ahead of us
        ([5.0, 5.5, 5.45, 6.5], [0.0, 0.5, 0.5, 1.5]),  # out of order
        ([5.0, 5.0, 5.0, 5.5, 6.0], [0.0, 0.5, 1.0, 1.5, 2.0]),  # stands still, then goes on
    ],
)
def test_a_clock_that_is_set_anew_neither_squeezes_nor_parts_the_pictures(given, placed):
    now = 100.0
    clock = OutputClock(lambda: now)
    found = []
    for seen in given:
        found.append(float(clock.place(Fraction(seen).limit_denominator(1000))))
        now += 0.5
    assert found == pytest.approx(placed, abs=0.002)


def test_pictures_whose_times_fall_back_again_and_again_are_not_dated_later_and_later():
    now, found, heard = 100.0, [], []
    clock = OutputClock(lambda: now)
    for tick in range(600):
        now = 100.0 + tick / 10
        found.append(float(clock.place(Fraction(tick + 4 * (tick % 3 == 1), 10))))
        heard.append(float(clock.beside(Fraction(tick, 10))))
    assert all(abs(found[tick] - tick / 10) < 0.8 for tick in range(600))
    assert all(abs(heard[tick] - tick / 10) < 0.8 for tick in range(600))
    assert all(earlier < later for earlier, later in pairwise(found))


@pytest.mark.parametrize("drift", [-2, 2])
def test_a_clock_that_drifts_is_held_to_ours_over_hours(drift):
    now, found, heard = 100.0, [], []
    clock = OutputClock(lambda: now)
    for tick in range(10_000):
        now = 100.0 + tick + (0.4 if tick % 5 else 0)  # most pictures are late
        found.append(float(clock.place(Fraction(tick) * Fraction(10_000 + drift, 10_000))))
        heard.append(float(clock.beside(Fraction(tick) * Fraction(10_000 + drift, 10_000))))
    assert all(abs(found[tick] - tick) < 0.05 for tick in range(10_000))
    assert all(abs(heard[tick] - tick) < 0.05 for tick in range(10_000))


def test_a_pipe_that_is_quicker_than_its_times_keeps_them_after_a_leap():
    now = 100.0
    clock, found = OutputClock(lambda: now, paced=False), []
    for tick in range(60):
        now += 0.01
        found.append(float(clock.place(Fraction(tick + 500 * (tick > 30), 10))))
    assert [later - earlier for earlier, later in pairwise(found[32:])] == pytest.approx([0.1] * 27)


@pytest.mark.parametrize("rate", [0.01, 0.3, 1.0, 1.5])
def test_a_camera_whose_clock_goes_wrong_is_dated_as_its_pictures_come(rate):
    now = 100.0
    clock, found, heard = OutputClock(lambda: now), [], []
    for tick in range(1200):
        now = 100.0 + tick / 10
        found.append(float(clock.place(Fraction(tick, 10) * Fraction(rate).limit_denominator(1000))))
        heard.append(float(clock.beside(Fraction(tick, 10))))
    late = range(400, 1200)
    assert found[1199] - found[400] == pytest.approx(79.9, abs=0.1)
    assert all(abs(heard[tick] - found[tick]) < 4 for tick in late)
    assert all(found[tick] > found[tick - 1] for tick in late)


@pytest.mark.parametrize("rate", [0.7, 1.4])
def test_sound_stays_beside_the_pictures_of_a_sender_that_is_too_slow_or_too_quick_in_all(rate):
    now = 0.0
    clock = OutputClock(lambda: now)
    apart = []
    for tick in range(2000):  # at 10 a second, and sound that comes 0.3 s after the pictures of its time
        now = tick / 10
        time = Fraction(tick, 10) * Fraction(rate).limit_denominator(10)
        apart.append(float(clock.place(time) - clock.beside(time - Fraction(3, 10))))
    assert 0.2 < min(apart) <= max(apart) < 0.4


def test_a_camera_that_catches_up_after_stalls_keeps_its_own_times():
    clock, arrival = OutputClock(lambda: arrival), 0.0
    found = []
    for tick in range(1200):
        arrival = max(arrival, 100 + tick / 10, 100 + 9 * (1 + tick // 90) if tick % 90 > 30 else 0)
        found.append(float(clock.place(Fraction(tick, 10))))
    assert found == pytest.approx([tick / 10 for tick in range(1200)])


@pytest.mark.parametrize("leap", [8.0, -8.0])
def test_sound_whose_clock_leaps_before_that_of_the_pictures_stays_beside_them(leap):
    now = 100.0
    clock = OutputClock(lambda: now)
    heard = []
    for tick in range(60):
        now += 0.1
        seen = clock.place(Fraction(tick + 10 * round(leap) * (tick > 20), 10))
        heard.append(clock.beside(Fraction(tick + 10 * round(leap) * (tick > 18), 10)) - seen)
    assert all(abs(apart) < 0.3 for apart in heard)


def test_sound_is_beside_the_pictures_of_a_new_connection_after_one_whose_first_picture_was_late():
    now, apart = 100.0, []
    clock = OutputClock(lambda: now)
    for tick in range(100):
        now = 100.3 + tick / 25 - 0.3 * (tick > 0)
        if tick == 50:
            clock.connect()
        seen = clock.place(Fraction(tick, 25))
        apart.append(float(clock.beside(Fraction(tick, 25)) - seen))
    assert apart[:50] == [0.0] * 50
    assert apart[-25:] == [0.0] * 25


def test_sound_goes_on_while_pictures_are_rare():
    now = 100.0
    clock = OutputClock(lambda: now)
    clock.place(Fraction(5))
    for tick in range(100):
        assert clock.beside(Fraction(5) + Fraction(tick, 10)) == Fraction(tick, 10)
        now += 0.1


def test_waits_double_up_to_the_bound_and_never_go_in_step():
    waits = [[backoff.next() for _ in range(12)] for backoff in (Backoff(5.0), Backoff(5.0))]
    assert waits[0] != waits[1]
    assert all(wait <= 5.0 for wait in waits[0])
    assert min(waits[0][6:]) >= 2.5
    again = Backoff(5.0)
    again.next()
    again.worked(4.9)
    again.next()
    assert again.tries == 2
    again.worked(5.1)
    assert again.next() <= 0.2


def test_what_fails_for_weeks_is_told_less_and_less_often_and_at_once_when_it_fails_otherwise():
    backoff = Backoff(5.0)
    told = [count for count in range(1, 2001) if backoff.level("gone") == logging.WARNING]
    assert told == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1536]
    assert [backoff.level("forbidden") for _ in range(3)] == [logging.WARNING, logging.WARNING, logging.DEBUG]
    told = [[backoff.level(failure) for failure in ("ended", "refused")] for _ in range(100)]
    assert (
        sum(levels.count(logging.WARNING) for levels in told) == 14
    )  # 1, 2, 4 to 64 of both, which take turns
    assert backoff.level("no piece 17") == backoff.level("no piece 18") == logging.WARNING
    assert backoff.level("no piece 19") == logging.DEBUG
    backoff.worked(600)
    assert backoff.level("no piece 20") == logging.WARNING  # the fourth
    backoff.worked(36000)
    assert backoff.level("no piece 21") == logging.WARNING


def test_texts_without_end_are_forgotten_but_not_what_recurs_among_them():
    seldom = Seldom()
    names = ("".join(letters) for letters in product("abcdefghij", repeat=3))
    told = [seldom.level("full") for name in names if seldom.level(f"no {name}")]
    assert told.count(logging.WARNING) == 10  # 1, 2, 4 to 512
    assert len(pickle.dumps(seldom)) < 10_000


def test_that_it_works_again_is_told_where_its_failure_was():
    backoff = Backoff(5.0)
    told = [backoff.back() == logging.INFO]
    for _ in range(8):
        backoff.level("ended")
        told.append(backoff.back() == logging.INFO)
    assert [number for number, aloud in enumerate(told) if aloud] == [0, 1, 2, 4, 8]


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 0.5), ("5", 5.0), ("5s", 5.0), ("10m", 600.0), ("1.5h", 5400.0), ("7d", 604800.0)],
)
def test_spans_of_time_are_read_with_their_unit(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5 parsecs", "-1s", "0s", "s"])
def test_what_is_no_span_of_time_is_refused(text):
    with pytest.raises(UsageError, match="10m"):
        seconds(text)


def test_amounts_of_data_are_read_with_their_unit():
    assert (amount("50GB"), amount("1.5MB"), amount("2 tb")) == (50 * 10**9, 1_500_000, 2 * 10**12)
    with pytest.raises(UsageError, match="50GB"):
        amount("50")


def test_passwords_come_from_the_environment_or_a_file_encoded_as_a_url_needs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("CAM", "a/b@c")
    (tmp_path / "word").write_text("d:e\n")
    assert fill("rtsp://me:{env:CAM}@cam/1") == "rtsp://me:a%2Fb%40c@cam/1"
    assert fill(f"rtsp://me:{{file:{tmp_path}/word}}@cam/1") == "rtsp://me:d%3Ae@cam/1"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fill("rtsp://me:{file:~/word}@cam/1") == "rtsp://me:d%3Ae@cam/1"
    with pytest.raises(UsageError, match="NOWHERE is not set"):
        fill("rtsp://me:{env:NOWHERE}@cam/1")
    with pytest.raises(UsageError, match="cannot be read"):
        fill("rtsp://me:{file:/nowhere}@cam/1")
    with pytest.raises(UsageError, match="cannot be read"):
        fill("rtsp://me:{file:~nobody-of-that-name/word}@cam/1")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("srt://host:1", {}, "rtsp://, rtmp:// or udp://"),
        ("ftp://host/x", {}, "cannot be written to"),
        ("-", {}, "standard output"),
        ("cam/%H.mp4", {}, "--segment 10m"),
        ("cam.avi", {}, ".mkv"),
        ("cam/%c.mp4", {"segment": "1h", "keep": "1d"}, "%Y-%m-%d_"),
        ("cam/%5Y.mp4", {"segment": "1h", "keep": "1d"}, "%Y-%m-%d_"),
        ("cam/%Y.mp4", {"segment": "1h", "keep": "5"}, "as in 5d or 5GB"),
    ],
)
def test_what_is_no_output_for_a_camera_is_refused_with_what_is(text, options, words):
    with pytest.raises(UsageError, match=words):
        resolve(text, **options)


@pytest.mark.parametrize("name", ["rec/%H.mp4", "a.mp4", "hls/index.m3u8"])
def test_a_home_in_the_name_of_an_output_is_that_of_the_user(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert resolve(f"~/{name}", segment="1h").url == f"/home/me/{name}"


def test_pieces_beyond_an_age_or_a_size_are_removed_oldest_first_and_other_files_stay(tmp_path):
    pattern = f"{tmp_path}/%Y/%m-%d_%H.mp4"
    (tmp_path / "2026").mkdir()
    names = ["01-01_10.mp4", "01-01_11.mp4", "01-01_11_1.mp4", "01-01_12.mp4", "notes.txt", "holiday.mp4"]
    for age, name in enumerate(reversed(names)):
        path = tmp_path / "2026" / name
        path.write_bytes(bytes(1_000_000))
        os.utime(path, (1000 - age, 1000 - age))
    current = tmp_path / "2026/01-01_12.mp4"
    assert {path.name for path in pieces_of(pattern)} == set(names[:4])
    prune(resolve(pattern, segment="1h", keep="1.5MB"), 1000, current, pytest.fail)
    left = {path.name for path in (tmp_path / "2026").iterdir()}
    assert left == {"01-01_11_1.mp4", "01-01_12.mp4", "notes.txt", "holiday.mp4"}
    prune(resolve(pattern, segment="1h", keep="1s"), 1000, current, pytest.fail)
    assert {path.name for path in (tmp_path / "2026").iterdir()} == {
        "01-01_12.mp4",
        "notes.txt",
        "holiday.mp4",
    }


def test_recordings_of_others_in_the_same_folder_are_no_pieces_of_this_one(tmp_path, monkeypatch):
    others = [
        "holiday-in-rome.mp4",
        "door_night_10-00.mp4",
        "door_10-00.ts",
        "door_10-xx.mp4",
        "2026-1-2-3.mp4",
    ]
    mine = ["2026-01-02.mp4", "2026-01-03_1.mp4", "door_10-00.mp4", "door_10-00_12.mp4", "100%_Jan.mp4"]
    for name in (*others, *mine):
        (tmp_path / name).touch()
    patterns = ("%Y-%m-%d.mp4", "%F.mp4", "door_%H-%M.mp4", "100%%_%b.mp4")
    assert {path.name for pattern in patterns for path in pieces_of(f"{tmp_path}/{pattern}")} == set(mine)
    monkeypatch.chdir(tmp_path)
    assert {str(path) for path in pieces_of("./%F.mp4")} == set(mine[:2])


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        ("cam1%H.mp4", "cam15.mp4"),  # cam%H.mp4
        ("cam%b.mp4", "cameraFeb.mp4"),
        ("day%j.mp4", "day12.mp4"),
        ("%F.mp4", "2026-01-02_05.mp4"),  # %F_%H.mp4
    ],
)
def test_pieces_of_a_camera_are_not_those_of_one_whose_name_begins_alike(mine, other, tmp_path):
    (tmp_path / other).touch()
    assert pieces_of(f"{tmp_path}/{mine}") == []


LETTERS = ["C%d%g%H%I%j%m%M%S%U%u%V%w%W%y%Y%G", "e%k%l%-e%0k", "a%A%b%B%h%p%P%^a%#p", "s%F_%R_%T%%"]


@pytest.mark.parametrize("letters", [*LETTERS, "-H%-j%-m", "_d%_j%_Y"])
@pytest.mark.parametrize("moment", [0, 1_767_225_599, 1_776_300_000])
def test_a_piece_is_found_whatever_its_name_is_made_of(letters, moment, tmp_path):
    pattern = f"{tmp_path}/%{letters}.mp4"
    assert resolve(pattern, segment="1h", keep="1d").keep_seconds
    piece = Path(time.strftime(pattern, time.localtime(moment)))
    piece.touch()
    assert pieces_of(pattern) == [piece]


def test_a_piece_that_cannot_be_removed_is_told_of_and_the_others_are_removed(tmp_path, monkeypatch):
    for name in ("01.ts", "02.ts", "03.ts"):
        (tmp_path / name).write_bytes(b"old")
        os.utime(tmp_path / name, (0, 0))
    unlink = Path.unlink

    def refuse(path, missing_ok=False):
        if path.name == "02.ts":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    told = []
    prune(resolve(f"{tmp_path}/%H.ts", segment="1h", keep="1h"), 1e6, tmp_path / "04.ts", told.append)
    assert [path.name for path in tmp_path.iterdir()] == ["02.ts"]
    assert told == [f"{tmp_path}/02.ts cannot be removed: Operation not permitted"]


def test_folders_whose_last_piece_was_removed_go_as_well_unless_they_hold_something_else(tmp_path):
    for name in ("2026/11/30/10.ts", "2026/12/30/10.ts", "2026/12/31/10.ts", "2026/12/31/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"old")
        os.utime(tmp_path / name, (0, 0))
    current = tmp_path / "2027/01/01/00.ts"
    current.parent.mkdir(parents=True)  # it is about to be written
    prune(resolve(f"{tmp_path}/%Y/%m/%d/%H.ts", segment="1h", keep="1h"), 1e6, current, pytest.fail)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.name != "notes.txt"}
    assert left == {"2026", "2026/12", "2026/12/31", "2027", "2027/01", "2027/01/01"}


@pytest.mark.parametrize(
    ("zone", "from_", "length", "until"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29 00:00", "1d", "2026-03-30 00:00"),  # of 23 hours
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25 00:00", "1d", "2026-10-26 00:00"),  # of 25
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25 00:00", "12h", "2026-10-25 12:00"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29 01:10", "1h", "2026-03-29 03:00"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29 01:10", "45m", "2026-03-29 01:30"),
        ("LHST-10:30LHDT-11,M10.1.0,M4.1.0", "2026-04-05 01:10", "1h", "2026-04-05 02:00"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29 00:10", "2h", "2026-03-29 03:00"),
        ("LHST-10:30LHDT-11,M10.1.0,M4.1.0", "2026-10-04 01:10", "1h", "2026-10-04 02:30"),
    ],
)
def test_pieces_begin_at_round_times_of_the_clock_on_the_wall(zone, from_, length, until, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        begins = time.mktime(time.strptime(from_, "%Y-%m-%d %H:%M"))
        ends = round_after(begins + 0.3, seconds(length))
        assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ends)) == f"{until}:00"
    finally:
        monkeypatch.undo()
        time.tzset()
