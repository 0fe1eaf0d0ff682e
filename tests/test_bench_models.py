"""The table of denoisers: which are in it, what it measures, and what it says where something is missing."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from vidnoise.bench import models, speed
from vidnoise.chain import Chain
from vidnoise.device import choose
from vidnoise.filter import SpatialFilter, option
from vidnoise.nets.weights import FOLDER, load, read_card
from vidnoise.registry import find

SIZE = 48, 40


@dataclass(frozen=True)
class Learned(SpatialFilter):
    tier: str = option("large", choices=("small", "large"), help="of the network")
    order: str = option("rgb", choices=("rgb", "bgr"), help="of the colours")
    sigma: float = option(0.0, low=0, high=100, help="deviation of the noise")

    @property
    def weights(self):
        return f"learned-{self.tier}"

    def apply(self, x):
        return x


@pytest.fixture
def small(monkeypatch):
    """Speed is measured on frames that take no time."""
    monkeypatch.setitem(speed.SIZES, "720p", SIZE)
    monkeypatch.setattr(models, "SIDE", 64)


@pytest.fixture
def folder(tmp_path):
    """Two gray pictures in a set called Set12, and two pairs with noise of sigma 10."""
    rng = np.random.default_rng(0)
    (tmp_path / "images" / "Set12").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    for name in ("a", "b"):
        coarse = rng.uniform(40, 215, (5, 6)).astype(np.float32)
        clean = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "images" / "Set12" / f"{name}.png"), clean)
        colour = np.stack([clean] * 3, 2)
        cv2.imwrite(str(tmp_path / "real" / f"{name}_mean.png"), colour)
        cv2.imwrite(
            str(tmp_path / "real" / f"{name}_real.png"), colour + rng.normal(0, 10, colour.shape).round()
        )
    return tmp_path


def test_filters_with_weights_and_a_level_are_found_once_for_each_network(monkeypatch):
    kinds = {
        kind.name: kind for kind in (Learned, find("denoise"), find("steady"), find("deblur"), find("model"))
    }
    monkeypatch.setattr(models, "filters", lambda: kinds)
    assert [str(chain) for chain in models.models()] == [
        "denoise", "denoise:quality=fastest", "denoise:quality=fast", "denoise:quality=best",
        "learned", "learned:tier=small",
    ]  # fmt: skip


def test_blind_networks_are_models_too_and_are_not_told_the_level():
    assert {"dncnn", "cbdnet", "masked"} <= {str(chain) for chain in models.models()}
    assert "mprnet:task=deblur" not in {str(chain) for chain in models.models()}
    assert str(models.told(Chain.parse("dncnn"), 25)) == "dncnn"
    assert str(models.told(Chain.parse("dwnet"), 25)) == "dwnet:sigma=25"


def test_the_table_has_quality_cost_and_what_papers_reach(vidnoise, folder, small, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    page = folder / "models.md"
    words = folder, "-f", "denoise", "-f", "fuse", "--seconds", "0.01", "--device", "cpu"
    out = vidnoise("bench", "models", *words, "--markdown", page).done()
    text = page.read_text()
    for said in (out, text):
        assert "BM3D, published" in said
        assert "29.97" in said
        assert "fuse" in said
    assert "| denoise | 281,952 |" in text
    assert "IEEE TIP 2018" in text
    assert str(folder) not in text


def test_the_rows_hold_what_was_measured(vidnoise, folder, small):
    chosen = "-f", "denoise", "-f", "fuse", "--seconds", "0.01", "--device", "cpu", "--limit", 1
    noisy, denoise, fuse = vidnoise("bench", "models", folder, *chosen, "--json").record["rows"]
    for row in (denoise, fuse):
        found = row["sets"]["Set12"]
        assert found["psnr15"] > noisy["sets"]["Set12"]["psnr15"] + 3
        assert found["psnr15"] > found["psnr25"] > found["psnr50"]
        assert 0.5 < found["ssim50"] < found["ssim15"] < 1
        assert row["real"]["pairs"] == 1
        assert row["real"]["gain"] > 0
        assert row["milliseconds"] > 0
        assert row["fps"] > 0
        assert row["failure"] == ""
    for row, weights in ((denoise, "temporal-balanced"), (fuse, "shrinkage")):
        card = read_card(FOLDER / f"{weights}.json")
        assert (row["parameters"], row["kflop"]) == (card.parameters, card.kflop)
    assert noisy["parameters"] is None


def test_missing_weights_are_named_and_the_others_measured(folder, small, monkeypatch):
    def refuse(self, info, device):
        return load(self.weights, device.torch, device.dtype)

    monkeypatch.setattr(Learned, "open", refuse)
    chains = [Chain.of(Learned()), Chain.parse("fuse")]
    _, missing, fuse = models.measure(folder, chains, choose("cpu"), limit=1, pace=speed.Pace(0.01))
    assert "learned-large" in missing.failure
    assert missing.real is None
    assert fuse.real["pairs"] == 1
    assert fuse.fps > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((".",), "images"),
        (("missing",), "missing"),
        (("-f", "median"), "removes noise"),
        (("-f", "denoise,fuse"), "one filter"),
        (("--limit", "0"), "--limit"),
        (("-f", "fuse", "--seconds", "0.01", "--markdown", "no/such/page.md"), "page.md"),
    ],
)
def test_what_cannot_be_measured_is_explained(vidnoise, tmp_path, small, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    err = vidnoise("bench", "models", *words, "--device", "cpu").failed(1, 2)
    assert said in err
    assert "bug" not in err
