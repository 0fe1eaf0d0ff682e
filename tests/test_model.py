"""The filter `model`: any network with one picture in and one out, and no file that runs code."""

import contextlib
import pickle
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random
from shutil import copy

import pytest
import torch
from clips import Clip
from models import Scaled, blur, onnx_file, torchscript
from streams import CPU, clip, info, one, process
from torch import Tensor, nn

import vidnoise as vn
from vidnoise.chain import Chain
from vidnoise.cli.errors import message
from vidnoise.errors import FilterError
from vidnoise.filters import Model
from vidnoise.frame import Frame
from vidnoise.nets.weights import FOLDER as WEIGHTS


def picture(height: int = 90, width: int = 110) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


class Halving(nn.Module):
    """A network with `levels` halvings and no padding of its own."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.factor = 2**levels

    def forward(self, x: Tensor) -> Tensor:
        folded = torch.pixel_unshuffle(x, self.factor)
        return torch.pixel_shuffle(folded, self.factor) * 0.5


class Larger(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(x, scale_factor=2.0)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Writing(nn.Module):
    """Writes a file in the working folder when it runs."""

    def forward(self, x: Tensor) -> Tensor:
        torch.save([x], "written")
        return x


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("size", [(90, 110), (20, 33)])
def test_torchscript_gives_what_pytorch_gives(tmp_path, size):
    path = torchscript(blur(), tmp_path / "blur.pt")
    image = picture(*size)
    assert torch.allclose(one(Model(str(path)), image)[:, :-1, :-1], blur()(image)[:, :-1, :-1], atol=1e-6)


@pytest.mark.parametrize(
    "shape", [["n", 3, "h", "w"], [1, 3, None, None], [1, 3, 48, 64], ["n", 1, "h", "w"], [1, "c", 40, "w"]]
)
def test_onnx_gives_what_pytorch_gives_whatever_shape_it_declares(tmp_path, shape):
    pytest.importorskip("onnxruntime", reason="runs ONNX files")
    path = onnx_file(tmp_path / "blur.onnx", shape=shape)
    image = picture()
    assert torch.allclose(one(Model(str(path)), image), blur()(image), atol=1e-5)


def test_a_video_is_cleaned_by_a_model(tmp_path):
    source = Clip(frames=3, size=(64, 48)).save(tmp_path / "in.mkv")
    path = torchscript(Scaled(0.5, 0.5, 0.5), tmp_path / "dark.pt")
    vn.run(source, f"model:path={path}", tmp_path / "out.mkv")
    with vn.open(source, "none") as before, vn.open(tmp_path / "out.mkv", "none") as after:
        for a, b in zip(before, after, strict=True):
            assert float((a.image * 0.5 - b.image).abs().mean()) < 2 / 255


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_the_multiple_that_a_network_needs_is_found(tmp_path, levels):
    path = torchscript(Halving(levels), tmp_path / "net.pt")
    image = picture(71, 93)
    assert torch.allclose(one(Model(str(path)), image), image / 2)


def test_a_multiple_that_is_no_power_of_two_is_given_as_an_option(tmp_path):
    class Thirds(Halving):
        def __init__(self) -> None:
            super().__init__(0)
            self.factor = 3

    path = torchscript(Thirds(), tmp_path / "net.pt")
    image = picture(71, 93)
    with pytest.raises(FilterError, match=r"tried multiples of 1, 2, .*multiple=N"):
        one(Model(str(path)), image)
    assert torch.allclose(one(Model(str(path), multiple=3), image), image / 2)


def test_colours_come_in_the_order_that_is_asked_for(tmp_path):
    path = torchscript(Scaled(0.0, 0.5, 1.0), tmp_path / "net.pt")
    red, _, blue = one(Model(str(path)), picture())
    assert float(red.max()) == 0
    assert torch.equal(blue, picture()[2])
    assert float(one(Model(str(path), order="bgr"), picture())[2].max()) == 0


def test_the_range_is_the_one_that_is_asked_for(tmp_path):
    class Brighter(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 25.5

    path = torchscript(Brighter(), tmp_path / "net.pt")
    assert torch.allclose(one(Model(str(path), white=255), picture()), picture() + 0.1, atol=1e-6)


def test_a_gray_model_is_applied_to_each_channel(tmp_path):
    path = torchscript(Scaled(0.5), tmp_path / "gray.pt")
    assert torch.allclose(one(Model(str(path)), picture()), picture() / 2)


@pytest.mark.parametrize(
    ("module", "words"),
    [(Larger(), r"2 times as large.*scale 1"), (Pair(), "gives a tuple"), (Scaled(1, 1), "3 and 1 channels")],
)
def test_a_network_that_gives_something_else_is_refused(tmp_path, module, words):
    path = torchscript(module, tmp_path / "net.pt")
    with pytest.raises(FilterError, match=words):
        one(Model(str(path)), picture())


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_network_that_gives_no_numbers_is_refused_and_leaves_no_file(tmp_path, factor):
    source = Clip(frames=2, size=(64, 48)).save(tmp_path / "in.mkv")
    path = torchscript(Scaled(1.0, factor, 1.0), tmp_path / "net.pt")
    with pytest.raises(FilterError, match=r"net\.pt' gives NaN or infinity.*float32"):
        vn.run(source, Model(str(path)), tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


def test_onnx_with_other_inputs_is_refused_with_what_they_are(tmp_path):
    pytest.importorskip("onnxruntime", reason="runs ONNX files")
    flat = onnx_file(tmp_path / "flat.onnx", shape=["n", 7], operator="Relu")
    with pytest.raises(FilterError, match=r"takes picture tensor\(float\) \['n', 7\].*height x width"):
        one(Model(str(flat)), picture())
    small = onnx_file(tmp_path / "small.onnx", shape=[1, 3, 8, 8])
    with pytest.raises(FilterError, match="side of 8 pixels only"):
        one(Model(str(small)), picture())


def test_what_is_no_network_is_refused_with_what_to_give(tmp_path):
    (tmp_path / "text.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07 and so on")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("readme", "hello")
    (tmp_path / "cut.pt").write_bytes(torchscript(blur(), tmp_path / "whole.pt").read_bytes()[:300])
    (tmp_path / "cut.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{}")
    for name, words in {
        "missing.onnx": "No such file.*give an ONNX",
        ".": "Is a directory",
        "text.onnx": "begins with b'version http.*give an ONNX",
        "broken.onnx": "onnxruntime",
        "other.pt": "without a network",
        "cut.pt": "damaged",
        "cut.safetensors": "no whole safetensors file",
    }.items():
        with pytest.raises(FilterError, match=words):
            one(Model(str(tmp_path / name)), picture())


def test_onnx_with_two_inputs_is_refused_with_both(tmp_path):
    pytest.importorskip("onnxruntime", reason="runs ONNX files")
    path = onnx_file(
        tmp_path / "two.onnx", shape=[1, 3, "h", "w"], operator="Add", inputs=("picture", "sigma")
    )
    with pytest.raises(
        FilterError, match=r"takes 2 inputs \(picture .*, sigma .*\) and gives 1 outputs; .*--sigma"
    ):
        one(Model(str(path)), picture())


class Told(nn.Module):
    def forward(self, picture: Tensor, sigma: Tensor) -> Tensor:
        return picture + sigma


def test_torchscript_with_two_inputs_is_refused_with_both(tmp_path):
    path = torchscript(Told(), tmp_path / "two.pt")
    with pytest.raises(FilterError, match=r"takes 2 inputs \(picture, sigma\); .*--sigma"):
        one(Model(str(path)), picture())


class Choosy(nn.Module):
    """Leaves pictures as they are, but for those wider than what is tried beforehand."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[3] > 150:
            assert not self.fails, "too wide"
            return x[:, :, :, :150]
        return x


@pytest.mark.parametrize(
    ("fails", "words"), [(True, "failed on 200x100 pixels"), (False, r"gives a tensor \(1, 3, 100, 150\)")]
)
def test_a_network_that_fails_on_larger_frames_than_were_tried_is_told_with_their_size(
    tmp_path, fails, words
):
    path = torchscript(Choosy(fails), tmp_path / "net.pt")
    with pytest.raises(FilterError, match=f"the network {words}"):
        one(Model(str(path)), picture(100, 200))


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.onnx"])
def test_a_damaged_file_gives_a_message_or_still_a_picture(tmp_path, name):
    path, random = tmp_path / name, Random(1)
    if name == "net.onnx":
        pytest.importorskip("onnxruntime", reason="reads ONNX files")
        onnx_file(path, shape=["n", 3, "h", "w"])
    elif name == "net.pt":
        torchscript(blur(), path)
    else:
        torch.save({"conv.weight": torch.zeros(3, 3, 1, 1)}, path)
    whole = path.read_bytes()
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(random.choice([1, 3, 20])):
            damaged[random.randrange(len(whole))] = random.randrange(256)
        path.write_bytes(damaged[: random.choice([len(whole), random.randrange(len(whole))])])
        with contextlib.suppress(FilterError):
            assert one(Model(str(path)), picture(64, 64)).shape == (3, 64, 64)


@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch.save"])
def test_a_pickle_is_refused_and_does_not_run(tmp_path, write):
    made = tmp_path / "made"
    with (tmp_path / "net.pth").open("wb") as file:
        write({"weights": torch.zeros(3), "more": Harmful(made)}, file)
    with pytest.raises(FilterError, match=r"Python objects.*could run code.*safetensors"):
        one(Model(str(tmp_path / "net.pth")), picture())
    assert not made.exists()


def test_torchscript_that_opens_files_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = torchscript(Writing(), tmp_path / "net.pt")
    with pytest.raises(FilterError, match=r"calls torch\.save"):
        one(Model(str(path)), picture())
    assert not (tmp_path / "written").exists()


def test_weights_alone_need_spandrel_and_are_refused_where_it_does_not_know_them(tmp_path):
    from safetensors.torch import save_file

    save_file({"conv.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "net.safetensors")
    torch.save({"conv.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "net.pth")
    for name in ("net.safetensors", "net.pth"):
        with pytest.raises(FilterError, match=r"vidnoise\[models\]|no network that spandrel"):
            one(Model(str(tmp_path / name)), picture())


def test_weights_that_were_trained_here_name_the_command_that_writes_their_network(tmp_path):
    for kind in ("safetensors", "json"):
        copy(WEIGHTS / f"dwnet.{kind}", tmp_path / f"my net.{kind}")
    with pytest.raises(
        FilterError, match=r"vidnoise export '.*/my net\.safetensors' -o net\.onnx, with --sigma"
    ):
        one(Model(str(tmp_path / "my net.safetensors")), picture())


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_weights_that_spandrel_knows_are_run(tmp_path, name):
    reason = "needs spandrel, and a torchvision that matches this build of PyTorch"
    known = pytest.importorskip("spandrel.architectures.Compact", reason=reason, exc_type=ImportError)
    from safetensors.torch import save_file

    network = known.Compact(num_feat=8, num_conv=2, upscale=1)
    write = torch.save if name.endswith(".pth") else save_file
    write(network.state_dict(), tmp_path / name)
    expected = network(picture()[None])[0].detach().clamp(0, 1)
    assert torch.allclose(one(Model(str(tmp_path / name)), picture()), expected, atol=1e-5)


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    path = torchscript(Scaled(0.5, 0.5, 0.5), tmp_path / "net.pt")
    assert torch.allclose(one(Model(str(path)), picture()), picture() / 2)
    torchscript(Scaled(0.25, 0.25, 0.25), path)
    assert torch.allclose(one(Model(str(path)), picture()), picture() / 4)


def test_onnx_with_the_channels_last_is_refused_with_the_order_that_is_needed(tmp_path):
    path = onnx_file(tmp_path / "last.onnx", shape=[1, "height", "width", 3], operator="Identity")
    with pytest.raises(FilterError, match=r"'width', 3\]; .* 1 x 3 x height x width"):
        Model(str(path)).open(info(), CPU)


def test_a_stream_keeps_its_network_when_the_file_is_taken_away(tmp_path):
    path = torchscript(Scaled(0.5, 0.5, 0.5), tmp_path / "net.pt")
    stage = Chain.of(Model(str(path))).open(info(90, 110), CPU)
    path.unlink()
    (done,) = stage.push(Frame(image=picture(), pts=0))
    assert torch.allclose(done.image, picture() / 2)


def test_a_missing_package_is_named_with_what_to_type(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FilterError, match=r"needs onnxruntime.*pip install 'vidnoise\[models\]'") as raised:
        one(Model(str(tmp_path / "net.onnx")), picture())
    assert message(raised.value) == str(raised.value)


def test_frames_in_tiles_give_what_whole_frames_give(tmp_path):
    path = torchscript(blur(), tmp_path / "blur.pt")
    frames = clip(1, 200, 260, sigma=10)
    whole, tiled = (
        process(Chain.of(Model(str(path))), frames, d)[0].image for d in (CPU, replace(CPU, tile=128))
    )
    assert torch.allclose(whole, tiled, atol=1e-5)
