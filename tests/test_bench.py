"""The bench: its metrics against other implementations and by hand, its input, its peers, and its commands."""

import json
import math
import re
import time
from functools import partial
from itertools import pairwise

import clips as made
import cv2
import numpy as np
import pytest
from skimage import data
from skimage import metrics as skimage_metrics

import vidnoise
from vidnoise import errors, registry
from vidnoise.bench import clips, engine, isolated, metrics, ours, pairs, peers, plot, quality, report, speed
from vidnoise.bench.canvas import Axis
from vidnoise.chain import Chain
from vidnoise.device import choose
from vidnoise.io import OutputOptions

PICTURE = data.astronaut()[100:260, 150:350]


def noisy(picture, sigma=20, seed=1):
    return clips.add_noise([picture], sigma, seed)[0]


@pytest.fixture
def bench(vidnoise, monkeypatch):
    """Runs `vidnoise bench`."""
    monkeypatch.setenv("COLUMNS", "110")
    return partial(vidnoise, "bench")


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    """Two clips: a folder of frames, named so that sorting by text would mix them, and a lossless video file."""
    folder = tmp_path_factory.mktemp("data")
    frames = clips.rendered(64, 48, 11)
    (folder / "frames").mkdir()
    for i, frame in enumerate(frames):
        cv2.imwrite(str(folder / "frames" / f"{i}.png"), frame[..., ::-1])
    made.Clip(
        frames=7, size=(64, 48), codec="ffv1", pix_fmt="bgr0", options={}, draw=lambda i: frames[i]
    ).save(folder / "video.mkv")
    (folder / "notes.txt").write_text("not a clip")
    return folder


# Metrics


@pytest.mark.parametrize("sigma", [0, 2, 25])
def test_psnr_and_ssim_are_those_of_scikit_image(sigma):
    other = noisy(PICTURE, sigma)
    ssim = skimage_metrics.structural_similarity(
        PICTURE, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )  # fmt: skip
    assert metrics.ssim(PICTURE, other) == pytest.approx(ssim, abs=2e-5)
    if sigma:
        psnr = skimage_metrics.peak_signal_noise_ratio(PICTURE, other, data_range=255)
        assert metrics.psnr(metrics.mse(PICTURE, other)) == pytest.approx(psnr, abs=1e-4)
    else:
        assert metrics.psnr(metrics.mse(PICTURE, other)) == math.inf


def test_ssim_of_pictures_smaller_than_its_window_is_refused():
    with pytest.raises(ValueError, match="11x11"):
        metrics.ssim(PICTURE[:10], PICTURE[:10])


def still_clip(count=4):
    return [PICTURE.copy() for _ in range(count)]


def panning_clip(count=4):
    whole = data.astronaut()
    return [whole[100:260, 100 + 3 * i : 300 + 3 * i].copy() for i in range(count)]


def test_flicker_of_white_noise_in_a_still_clip_is_its_deviation_times_the_root_of_two():
    clean = still_clip()
    out = clips.add_noise(clean, 10, 0, kind="float")
    scores = metrics.judge(clean, out, metrics.motions(clean), skip=0)
    assert scores["flicker"] == pytest.approx(10 * math.sqrt(2), rel=0.02)


def test_a_steady_error_does_not_flicker_and_has_no_warping_error():
    clean = still_clip()
    out = [frame + noisy(PICTURE, 10).astype(np.float32) - PICTURE for frame in clean]
    scores = metrics.judge(clean, out, metrics.motions(clean), skip=0)
    assert scores["flicker"] == pytest.approx(0, abs=1e-3)
    assert scores["warping"] == pytest.approx(0, abs=1e-3)
    assert scores["psnr"] < 30


def test_the_warping_error_follows_motion_and_sees_noise():
    clean = panning_clip()
    steps = metrics.motions(clean)
    still = metrics.judge(clean, clean, steps, skip=0)["warping"]
    noise = metrics.judge(clean, clips.add_noise(clean, 20, 0, kind="float"), steps, skip=0)["warping"]
    unaligned = 1000 * np.mean([np.square((a - b.astype(float)) / 255).mean() for a, b in pairwise(clean)])
    assert still < 0.2 * unaligned
    # Bilinear sampling smooths the warped frame's noise, so it lies between one and two variances.
    assert 1.2 < (noise - still) / (1000 * (20 / 255) ** 2) < 2.1


def test_flicker_is_not_measured_where_everything_moves():
    clean = clips.add_noise(still_clip(), 40, 3)
    assert math.isnan(metrics.judge(clean, clean, metrics.motions(clean), skip=0)["flicker"])


def test_the_first_frames_do_not_count():
    clean = panning_clip()
    out = [np.zeros_like(clean[0])] * 2 + clean[2:]
    steps = metrics.motions(clean)
    assert metrics.judge(clean, out, steps, skip=2)["psnr"] == math.inf
    assert metrics.judge(clean, [*out[:2], *clips.add_noise(out[2:], 30, 0)], steps, skip=2)["psnr"] < 20
    out[1] = clean[1]
    assert metrics.judge(clean, out, steps, skip=1)["psnr"] == math.inf


# Input


def test_clips_are_video_files_and_folders_of_pictures_in_the_order_of_their_numbers(data_folder):
    found = clips.find(data_folder)
    assert [path.name for path in found] == ["frames", "video.mkv"]
    a, b = (clips.load(path, 30) for path in found)
    assert (len(a.frames), len(b.frames)) == (11, 7)
    expected = clips.rendered(64, 48, 11)
    assert all(np.array_equal(x, y) for x, y in zip(a.frames, expected, strict=True))
    assert all(np.abs(x.astype(int) - y).max() <= 1 for x, y in zip(b.frames, expected, strict=False))
    assert len(clips.load(found[0], 3).frames) == 3


def test_what_is_no_clip_is_refused_with_advice(tmp_path):
    with pytest.raises(errors.InputError, match="does not exist"):
        clips.find(tmp_path / "missing")
    with pytest.raises(errors.InputError, match="no video file"):
        clips.find(tmp_path)
    cv2.imwrite(str(tmp_path / "1.png"), PICTURE)
    cv2.imwrite(str(tmp_path / "2.png"), PICTURE[:50])
    with pytest.raises(errors.InputError, match="differ in size"):
        clips.load(tmp_path, 5)


def test_noise_is_seeded_white_and_as_strong_as_asked():
    gray = [np.full((200, 200, 3), 128, np.uint8)] * 2
    a, b = clips.add_noise(gray, 10, 7, kind="float"), clips.add_noise(gray, 10, 7, kind="float")
    assert np.array_equal(a[0], b[0])
    assert not np.array_equal(a[0], a[1])
    assert not np.array_equal(a[0], clips.add_noise(gray, 10, 8, kind="float")[0])
    assert np.std(a[0]) == pytest.approx(10, rel=0.02)
    rounded = clips.add_noise(gray, 10, 7)[0]
    assert rounded.dtype == np.uint8
    assert np.array_equal(rounded, np.rint(a[0]).clip(0, 255))


def test_coded_noise_does_not_turn_white_into_black() -> None:
    white = [np.full((64, 96, 3), 250, np.uint8)] * 2
    assert min(int(frame.min()) for frame in clips.add_noise(white, 20, 7, "coded")) > 128


def test_the_noise_of_a_camera_grows_with_the_light() -> None:
    dark, light = (
        clips.add_noise([np.full((64, 96, 3), value, np.uint8)] * 3, 20, 7, "camera") for value in (30, 220)
    )
    assert light[1].std() > 1.3 * dark[1].std()


def test_coded_noise_is_weaker_and_came_through_a_codec() -> None:
    gray = [np.full((65, 98, 3), 128, np.uint8)] * 3
    coded = clips.add_noise(gray, 20, 7, "coded")
    assert [(frame.shape, frame.dtype) for frame in coded] == [((65, 98, 3), np.uint8)] * 3
    assert 2 < coded[1].std() < clips.add_noise(gray, 20, 7)[1].std() - 1


# Peers


def test_the_settings_of_peers_lie_between_those_of_the_table():
    table = {10: {"s": 2.0, "n": 3}, 30: {"s": 6.0, "n": 4}}
    assert peers.interpolate(table, 24) == {"s": 4.8, "n": 4}
    assert peers.interpolate(table, 12) == {"s": 2.4, "n": 3}
    assert peers.interpolate(table, 5) == peers.interpolate(table, 10)
    assert peers.interpolate(table, 90) == {"s": 6.0, "n": 4}


@pytest.mark.parametrize("format", ["yuv444p", "gbrp"])
def test_planes_of_peers_come_back_as_the_pictures_they_were(format):
    back = peers.pictures(peers.planes([PICTURE], format), format)[0]
    assert np.abs(back.astype(int) - PICTURE).max() <= (0 if format == "gbrp" else 3)


def test_every_peer_that_is_present_removes_noise_and_keeps_the_frames_in_order():
    clean = panning_clip(6)
    noisy_clip = clips.add_noise(clean, 30, 0)
    before = metrics.mse(clean[4], noisy_clip[4])
    found = peers.choose(["all"])
    assert {peer.home for peer in found} >= {"PyAV", "OpenCV"}
    for peer in found:
        out, seconds = peer.run(noisy_clip, 30)
        assert len(out) == 6
        assert seconds > 0
        errors = [metrics.mse(frame, out[4]) for frame in clean]
        assert min(errors) < 0.75 * before, peer
        assert errors.index(min(errors)) in (3, 4), peer


def test_peers_are_chosen_by_name_and_place():
    everyone = peers.choose(["all"])
    once = peers.choose([])
    assert set(once) <= set(everyone)
    names = [peer.name for peer in once if peer.home != "OpenCV"]
    assert len(names) == len(set(names))
    assert peers.choose(["none"]) == []
    assert [(p.name, p.home) for p in peers.choose(["nlmeans@opencv", "bm3d@pyav"])] == [
        ("nlmeans", "OpenCV"),
        ("bm3d", "PyAV"),
    ]
    with pytest.raises(errors.UsageError, match="bm3d@PyAV"):
        peers.choose(["bm4d"])


def test_a_failing_peer_says_what_ffmpeg_says():
    samples = peers.planes([PICTURE], "yuv444p")
    with pytest.raises(errors.FilterError, match="failed"):
        peers.in_pyav("bm3d=sigma=-5", samples, (200, 160), "yuv444p")
    if peers.program_filters():
        with pytest.raises(errors.FilterError, match="failed"):
            peers.in_program("bm3d=sigma=-5", samples, (200, 160), "yuv444p")
        with pytest.raises(errors.FilterError, match="frames of 3"):
            peers.in_program("select='eq(n,0)'", np.concatenate([samples] * 3), (200, 160), "yuv444p")


# Pairs


def test_pairs_say_how_many_pictures_gained_and_how_much(tmp_path):
    import cv2

    rng = np.random.default_rng(0)
    for name, sigma in (("one", 20), ("two", 30)):
        clean = np.full((48, 64, 3), 128.0)
        cv2.imwrite(str(tmp_path / f"{name}_mean.png"), clean)
        cv2.imwrite(str(tmp_path / f"{name}_real.png"), clean + sigma * rng.standard_normal(clean.shape))
    methods = [ours.Ours(Chain.parse("median"), choose("cpu")), ours.Ours(Chain(), choose("cpu"))]
    median, untouched = (row.values() for row in pairs.measure(pairs.find(tmp_path, "real", "mean"), methods))
    assert (median["pairs"], median["better"]) == (2, 1)
    assert median["gain"] > median["worst"] > 3
    assert (untouched["better"], untouched["gain"]) == (0, 0)


def test_bench_pairs_cleans_pictures_among_the_frames_around_them(bench, tmp_path):
    frames = clips.rendered(64, 48, 5)
    for folder in ("pairs", "sequence"):
        (tmp_path / folder).mkdir()
    for i, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "sequence" / f"{i}.png"), noisy(frame, seed=i)[..., ::-1])
    for name, picture in (("in", noisy(frames[2], seed=2)), ("out", noisy(frames[2], seed=9))):
        cv2.imwrite(str(tmp_path / "pairs" / f"{name}_real.png"), picture[..., ::-1])
        cv2.imwrite(str(tmp_path / "pairs" / f"{name}_mean.png"), frames[2][..., ::-1])
    words = ("pairs", tmp_path / "pairs", "-f", "median", "--device", "cpu")
    assert re.search(r"median +2 +22\.\d+ +2[4-9]\.\d+ +100\.0%", bench(*words).out)
    record = bench(*words, "--within", tmp_path / "sequence", "--json").record
    assert [path.rpartition("/")[2] for path in record["rows"][0]["gains"]] == ["in_real.png"]
    answer = bench(*words, "--within", tmp_path / "pairs", "--words", "mean", "real")
    assert (answer.status, "none of the pictures is a frame" in answer.err) == (0, False)
    cv2.imwrite(str(tmp_path / "pairs" / "out_mean.png"), frames[2][:40])
    assert "out_mean.png differ in size" in bench(*words).failed(1)


def test_a_noisy_picture_without_a_partner_is_named(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "one_real.png"), np.zeros((8, 8, 3)))
    with pytest.raises(errors.InputError, match="one_mean"):
        pairs.find(tmp_path, "real", "mean")
    with pytest.raises(errors.InputError, match="--words"):
        pairs.find(tmp_path, "noisy", "mean")


# Quality


def plan(data_folder, **changes):
    return quality.Plan(data_folder, **{"sigmas": (20,), "skip": 2, "most": 6, **changes})


def test_every_method_gets_the_same_noisy_frames(data_folder):
    median = ours.Ours(Chain.parse("median"), choose("cpu"))
    untouched = ours.Ours(Chain(), choose("cpu"))
    rows = quality.measure(plan(data_folder, sigmas=(10, 30)), [untouched, median])
    assert [(row.method, row.sigma) for row in rows] == [
        ("noisy", 10), ("none", 10), ("median", 10), ("noisy", 30), ("none", 30), ("median", 30),
    ]  # fmt: skip
    values = [row.values() for row in rows]
    assert values[0]["psnr"] == values[1]["psnr"]
    assert values[3]["psnr"] == pytest.approx(19, abs=0.7)
    assert values[5]["psnr"] > values[3]["psnr"] + 1
    assert values[5]["fps"] > 0
    assert set(values[5]["clips"]) == {"frames", "video"}
    assert values[5]["psnr"] == pytest.approx(np.mean([clip["psnr"] for clip in values[5]["clips"].values()]))


def test_stills_are_measured_one_by_one_whatever_their_sizes(tmp_path):
    import cv2

    for name, size in (("a", (40, 60)), ("b", (50, 30))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((*size, 3), 128, np.uint8))
    median = ours.Ours(Chain.parse("median"), choose("cpu"))
    noisy, cleaned = quality.measure(plan(tmp_path, stills=True, skip=4), [median])
    assert list(noisy.clips) == ["a", "b"]
    assert cleaned.values()["psnr"] > noisy.values()["psnr"] + 3
    assert math.isnan(noisy.values()["flicker"])


def test_two_runs_agree(data_folder):
    first, second = (quality.measure(plan(data_folder), [])[0].values() for _ in range(2))
    assert first["clips"] == second["clips"]
    assert first["clips"] != quality.measure(plan(data_folder, seed=1), [])[0].values()["clips"]


def test_a_method_that_fails_does_not_stop_the_others(data_folder):
    broken = peers.FFmpegPeer(peers.Recipe("broken", "bm3d=sigma=-5", "yuv444p", {30: {}}), peers.PYAV)
    untouched = ours.Ours(Chain(), choose("cpu"))
    told = []
    rows = quality.measure(plan(data_folder), [broken, untouched], told.append)
    assert "bm3d" in rows[1].failure
    assert math.isnan(rows[1].values()["psnr"])
    assert rows[2].frames > 0
    assert any("broken" in line for line in told)


def test_clips_that_are_too_short_are_named(data_folder):
    told = []
    quality.measure(plan(data_folder, skip=8, most=30), [], told.append)
    assert any("video is left out" in line for line in told)
    with pytest.raises(
        errors.UsageError, match=r"no clip .* more than 21 frames; lower --skip, or add --stills"
    ):
        quality.measure(plan(data_folder, skip=20, most=30), [])
    with pytest.raises(errors.UsageError, match="type --frames 6 or more, or lower --skip"):
        quality.measure(plan(data_folder, skip=4, most=5), [])


def test_bench_quality_writes_a_table_json_and_a_picture(bench, data_folder, tmp_path):
    answer = bench(
        "quality", data_folder, "-f", "none", "-f", "median,bilateral", "-p", "removegrain", "--sigma", "20",
        "--frames", 6, "--device", "cpu", "-o", tmp_path / "result",
    )  # fmt: skip
    assert "median,bilateral" in answer.done()
    assert "PSNR" in answer.out
    saved = json.loads((tmp_path / "result" / "quality.json").read_text())
    assert saved["machine"]["cores"] >= 1
    assert saved["machine"]["versions"]["torch"]
    assert saved["seed"] == 0
    assert saved["command"]
    assert [row["method"] for row in saved["rows"]] == ["noisy", "none", "median,bilateral", "removegrain"]
    assert saved["rows"][0]["fps"] is None
    picture = cv2.imread(str(tmp_path / "result" / "quality.png"))
    assert picture.shape[1] > 400
    assert (picture != 255).any()


def test_bench_quality_measures_deblurring_on_pairs_among_neighbours_and_on_clips(
    bench, data_folder, tmp_path
):
    frames = clips.rendered(64, 48, 5)
    folders = [tmp_path / "deblur" / name for name in ("pairs/blur", "pairs/sharp", "sequence")]
    for folder, pictures in zip(folders, (frames[2:3], frames[1:2], frames), strict=True):
        folder.mkdir(parents=True)
        for i, picture in enumerate(pictures):
            cv2.imwrite(str(folder / f"{i}.png"), picture[..., ::-1])
    (tmp_path / "video").symlink_to(data_folder)
    words = ["-f", "median", "-p", "none", "--blur", "5", "--frames", 6, "--device", "cpu"]
    out = bench("quality", tmp_path, "--deblur", *words).done()
    for title in ("pairs, each alone", "pairs among their neighbours", "motion blur, 5 pixels"):
        assert title in out
    assert "deblur" in bench("quality", data_folder, "--deblur", *words).failed(1)


LITTLE = ("--sigma", "20", "--frames", "6", "-f", "none", "-p", "none", "--device", "cpu")
RATES = ("--size", "480p", "-f", "median", "-p", "none", "--no-engine")


def test_noise_of_an_unknown_kind_is_refused():
    with pytest.raises(
        errors.UsageError, match="noise 'cded' is not known; it is one of rounded, float, coded"
    ):
        clips.add_noise(still_clip(), 10, 0, kind="cded")


def test_bench_explains_what_it_does_not_understand(bench, data_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    unreadable = tmp_path / "unreadable"
    unreadable.mkdir()
    (unreadable / "1.png").write_bytes(b"junk")
    for words, said in [
        (("quality", data_folder, "--sigma", "ten"), "10,30,50"),
        (("quality", data_folder, "--sigma", "10,300"), "goes beyond 0 to 255"),
        (("quality", tmp_path / "empty", "--stills"), "holds no picture"),
        (
            ("quality", unreadable, "--stills", "-p", "none", "-f", "none"),
            "is no picture that OpenCV can read",
        ),
        (("quality", data_folder, *LITTLE, "-o", unreadable / "1.png" / "x"), "cannot be made"),
        (("pairs", data_folder, "--words", "real", "real"), "cannot tell noisy pictures from clean ones"),
        (("quality", data_folder, "-f", "medain"), "median"),
        (("quality", data_folder, "--seed", "-1"), "'--seed': -1 is not in the range"),
        (("quality", data_folder / "missing"), "does not exist"),
        (("speed", "--size", "4k"), "1080p"),
        (("speed", "--clip", data_folder / "missing.mp4", *RATES), "missing.mp4"),
        (("speed", "--clip", tmp_path / "empty", *RATES), "holds no frames"),
    ]:
        assert said in bench(*words).failed(1, 2)


def test_all_filters_are_measured_where_none_is_named():
    names = {chain.filters[0].name for chain in ours.chains([])}
    assert names == set(registry.filters()) - {"model"}  # which is nothing without somebody's file


# Speed


def test_bench_speed_measures_rates_and_memory(bench, tmp_path):
    answer = bench(
        "speed", "--size", "480p", "-f", "none", "-f", "median", "-p", "removegrain@pyav", "--seconds", "0.05",
        "--no-engine", "--device", "cpu", "-o", tmp_path, "--json",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    record = answer.record
    assert record == json.loads((tmp_path / "speed.json").read_text())
    assert [row["method"] for row in record["rows"]] == ["none", "median", "removegrain"]
    for row in record["rows"]:
        assert row["failure"] == ""
        assert 0 < row["slowest"] <= row["fps"] <= row["fastest"]
        assert 20 < row["memory"] < 20000


def test_bench_speed_measures_filters_with_several_frames_at_once(bench, monkeypatch):
    median, sizes = registry.find("median"), set()
    process = median.process

    def slowly(self, frames):
        time.sleep(0.01)  # as many as may be together are there when the next are asked for
        sizes.add(len(frames))
        return process(self, frames)

    monkeypatch.setattr(median, "process", slowly)
    monkeypatch.setattr(speed, "isolated", lambda work, job, programs: (work(job), 1.0))
    monkeypatch.setitem(speed.SIZES, "480p", (64, 48))
    words = ["-f", "median", "-p", "none", "--seconds", "0.05", "--no-engine", "--device", "cpu", "--json"]
    bench("speed", "--size", "480p", "--batch", 1, *words).done()
    assert sizes == {1}
    answer = bench("speed", "--size", "480p", "--batch", 1, "--batch", 3, *words)
    assert max(sizes) == 3
    rows = answer.record["rows"]
    assert [row["batch"] for row in rows] == [1, 3]
    assert all(row["fps"] > 0 for row in rows)


def test_bench_speed_shows_peers_of_all_places_and_what_fails_in_a_table(bench, monkeypatch):
    monkeypatch.setattr(speed, "isolated", lambda work, job, programs: (work(job), 54321.0))
    monkeypatch.setitem(speed.SIZES, "480p", (64, 48))
    monkeypatch.setenv("COLUMNS", "80")
    peers = ("-p", "hqdn3d@ffmpeg", "-p", "removegrain@pyav", "-p", "nlmeans@opencv")
    words = ("--size", "480p", "--seconds", "0.01", "--no-engine", *peers, "-f", "model:path=lost.onnx")
    out = bench("speed", *words).done()
    for method, place in (("hqdn3d", "ffmpeg"), ("removeg", "PyAV"), ("nlmeans", "OpenCV")):
        assert re.search(rf" {method}\w* +{place} +- +\d.* 54321 ", out)
    assert re.search(r"path='.*lost\.onnx'\s+cannot\s+be\s+read", out)


def test_memory_is_measured_in_a_process_of_its_own():
    result, little = isolated.isolated(eval, "len(b'x' * 1000)")
    assert result == 1000
    much = isolated.isolated(eval, "len(b'x' * (200 << 20))")[1]
    assert much - little == pytest.approx(200, abs=10)
    with pytest.raises(errors.UsageError, match="1080p"):
        isolated.isolated(speed.sizes, ["4k"])


def test_a_clip_is_brought_to_the_size_that_is_measured(data_folder):
    noise = speed.Noise(data_folder / "frames", sigma=0)
    frames = noise.frames(*speed.SIZES["480p"])
    assert frames[0].shape == (480, 854, 3)
    assert len(frames) == speed.LOOP


# The engine


def test_the_pass_through_filter_goes_through_floats_and_changes_nothing(tmp_path):
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    made.Clip(frames=5, codec="ffv1", options={}).save(source)
    vidnoise.run(source, engine.PassThrough(), target, output=OutputOptions(codec="ffv1"))
    with vidnoise.open(source, engine.PassThrough()) as frames:
        assert all(frame.touched for frame in frames)
    a, b = (clips.load(path, 9).frames for path in (source, target))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert engine.PassThrough.name not in registry.filters()


def test_memory_does_not_grow_with_the_length_of_the_video():
    short, long = (engine.peak_memory(frames, (480, 272)) for frames in (60, 400))
    assert long < 1.05 * short


@pytest.mark.skipif(not engine.has_program(), reason="no ffmpeg program to compare with")
def test_the_engine_is_compared_with_ffmpeg():
    found = engine.compare((320, 180), frames=10, rounds=1)
    assert found.ratio == found.ours[0] / found.ffmpeg[0] > 0


# Reports and pictures


def test_what_is_not_a_number_becomes_null_in_json(tmp_path):
    report.save(tmp_path / "x.json", {"a": math.nan}, [{"b": [math.inf, 1.0]}])
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "rows": [{"b": [None, 1.0]}]}


def test_without_the_programs_git_and_ffmpeg_neither_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    about = report.describe()
    assert about["commit"] is None
    assert "ffmpeg program" not in about["machine"]["versions"]
    peers.program_filters.cache_clear()
    assert {peer.home for peer in peers.present()} == {"PyAV", "OpenCV"}
    peers.program_filters.cache_clear()


def test_a_chart_of_noisy_pictures_alone_says_that_nothing_was_measured():
    noisy_alone = {"method": "noisy", "home": "", "sigma": 30, "psnr": 19.0, "fps": math.nan}
    drawn = plot.quality_against_speed([noisy_alone], "")
    assert (drawn[180:240, 200:360] < 200).any()
    measured = plot.quality_against_speed([noisy_alone, noisy_alone | {"home": "PyAV", "fps": 3.0}], "")
    assert (drawn != measured).any()


def test_labels_of_near_points_do_not_hide_one_another():
    rows = [
        {"method": f"method{i}", "home": "ffmpeg", "sigma": 30, "psnr": 27 + 0.01 * i, "fps": 10.0}
        for i in range(4)
    ]
    alone = [plot.quality_against_speed([row], "") for row in rows[:1]]
    assert alone[0].shape == plot.quality_against_speed(rows, "").shape
    boxes = plot.label_boxes(rows, [(100.0, 100.0 + i) for i in range(4)], Axis(0, 1, 0, 500))
    overlaps = [plot.overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert max(overlaps) == 0


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis(0, 10, 0, 1), [0, 2, 4, 6, 8, 10]),
        (Axis(19.2, 28.4, 0, 1), [20, 22, 24, 26, 28]),
        (Axis(0.7, 30, 0, 1, log=True), [1, 2, 5, 10, 20]),
    ],
)
def test_axes_are_labelled_with_round_values(axis, expected):
    assert axis.ticks() == pytest.approx(expected)
