"""The training loop, on Lightning Fabric.

Fabric picks the device and the precision; the loop is our own, because it needs three things
that Lightning's Trainer hides: every batch is a function of seed and step and so a run resumes exactly after
a kill at any moment, a whole step is recorded as one CUDA graph, and the learning rate can follow the clock.
"""

import copy
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..device import choose, multiplies_bfloat16
from ..errors import InputError, OutputError, UsageError
from ..filter import plainly
from ..nets.flops import count_parameters, kflop_per_pixel
from ..nets.folding import folded
from ..nets.rounded import observed
from ..nets.weights import Card, called, channels_last, save, write_card
from ..options import check_callback, check_kind
from .data import Media, generator, read_folder
from .inherit import load_into, origin
from .optimizer import Optimizer
from .recipe import Recipe, held
from .tasks import Batch, Task, make_task

CHECKPOINT = "checkpoint.pt"
LOST = 20
"""Steps in a row without a finite loss and gradient after which nothing more is learned."""


@dataclass(frozen=True)
class Result:
    """What a run ended with: steps, seconds of training, the last validation, where the weights are."""

    steps: int
    seconds: float
    figures: dict[str, float]
    weights: Path


@dataclass(frozen=True)
class Options:
    """How a run is carried out; none of it changes what a run by steps learns.

    Attributes:
        device: "cpu", "cuda", or "auto".
        resume: go on from the folder's checkpoint; where there is none, begin, and say so.
        every: seconds between validations and checkpoints.
        graph: record the step as a CUDA graph.
        tensorboard: write TensorBoard events beside log.jsonl.
        data: how the weights' card names the training data.
    """

    device: str = "auto"
    resume: bool = False
    every: float = 60
    graph: bool = True
    tensorboard: bool = False
    data: str = "not stated"


class Average:
    """An exponential moving average of a network's weights and statistics, quick at first."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(_floats(self.model), _floats(model), share)


class Clock:
    """How far a run is, from 0 to 1: by steps, or by the time spent training."""

    def __init__(self, recipe: Recipe, seconds: float) -> None:
        self.recipe = recipe
        self.before = seconds
        self.begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.before + time.monotonic() - self.begun

    def progress(self, step: int) -> float:
        """The share of the run that is over after `step` steps."""
        whole = self.recipe.minutes * 60
        return step / self.recipe.steps if self.recipe.steps else min(self.seconds / whole, 1.0)


def rate(recipe: Recipe, step: int, progress: float) -> float:
    """The learning rate: a linear warm-up, then half a cosine down to a hundredth."""
    warm = min((step + 1) / max(recipe.warmup, 1), 1.0)
    return float(recipe.rate) * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def train(
    recipe: Recipe,
    data: PathLike[str] | str | Media,
    out: PathLike[str] | str,
    *,
    valid: PathLike[str] | str | Media | None = None,
    inherit: Sequence[PathLike[str] | str] = (),
    options: Options | None = None,
    report: Callable[[str], object] | None = print,
) -> Result:
    """Train what a recipe says.

    Args:
        recipe: see `Recipe`; `load_recipe("dwnet")` gives one.
        data: a folder (see `data.read_folder`), or media already read.
        out: folder for checkpoint.pt, log.jsonl, and the averaged weights with their card.
        valid: pictures and clips to validate on.
        inherit: safetensors to start from; names that the network lacks are ignored, but something must fit.
        options: see `Options`.
        report: gets a line of text now and then; None keeps them.

    Returns:
        The result of the run.

    Raises:
        InputError: the data do not suffice; weights to start from or the checkpoint cannot be read.
        UsageError: the recipe, the checkpoint or the weights to start from do not fit, or the rate is too high; or an
            argument is of the wrong kind.
    """
    media_or_path = "'folder', or vidnoise.train.Media(pictures, clips)"
    check_kind("recipe", recipe, Recipe, "vidnoise.train.load_recipe('dwnet')")
    held(recipe, "the recipe")
    check_kind("data", data, str | PathLike | Media, media_or_path)
    check_kind("valid", valid, str | PathLike | Media | None, media_or_path)
    check_kind("out", out, str | PathLike, "'folder'")
    check_kind("inherit", inherit, list | tuple, "['weights.safetensors'], a list of paths")
    for path in inherit:
        check_kind("inherit", path, str | PathLike, "['weights.safetensors'], a list of paths")
    check_kind("options", options, Options | None, "vidnoise.train.Options(device='cpu')")
    check_callback("report", report)
    media = data if isinstance(data, Media) else read_folder(data)
    kept = valid if isinstance(valid, Media | None) else read_folder(valid)
    began = [Path(path) for path in inherit]
    with plainly(), torch.enable_grad(), _settings_kept():
        return Run(recipe, media, Path(out), kept, began, options or Options(), report or str).go()


@contextmanager
def _settings_kept() -> Iterator[None]:
    """PyTorch's random numbers and precision are afterwards what they were before."""
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A name beside `path` under which it may be written until it is whole; nothing is left under it after a failure.

    Raises:
        OutputError: it cannot be written, as on a full disk.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        yield fresh
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); what stood there is kept: mend that, and go on with --resume"
        ) from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


class Run:
    """One training run and its state."""

    def __init__(
        self,
        recipe: Recipe,
        media: Media,
        out: Path,
        valid: Media | None,
        inherit: Sequence[Path],
        options: Options,
        report: Callable[[str], object],
    ) -> None:
        from lightning.fabric import Fabric

        self.recipe, self.out, self.options, self.report = recipe, out, options, report
        self._told = json.dumps(asdict(recipe), default=_plain)
        loggers = self._loggers()
        self.precision: Literal["bf16-mixed", "32-true"] = (
            "bf16-mixed" if multiplies_bfloat16(choose(options.device).torch) else "32-true"
        )
        self.fabric = Fabric(accelerator=options.device, devices=1, precision=self.precision, loggers=loggers)
        self.fabric.launch()
        self.device = self.fabric.device
        # The CPU's, where weights begin; nothing draws from a GPU's.
        torch.default_generator.manual_seed(recipe.seed)
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
        self.task: Task = make_task(recipe, media, valid, self.device)
        inherited = load_into(self.task.model, self.name, inherit)
        self.began = ", ".join(origin(path) for path in inherit)
        self.model = channels_last(self.task.model.to(self.device))
        self.average = Average(self.model, recipe.ema)
        self.optimizer = Optimizer(self.model, inherited, recipe)
        self._kept: dict[int, Batch] = {}
        self.step, self.best, self.stale, self.skipped, self.lost = 0, -math.inf, 0, 0, 0
        self.clock = Clock(recipe, 0.0)
        self._maker = ThreadPoolExecutor(1) if self.device.type == "cpu" else None
        self.figures: dict[str, float] = {}
        self.reach: dict[str, dict[str, float]] = {}
        if options.resume:
            self._resume()
        out.mkdir(parents=True, exist_ok=True)

    def go(self) -> Result:
        """Train to the end."""
        forward = Graphed(self) if self.options.graph and self.device.type == "cuda" else Eager(self)
        self.clock = Clock(self.recipe, self.clock.before)
        last, losses = time.monotonic(), torch.zeros((), device=self.device)
        since, batch = self.learned, self._batch(self.step)
        while (progress := self.clock.progress(self.step)) < 1:
            # The next batch is made beside the step, or queued before its norm is waited for: no processor runs dry.
            coming = self._maker.submit(self._batch, self.step + 1) if self._maker else None
            loss = forward(batch).detach()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
            batch = coming.result() if coming else self._batch(self.step + 1)
            if self._apply(loss, norm, progress):
                losses += loss
            self.step += 1
            if time.monotonic() - last >= self.options.every:
                self._pause(losses, since)
                losses.zero_()
                last, since = time.monotonic(), self.learned
                if self.recipe.patience and self.stale >= self.recipe.patience:
                    self.report(f"stopped after {self.step} steps: no better for {self.stale} validations")
                    break
        self._pause(losses, since)
        return Result(self.step, self.clock.seconds, self.figures, self.weights)

    @property
    def learned(self) -> int:
        """Steps that were not left out."""
        return self.step - self.skipped

    @property
    def name(self) -> str:
        """Kind and tier, as the weights are called."""
        return called(self.recipe.task, self.recipe.tier)

    @property
    def weights(self) -> Path:
        """Where the averaged weights go."""
        return self.out / f"{self.name}.safetensors"

    def _loggers(self) -> list[Any]:
        if not self.options.tensorboard:
            return []
        from lightning.fabric.loggers.tensorboard import TensorBoardLogger

        return [TensorBoardLogger(self.out, name="events", version="")]

    def _batch(self, step: int) -> Batch:
        if not self.recipe.again:
            return self.task.batch(generator(self.recipe.seed, step, self.device))
        number = step % self.recipe.again
        if number not in self._kept:
            self._kept[number] = self.task.batch(generator(self.recipe.seed, number, self.device))
        return self._kept[number]

    def _apply(self, loss: Tensor, norm: Tensor, progress: float) -> bool:
        # Whether the step was good: others are left out.
        if not torch.isfinite(loss + norm):
            self.skipped += 1
            self.lost += 1
            return False
        self.lost = 0
        self.optimizer.step(rate(self.recipe, self.step, progress))
        self.average.update(self.model, self.step)
        return True

    def _pause(self, losses: Tensor, since: int) -> None:
        # Validate, keep everything, say how it goes.
        self._check_finite()
        with torch.no_grad(), self.fabric.autocast(), observed(self.average.model) as self.reach:
            self.figures = self.task.validate(self.average.model)
        if self.figures.get("score", -math.inf) > self.best:
            self.best, self.stale = self.figures["score"], 0
        else:
            self.stale += 1
        self._save()
        line = {
            "step": self.step,
            "seconds": round(self.clock.seconds, 1),
            **self._mean_loss(losses, since),
            "rate": rate(self.recipe, self.step, self.clock.progress(self.step)),
            "skipped": self.skipped,
        } | {k: round(v, 3) for k, v in self.figures.items()}
        log = self.out / "log.jsonl"
        with _written(log), log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.options.tensorboard:
            self.fabric.log_dict({k: v for k, v in line.items() if k != "step"}, self.step)
            self._log_picture()
        self.report(f"{self.name} " + " ".join(f"{k} {v:.6g}" for k, v in line.items()))

    def _mean_loss(self, losses: Tensor, since: int) -> dict[str, float]:
        # Of none there is no mean, as where a run that had ended is resumed.
        count = self.learned - since
        return {"loss": round(float(losses) / count, 6)} if count else {}

    def _check_finite(self) -> None:
        # As float16, as they are written.
        weights = (value.half() for value in _floats(folded(self.average.model)))
        if self.lost < min(max(self.step, 1), LOST) and all(
            bool(value.isfinite().all()) for value in weights
        ):
            return
        before = f"; {self.weights} is as it was before" if self.weights.exists() else ""
        raise UsageError(
            f"{self.name} came to nothing by step {self.step}: the loss or the weights were not finite; lower the rate of "
            f"the recipe, {self.recipe.rate:g}{before}"
        )

    def _log_picture(self) -> None:
        with torch.no_grad(), self.fabric.autocast():
            picture = self.task.picture(self.average.model)
        board: Any = self.fabric.logger
        if picture is not None:
            board.experiment.add_image("before, after, wanted", picture.float(), self.step)
        board.experiment.flush()  # it writes in a thread of its own, two minutes late

    def _save(self) -> None:
        state = {
            "recipe": self._told,
            "inherited": self.began,
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.clock.seconds,
            "best": self.best,
            "stale": self.stale,
            "skipped": self.skipped,
        }
        memory = io.BytesIO()  # since torch tells a full disk as many things
        torch.save(state, memory)
        with _written(self.out / CHECKPOINT) as fresh:
            fresh.write_bytes(memory.getbuffer())
            os.replace(fresh, self.out / CHECKPOINT)
        self._export()

    def _export(self) -> None:
        network, card_path = folded(self.average.model), self.weights.with_suffix(".json")
        with _written(self.weights) as fresh, _written(card_path) as fresh_card:
            write_card(self._card(network, save(network, fresh)), fresh_card)
            os.replace(fresh, self.weights)
            os.replace(fresh_card, card_path)

    def _card(self, network: nn.Module, sha256: str) -> Card:
        return Card(
            kind=self.recipe.task,
            tier=self.recipe.tier,
            sha256=sha256,
            parameters=count_parameters(network),
            kflop=round(kflop_per_pixel(network), 1),
            data=self.options.data,
            recipe=self._told,
            minutes=round(self.clock.seconds / 60, 2),
            steps=self.step,
            hardware=f"{_hardware(self.device)}, {self.precision}",
            inherited=self.began,
            figures={f"validation {k}": round(v, 3) for k, v in self.figures.items()},
            reach={k: {n: round(far, 4) for n, far in v.items()} for k, v in self.reach.items()},
        )

    def _resume(self) -> None:
        path = self.out / CHECKPOINT
        if not path.exists():
            self.report(f"{self.out} holds no checkpoint: {self.name} begins at step 0")
            return
        try:
            state = torch.load(io.BytesIO(path.read_bytes()), map_location=self.device, weights_only=True)
            same = Recipe(**_flat(state["recipe"])) == Recipe(**_flat(self._told))
            if same:
                self._restore(state)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # files that are something else fail in their own ways
            raise InputError(
                f"{path} is damaged, or no checkpoint of this vidnoise train; delete it to begin again, or choose another "
                f"folder"
            ) from error
        if not same:
            raise UsageError(
                f"{path} was made by another recipe; train into another folder, or delete it to begin again"
            )
        self.report(f"{self.name} goes on from step {self.step}")

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best, self.stale = state["step"], state["best"], state["stale"]
        self.skipped, self.began = state["skipped"], state.get("inherited", self.began)
        self.clock = Clock(self.recipe, state["seconds"])


class Eager:
    """Loss and gradients, operation by operation."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of a batch; the gradients are left on the parameters."""
        self.run.model.zero_grad(set_to_none=True)
        with self.run.fabric.autocast():
            loss = self.run.task.loss(self.run.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss


class Graphed:
    """Loss and gradients as one CUDA graph, recorded once and replayed: no time between kernels."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.eager = Eager(run)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Batch = {}
        self.loss = torch.zeros(())

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of a batch; the gradients are left on the parameters."""
        if self.graph is None:
            self._record(batch)
        for name, value in batch.items():
            self.inputs[name].copy_(value)
        assert self.graph is not None
        self.graph.replay()
        return self.loss

    def _record(self, batch: Batch) -> None:
        self.inputs = {name: value.clone() for name, value in batch.items()}
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.eager(self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.run.model.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            with self.run.fabric.autocast():
                self.loss = self.run.task.loss(self.run.model, self.inputs)
            self.loss.backward()  # type: ignore[no-untyped-call]


def _floats(model: nn.Module) -> list[Tensor]:
    return [value for value in model.state_dict().values() if value.is_floating_point()]


def _plain(value: Any) -> str | float:
    # What a recipe may hold and JSON does not know: a path for text, NumPy's numbers.
    return fspath(value) if isinstance(value, PathLike) else float(value)


def _flat(recipe: str) -> dict[str, Any]:
    # Two runs are of one recipe if all but how long they last is the same.
    values = json.loads(recipe)
    return {k: v for k, v in values.items() if k not in {"minutes", "steps", "patience"}}


def _hardware(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
