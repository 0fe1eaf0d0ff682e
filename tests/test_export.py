"""`vidnoise export`: networks as files for other engines that compute what PyTorch does."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from streams import one
from torch import Tensor

from vidnoise.errors import FilterError, InputError, UsageError
from vidnoise.export import ENDINGS
from vidnoise.export.formats import FORMATS
from vidnoise.export.job import export
from vidnoise.export.samples import samples
from vidnoise.export.subject import find
from vidnoise.filters import Model
from vidnoise.nets import Card, Ensemble, SpatialDenoiser, build, save
from vidnoise.nets.weights import write_card

SIGMA = 25


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A small network for single pictures, with its card."""
    torch.manual_seed(1)
    network = build("spatial", "fast")
    path = tmp_path_factory.mktemp("weights") / "spatial-fast.safetensors"
    sha = save(network, path)
    write_card(Card("spatial", "fast", sha, 0, 0.0, "none", "", 0.0, 0, "", "CC0"), path.with_suffix(".json"))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A folder of six noisy frames."""
    folder = tmp_path_factory.mktemp("clip")
    random = np.random.default_rng(1)
    y, x = np.mgrid[:100, :120]
    for i in range(6):
        clean = 128 + 60 * np.sin((x + i) / 7)[..., None] * np.cos(y / 9)[..., None] * np.ones(3)
        noisy = clean + 15 * random.standard_normal(clean.shape)
        cv2.imwrite(str(folder / f"{i}.png"), noisy.clip(0, 255).round().astype(np.uint8))
    return folder


def picture(height: int = 75, width: int = 110) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(2))


def by_pytorch(image: Tensor, sigma: float, weights: Path) -> Tensor:
    network = find(str(weights)).network
    assert isinstance(network, SpatialDenoiser)
    with torch.no_grad():
        done: Tensor = network(image[None], torch.full((1, 3, 1, 1), sigma / 255))[0]
    return done


def need(format: str) -> None:
    for package in FORMATS[format].packages:
        pytest.importorskip(package, reason=f"writes or runs files of format {format}")


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_network_with_its_level_written_in_comes_back_as_a_filter(vidnoise, tmp_path, weights, format):
    need(format)
    path = tmp_path / f"net{ENDINGS[format]}"
    out = vidnoise("export", weights, "-o", path, "--format", format, "--sigma", SIGMA).done()
    assert f"{path.name}.json" in out
    done = one(f"model:path={path}", picture())
    expected = by_pytorch(picture(), SIGMA, weights)
    assert float((picture() - expected).abs().max()) > 0.01
    assert torch.allclose(done, expected, atol=1e-5)


@pytest.mark.parametrize("surrounded", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_as_a_function_it_takes_paths_as_text_whatever_is_switched_on_around_it(
    surrounded, weights, tmp_path
):
    with surrounded():
        done = export(find(str(weights)), f"{tmp_path}/net.pt")
    assert done.difference < 1e-4
    assert [file.name for file in done.files] == ["net.pt", "net.pt.json"]


def test_a_name_in_place_of_a_network_is_answered_with_what_to_write(tmp_path):
    told = r"subject is of type str; write subject=vidnoise\.export\.subject\.find\('denoise'\)"
    with pytest.raises(UsageError, match=told):
        export("wavelet", tmp_path / "net.onnx")


def test_the_network_of_denoise_has_all_its_inputs_and_takes_any_size(vidnoise, tmp_path):
    need("onnx")
    import onnxruntime

    path = tmp_path / "denoise.onnx"
    out = vidnoise("export", "denoise", "-o", path, "--json").done()
    told = json.loads(out)
    assert told == json.loads((tmp_path / "denoise.onnx.json").read_text())
    session = onnxruntime.InferenceSession(str(path))
    assert [(given.name, given.shape) for given in session.get_inputs()] == [
        (given["name"], given["shape"]) for given in told["inputs"]
    ]
    assert [given["name"] for given in told["inputs"]] == ["fused", "left", "noisy", "sigma", "bands"]
    assert told["padding"]["multiple"] == 8
    subject = find("denoise")
    for size in [(1, 2, 11), (4, 5, 3)]:
        inputs = subject.examples(*size)
        named = {given["name"]: value.numpy() for given, value in zip(told["inputs"], inputs, strict=True)}
        (done,) = session.run(None, named)
        assert np.allclose(done, subject(*inputs).numpy(), atol=1e-5)


def test_the_best_quality_asks_the_network_eight_times_in_a_file_too(vidnoise, tmp_path):
    path = tmp_path / "best.pt"
    vidnoise("export", "denoise:quality=best", "-o", path).done()
    assert json.loads((tmp_path / "best.pt.json").read_text())["network"].endswith("asked eight times")
    run, plain = FORMATS["torchscript"].load(path), find("denoise")
    inputs = plain.examples(1, 3, 4)
    turned = tuple(value.rot90(1, (2, 3)) for value in inputs)
    assert torch.allclose(run(turned), run(inputs).rot90(1, (2, 3)), atol=1e-5)
    assert not torch.allclose(plain(*turned), plain(*inputs).rot90(1, (2, 3)), atol=1e-3)


def test_a_network_that_is_asked_eight_times_takes_any_size_in_a_file(tmp_path, weights):
    subject = find(str(weights))
    subject = replace(subject, network=Ensemble(subject.network))
    FORMATS["torch"].write(subject, tmp_path / "net.pt2")
    run = FORMATS["torch"].load(tmp_path / "net.pt2")
    for size in [(1, 2, 5), (3, 4, 3)]:
        inputs = subject.examples(*size)
        assert torch.allclose(run(inputs), subject(*inputs), atol=1e-5)


def test_without_a_level_a_network_for_pictures_has_it_as_an_input(vidnoise, tmp_path, weights):
    path = tmp_path / "net.pt2"
    vidnoise("export", weights, "-o", path).done()
    image, level = picture(48, 64), torch.full((1, 3, 48, 64), SIGMA / 255)
    with torch.no_grad():
        done = torch.export.load(path).module()(image[None], level)[0]
    assert torch.allclose(done, by_pytorch(image, SIGMA, weights), atol=1e-5)
    with pytest.raises(FilterError, match=r"torch\.export.*run code.*ONNX"):  # such archives hold pickles
        one(Model(str(path)), picture())


def test_openvino_computes_what_pytorch_does(vidnoise, tmp_path, weights):
    need("openvino")
    import openvino

    out = vidnoise("export", weights, "-o", tmp_path / "net.xml", "--sigma", SIGMA).done()
    assert "net.bin" in out
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(str(tmp_path / "net.xml"), "CPU", exact)
    done = torch.from_numpy(network([picture(80, 96)[None].numpy()])[0][0])
    assert torch.allclose(done, by_pytorch(picture(80, 96), SIGMA, weights), atol=1e-5)


@pytest.mark.cuda
def test_tensorrt_computes_what_pytorch_does(vidnoise, tmp_path, weights):
    need("tensorrt")
    path = tmp_path / "net.engine"
    vidnoise("export", weights, "-o", path, "--sigma", SIGMA).done()
    done = FORMATS["tensorrt"].load(path)([picture(80, 96)[None]])[0]
    assert torch.allclose(done, by_pytorch(picture(80, 96), SIGMA, weights), atol=5e-3)


def test_eight_bits_leave_room_where_two_products_are_added_in_sixteen(vidnoise, tmp_path, weights, clip):
    need("onnx")
    import onnx

    path = tmp_path / "eight.onnx"
    vidnoise("export", weights, "-o", path, "--int8", "--calibrate", clip).done()
    parts = onnx.load(path).graph.initializer
    whole = [onnx.numpy_helper.to_array(part).astype(int) for part in parts if part.name.endswith(".whole")]
    assert len(whole) > 3
    assert max(np.abs(values).max() for values in whole) * 2 * 255 < 2**15


def test_a_file_that_computes_something_else_is_not_kept(vidnoise, tmp_path, weights, monkeypatch):
    wrong = replace(FORMATS["torchscript"], load=lambda path: lambda inputs: inputs[0] + 1)
    monkeypatch.setitem(FORMATS, "torchscript", wrong)
    err = vidnoise("export", weights, "-o", tmp_path / "net.pt").failed(1)
    assert "something else than PyTorch" in err
    assert not list(tmp_path.iterdir())


def test_eight_bits_are_smaller_and_close(vidnoise, tmp_path, weights, clip):
    need("onnx")
    path = tmp_path / "eight.onnx"
    eight = ("--int8", "--calibrate", clip)
    out = vidnoise("export", weights, "-o", path, "--sigma", SIGMA, *eight, "--json").done()
    told = json.loads(out)["int8"]
    assert told["computed in float"] == ["network.present.conv.weight"]
    assert told["bytes"]["int8"] == path.stat().st_size < told["bytes"]["float32"] / 3.5
    image = torch.from_numpy(cv2.imread(str(clip / "1.png"))).permute(2, 0, 1).float() / 255
    rounded = one(Model(str(path)), image)
    error = float((rounded - by_pytorch(image, SIGMA, weights)).square().mean())
    assert 0 < error < 1e-5
    assert abs(-10 * np.log10(error) - told["dB from float32"]) < 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dncnn", "dcae", "dwnet"])
def test_eight_bits_take_little_from_what_a_network_gains(vidnoise, tmp_path, clip, name):
    need("onnx")
    import onnx
    import onnxruntime

    for path, words in [("whole.onnx", ()), ("eight.onnx", ("--int8", "--calibrate", clip))]:
        vidnoise("export", name, "-o", tmp_path / path, *words).done()
    assert (tmp_path / "eight.onnx").stat().st_size < (tmp_path / "whole.onnx").stat().st_size / 3.5
    noisy = torch.from_numpy(cv2.imread(str(clip / "3.png"))).permute(2, 0, 1)[None, :, :96].float() / 255
    y, x = np.mgrid[:96, :120]
    clean = torch.from_numpy((128 + 60 * np.sin((x + 3) / 7) * np.cos(y / 9)) / 255).float()
    errors = {}
    for path in ("whole.onnx", "eight.onnx"):
        session = onnxruntime.InferenceSession(str(tmp_path / path))
        level = torch.full_like(noisy, 15 / 255)
        inputs = dict(zip((given.name for given in session.get_inputs()), (noisy, level), strict=False))
        done = session.run(None, {key: value.numpy() for key, value in inputs.items()})[0]
        errors[path] = float((torch.from_numpy(done) - clean).square().mean())
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "eight.onnx"), options, providers=["CPUExecutionProvider"])
    run = [node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node]
    told = json.loads((tmp_path / "eight.onnx.json").read_text())["int8"]
    assert run.count("Conv") == len(told["computed in float"])
    assert errors["whole.onnx"] < 0.2 * float((noisy - clean).square().mean())
    assert errors["eight.onnx"] < 1.2 * errors["whole.onnx"]


def test_files_say_nothing_of_the_machine_that_wrote_them(vidnoise, tmp_path, weights):
    need("onnx")
    path = tmp_path / "net.onnx"
    vidnoise("export", weights, "-o", path).done()
    assert b".py" not in path.read_bytes()


def test_networks_for_single_pictures_are_calibrated_with_pictures_of_any_size(tmp_path, clip):
    for number in range(4):
        frame = cv2.imread(str(clip / f"{number}.png"))
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.rotate(frame, 0) if number % 2 else frame)
    assert {given[0].shape[-2:] for given in samples(find("dwnet"), tmp_path)} == {(96, 120), (120, 96)}
    with pytest.raises(InputError, match="differ in size"):
        samples(find("denoise"), tmp_path)


def test_denoise_is_calibrated_with_what_its_network_is_given(clip):
    subject = find("denoise")
    given = samples(subject, clip)
    assert len(given) == 6
    assert [tuple(value.shape) for value in given[-1]] == [
        (1, port.channels, 96 // port.cell, 120 // port.cell) for port in subject.inputs
    ]
    fused, left, noisy, sigma, _ = given[-1]
    assert 10 < 255 * float(sigma.mean()) < 20
    assert float(left.mean()) < 0.8 * float(sigma.mean())
    assert float((fused - noisy).abs().mean()) > 0.01


def test_what_cannot_be_exported_is_refused_with_what_to_type(vidnoise, tmp_path, weights, clip):
    (tmp_path / "taken.pt").write_text("mine")
    for words, said in [
        (("fuse", "-o", "a.onnx"), "give denoise"),
        (("steady", "-o", "a.onnx"), "give denoise"),
        (("denoise:quality=fast", "-o", "a.onnx"), "give denoise"),
        (("denoise,median", "-o", "a.onnx"), "give denoise"),
        (("missing.safetensors", "-o", "a.onnx"), "missing.json"),
        (("denoise", "-o", "a.tflite"), ".onnx (onnx)"),
        (("denoise", "-o", "a.pt", "--format", "onnx"), "let it end in .onnx"),
        (("denoise", "-o", "a.net", "--format", "openvino"), "let it end in .xml"),
        (("denoise", "-o", "a.pt", "--sigma", "10"), "leave --sigma out"),
        (("denoise:strength=0.5", "-o", "a.pt"), "strength= is no part of the network"),
        (("dwnet:sigma=25", "-o", "a.pt"), "give the level as --sigma"),
        (("cbdnet:show=map", "-o", "a.pt"), "show= is no part of the network"),
        (("denoise", "-o", "taken.pt"), "--overwrite"),
        (("denoise", "-o", "nowhere/a.pt"), "mkdir"),
        (("denoise", "-o", "a.onnx", "--int8"), "--calibrate VIDEO_OR_FOLDER"),
        (("denoise", "-o", "a.pt", "--int8", "--calibrate", clip), "a.onnx"),
    ]:
        place = [tmp_path / word if words[i - 1] == "-o" else word for i, word in enumerate(words)]
        assert said in vidnoise("export", *place).failed(1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.pt"]


@pytest.mark.parametrize("card", [None, "{", "[]"])
def test_weights_of_ones_own_need_their_card_beside_them(vidnoise, tmp_path, weights, card):
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(weights.read_bytes())
    if card:
        alone.with_suffix(".json").write_text(card)
    err = vidnoise("export", alone, "-o", tmp_path / "a.pt").failed(1)
    assert "alone.safetensors and its card, alone.json, must lie side by side" in err
    assert "reinstall" not in err


def test_weights_of_another_kind_are_refused(vidnoise, tmp_path):
    from vidnoise.nets.weights import FOLDER

    err = vidnoise("export", FOLDER / "level.safetensors", "-o", tmp_path / "a.pt").failed(2)
    assert "kind 'level'" in err


@pytest.mark.parametrize("format", ["onnx", "tensorrt"])
def test_a_missing_package_is_named_with_what_to_type(vidnoise, tmp_path, monkeypatch, format):
    monkeypatch.setitem(FORMATS, format, replace(FORMATS[format], packages=("not_there",)))
    err = vidnoise("export", "denoise", "-o", tmp_path / f"a{ENDINGS[format]}").failed(2)
    assert "not_there" in err
    assert "pip install 'vidnoise[export]'" in err


def test_a_format_may_be_named_for_a_file_with_another_ending(vidnoise, tmp_path, weights):
    path = tmp_path / "net.script"
    vidnoise("export", weights, "-o", path, "--format", "torchscript", "--sigma", SIGMA).done()
    done = one(Model(str(path)), picture())
    assert torch.allclose(done, by_pytorch(picture(), SIGMA, weights), atol=1e-5)


def test_existing_files_are_replaced_when_asked(vidnoise, tmp_path, weights):
    path = tmp_path / "net.pt"
    path.write_text("old")
    vidnoise("export", weights, "-o", path, "--overwrite").done()
    assert {file.name for file in tmp_path.iterdir()} == {"net.pt", "net.pt.json"}
    assert path.stat().st_size > 1000


def test_every_format_has_an_ending():
    assert set(FORMATS) == set(ENDINGS)
