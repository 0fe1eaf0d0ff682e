"""The filters that wrap known methods, and FFmpeg's graphs."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from numpy.lib.stride_tricks import sliding_window_view
from pictures import coffee, psnr
from streams import CPU, clip, info, one, process, through
from torch.overrides import TorchFunctionMode
from vidnoise_filters.portion import Portion

from vidnoise.chain import Chain
from vidnoise.colour import Colour, PixelFormat
from vidnoise.errors import FilterError
from vidnoise.filters import Bilateral, FFmpeg, Guided, Median, NLMeans
from vidnoise.frame import Frame, StreamInfo


def cup(height: int = 120, width: int = 160) -> torch.Tensor:
    return coffee(height, width, left=100)


def noise(sigma: float, like: torch.Tensor) -> torch.Tensor:
    return sigma / 255 * torch.randn(like.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("filter", "gain"),
    [(Bilateral(contrast=60), 3), (Guided(contrast=30), 3), (NLMeans(sigma=20), 5), (Median(), 2)],
)
def test_white_noise_gets_less(filter, gain):
    clean = cup()
    noisy = clean + noise(20, clean)
    assert psnr(one(filter, noisy), clean) > psnr(noisy, clean) + gain


def test_the_median_removes_single_wrong_pixels():
    clean = cup()
    spoilt = clean.clone()
    spoilt[:, ::7, ::5] = 1
    assert psnr(one(Median(), spoilt), clean) > psnr(spoilt, clean) + 10
    assert psnr(one(Median(radius=2), clean), clean) < psnr(one(Median(), clean), clean)


@pytest.mark.parametrize("filter", [Bilateral(contrast=20), Guided(contrast=10)])
def test_a_strong_edge_stays(filter):
    step = torch.full((3, 40, 60), 0.2)
    step[..., 30:] = 0.8
    line = one(filter, step)[0, 20]
    assert float(line[29]) < 0.23
    assert float(line[30]) > 0.77


@pytest.mark.parametrize("filter", [Bilateral(contrast=40, radius=2), Guided(radius=4)])
def test_more_contrast_smooths_more(filter):
    import dataclasses

    noisy = cup() + noise(15, cup())
    rough = [
        float(one(dataclasses.replace(filter, contrast=c), noisy).diff(dim=-1).abs().mean()) for c in (10, 80)
    ]
    assert rough[1] < rough[0]


def test_the_bilateral_sum_for_gpus_is_the_one_on_the_cpu():
    from vidnoise_filters.bilateral import _bilateral

    filter = Bilateral(contrast=30, radius=1.2)
    noisy = cup(41, 57) + noise(15, cup(41, 57))
    assert torch.allclose(one(filter, noisy), _bilateral(noisy[None], 3, 30 / 255, 1.2)[0], atol=1e-3)


def test_the_median_for_gpus_is_the_one_on_the_cpu():
    for radius in (1, 2):
        filter = Median(radius=radius)
        assert torch.equal(one(filter, cup(31, 47)), filter._apply_on_gpu(cup(31, 47)[None])[0])


class NoConvolution(TorchFunctionMode):
    """GPUs do convolutions of float32 with 11 bits of each sample, unless told otherwise."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert "conv" not in function.__name__
        return function(*args, **(kwargs or {}))


def test_filters_for_gpus_take_their_sums_with_all_bits():
    image = cup(41, 57)
    with NoConvolution():
        Median(radius=2)._apply_on_gpu(image[None])
        Guided(radius=2, contrast=1).apply(image[None])
        Portion(1, chroma=2, grain=0)(image, image)


def test_the_guided_filter_fits_lines_over_the_mean_of_the_channels():
    def around(picture):
        return sliding_window_view(np.pad(picture, ((0, 0), (3, 3), (3, 3)), mode="edge"), (7, 7), (1, 2))

    def mean(picture):
        return around(picture).mean((3, 4))

    image = cup(41, 57)
    colours = image.double().numpy()
    guide = colours.mean(0, keepdims=True)
    alike = mean(guide * colours) - mean(guide) * mean(colours)
    slope = alike / (around(guide).var((3, 4)) + (20 / 255) ** 2)
    expected = torch.from_numpy(mean(slope) * guide + mean(mean(colours) - slope * mean(guide))).float()
    assert torch.allclose(one(Guided(radius=3, contrast=20), image), expected, atol=1e-4)


def test_non_local_means_keeps_steps_finer_than_8_bit():
    ramp = torch.linspace(0.5, 0.51, 160).expand(3, 64, 160).contiguous()
    clean = one(NLMeans(sigma=5), ramp)
    assert len(clean[0, 0].unique()) > 100


def test_non_local_means_takes_its_strength_from_the_estimate():
    quiet, loud = cup() + noise(3, cup()), cup() + noise(25, cup())
    assert float((one(NLMeans(), quiet) - quiet).square().mean().sqrt()) < 5 / 255
    assert psnr(one(NLMeans(), loud), cup()) > psnr(loud, cup()) + 5
    assert torch.equal(one(NLMeans(strength=0), loud), loud)


def test_non_local_means_cleans_colours_no_more_than_there_is_noise_in_them():
    gray = 3**0.5 * noise(15, cup()).mean(0, keepdim=True)
    clean = one(NLMeans(), cup() + gray)
    assert psnr(clean, cup()) > psnr(cup() + gray, cup()) + 6
    change = clean - cup() - gray
    assert float((change - change.mean(0)).square().mean().sqrt()) < 2 / 255


def test_non_local_means_cleans_noise_that_neighbours_share_at_little_cost_of_detail():
    coarse = nnf.interpolate(noise(10, torch.zeros(1, 3, 60, 80)), scale_factor=2.0, mode="bilinear")[0]
    assert psnr(one(NLMeans(), cup() + coarse), cup()) > psnr(cup() + coarse, cup()) + 2


def test_non_local_means_leaves_less_noise_the_stronger_it_is_and_the_more_it_compares():
    flat = torch.full((3, 64, 64), 0.5)
    left = [
        float((one(NLMeans(sigma=15, **options), flat + noise(15, flat)) - flat).std())
        for options in ({"strength": 0.5}, {"search": 9}, {"patch": 3}, {})
    ]
    assert left[0] > 2 * left[3]
    assert min(left[1:3]) > 1.1 * left[3]


def test_non_local_means_cleans_what_is_darker_than_black_and_lighter_than_white():
    wide = cup() * 1.3 - 0.15
    noisy = wide + noise(15, wide)
    assert psnr(one(NLMeans(sigma=15), noisy), wide) > psnr(noisy, wide) + 6.5


def test_non_local_means_keeps_the_mean_colour():
    dark = torch.tensor([0.3, 0.15, 0.1])[:, None, None].expand(3, 96, 96)
    noisy = (dark + noise(15, dark)).clamp(0, 1)
    clean = one(NLMeans(sigma=15), noisy)
    assert float((clean - noisy).mean((1, 2)).abs().max()) < 0.5 / 255
    assert psnr(clean, dark) > psnr(noisy, dark) + 18


def test_a_graph_that_does_nothing_keeps_16_bits_and_values_beyond_the_range():
    image = cup() * 1.08 - 0.04
    assert float((one(FFmpeg("null"), image) - image).abs().max()) < 1 / 20000


def test_a_graph_denoises():
    noisy = cup() + noise(20, cup())
    assert psnr(one(FFmpeg("bm3d=sigma=20"), noisy), cup()) > psnr(noisy, cup()) + 2


def test_a_graph_may_branch_and_name_its_links():
    image = cup()
    mixed = one(FFmpeg("[in]split[a][b];[a]negate[n];[n][b]blend=all_mode=average[out]"), image)
    assert float(mixed.std()) < 0.02
    assert float(mixed.mean()) == pytest.approx(0.5, abs=0.05)


def test_commas_and_colons_in_quotes_reach_the_filter():
    text = "geq=lum='if(lt(X,80),lum(X,Y),lum(X\\,Y))':cb='cb(X,Y)':cr=cr(X\\,Y)"
    assert float((one(FFmpeg(text), cup()) - cup()).abs().max()) < 1 / 200
    chain = Chain.parse("ffmpeg:graph='bm3d=sigma=8,deband'")
    assert chain == Chain.of(FFmpeg("bm3d=sigma=8,deband"))


@pytest.mark.parametrize(
    ("graph", "latency"), [("null", 0), ("atadenoise=s=5", 3), ("deflicker=size=7", 7), ("yadif", 1)]
)
def test_the_latency_of_a_graph_is_measured(graph, latency):
    stage = FFmpeg(graph).open(info(), CPU)
    frames = clip(stage.latency + 3, sigma=10)
    counts = [len(stage.push(frame)) for frame in frames]
    assert counts == [0] * stage.latency + [1] * 3
    assert stage.latency <= latency


def test_each_frame_gets_its_own_timestamp_back_after_a_graph_that_looks_ahead():
    frames = clip(7, sigma=0, motion=5)
    done = process(FFmpeg("yadif=deint=interlaced"), frames)
    assert [f.pts for f in done] == [f.pts for f in frames]
    for before, after in zip(frames, done, strict=True):
        assert float((before.image - after.image).abs().max()) < 0.01


@pytest.mark.parametrize(
    "graph", ["fps=50", "select='not(mod(n,2))'", "framestep=2", "bwdif", "reverse", "tpad=stop=2"]
)
def test_a_graph_that_changes_the_number_of_frames_is_refused(graph):
    with pytest.raises(FilterError, match="number of frames"):
        FFmpeg(graph).open(info(), CPU)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ("trim=end_frame=60", "swallowed 10 frames of a scene"),
        ("loop=loop=2:size=1:start=60", "gives more frames than it takes"),
        ("scale=w='if(gt(n,60),1/0,iw)':h=ih:eval=frame", "failed: "),
    ],
)
def test_what_a_graph_does_later_than_in_the_trial_is_told_too(graph, reason):
    with pytest.raises(FilterError, match=reason):
        process(FFmpeg(graph), clip(70, 16, 16))


@pytest.mark.parametrize("size", [(48, 64), (720, 1280)])
def test_a_graph_that_changes_the_size_is_refused(size):
    with pytest.raises(FilterError, match="size"):
        FFmpeg("crop=40:40").open(info(*size), CPU)


def test_a_size_that_only_looks_right_in_the_trial_is_refused_at_the_first_frame():
    stage = FFmpeg("scale=128:128").open(info(200, 200), CPU)
    with pytest.raises(FilterError, match="128x128 of 200x200"):
        through(stage, clip(1, 200, 200))


def test_a_graph_written_for_the_true_size_is_taken():
    frames = clip(2, 200, 200)
    done = process(FFmpeg("crop=200:200:0:0,scale=200:200"), frames)
    assert float((done[0].image - frames[0].image).abs().max()) < 0.01


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ("", "empty"),
        ("bm3d=sigma", "refused"),
        ("bm3d=sigmaa=3", "refused"),
        ("bm33d", "did you mean 'bm3d'"),
        ("'bm3d", "not closed"),
        ("bm3d=sigma=3=,=", "no filter"),
        ("split", "one input and one output"),
        ("[nowhere]bm3d", r"\[nowhere\]"),
        ("anull", "refused"),
    ],
)
def test_a_graph_that_cannot_be_read_is_refused_in_words(graph, reason):
    with pytest.raises(FilterError, match=reason):
        FFmpeg(graph).open(info(), CPU)


@pytest.mark.parametrize(
    "graph",
    [
        "movie=/etc/hostname",
        "lut3d=file=/etc/hostname",
        "null,drawtext=textfile=/etc/hostname",
        "showinfo,sendcmd=f=/etc/hostname",
        "geq=/lum=/etc/hostname",
        "psnr=stats_file=x.log",
        "movie@a=x[m];[in][m]overlay",
    ],
)
def test_filters_that_open_files_are_refused(graph):
    with pytest.raises(FilterError, match=r"open files|opens a file"):
        FFmpeg(graph).open(info(), CPU)


def test_a_graph_works_in_the_streams_own_matrix_and_range():
    image = torch.tensor([0.1, 0.6, 0.3])[:, None, None].expand(3, 32, 32).contiguous()
    for matrix, weights in ((1, (0.2126, 0.7152, 0.0722)), (6, (0.299, 0.587, 0.114))):
        colour = Colour(matrix=matrix, range=1)
        gray = "geq=lum='lum(X,Y)':cb=32768:cr=32768"
        stage = FFmpeg(gray).open(StreamInfo(32, 32, colour=colour), CPU)
        frame = Frame(image=image, pts=0, colour=colour, format=PixelFormat("yuv420p", "yuv"))
        done = through(stage, [frame])[0].image
        luma = math.fsum(w * v for w, v in zip(weights, (0.1, 0.6, 0.3), strict=True))
        assert float((done - luma).abs().max()) < 1e-3
