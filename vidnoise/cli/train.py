"""`vidnoise train`: weights of your own, from your own pictures and clips."""

from __future__ import annotations

from pathlib import Path

import click

from vidnoise.cli.options import FOLDER, SectionCommand, Within, debug_option, section
from vidnoise.device import DEVICES

trained, how = section("What is trained"), section("How")

WEIGHTS = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=SectionCommand, short_help="Train the networks on pictures and clips of your own.")
@click.argument("recipe")
@trained("--data", type=FOLDER, required=True, help="A folder of pictures, videos and frames.")
@trained("--valid", type=FOLDER, help="A folder to measure on; without it nothing is measured.")
@trained("--inherit", type=WEIGHTS, multiple=True, help="Weights to start from; may be repeated.")
@trained("--data-name", default="not stated", help="How the model card names the data and its licence.")
@how(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the weights, their card, the log and the checkpoint; by default train-RECIPE.",
)
@how("--minutes", type=Within(0, min_open=True), help="How long, in place of what the recipe says.")
@how("--resume", is_flag=True, help="Go on from the checkpoint in the output folder; without one, begin.")
@how("--every", type=Within(1), default=60, show_default=True, help="Seconds between checkpoints.")
@how("--tensorboard", is_flag=True, help="Write TensorBoard events, with pictures, beside the log.")
@how("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where.")
@debug_option
def train(
    recipe: str,
    data: Path,
    valid: Path | None,
    inherit: tuple[Path, ...],
    data_name: str,
    output: Path | None,
    minutes: float | None,
    resume: bool,
    every: float,
    tensorboard: bool,
    device: str,
) -> None:
    """Train a network as RECIPE says: the name of a recipe of the package, such as spatial-balanced, or a TOML file.

    Everything that can be said in a recipe is in the ones of the package, in vidnoise/train/recipes. What is trained does
    not replace the weights of the package.
    """
    from dataclasses import replace

    from vidnoise.device import choose
    from vidnoise.errors import UsageError
    from vidnoise.train import Options, load_recipe

    chosen = load_recipe(recipe)
    if minutes is not None:
        chosen = replace(chosen, minutes=minutes, steps=0)
    folder = output or Path(f"train-{Path(recipe).stem}")
    if not resume and (folder / "checkpoint.pt").exists():
        raise UsageError(f"{folder} holds a run already; add --resume to go on with it, or choose another -o")
    _need_lightning()
    from vidnoise.train import train as run

    where = choose(device).torch.type
    options = Options(device=where, resume=resume, every=every, tensorboard=tensorboard, data=data_name)
    try:
        result = run(chosen, data, folder, valid=valid, inherit=inherit, options=options, report=click.echo)
    except KeyboardInterrupt:
        if not (folder / "checkpoint.pt").exists():
            raise
        raise KeyboardInterrupt(f"{folder} holds what was learned; --resume goes on from there") from None
    click.echo(f"{result.steps} steps in {result.seconds / 60:.1f} minutes; the weights are {result.weights}")


def _need_lightning() -> None:
    from importlib.util import find_spec

    from vidnoise.errors import UsageError

    if find_spec("lightning") is None:
        raise UsageError(
            "training needs Lightning, which is not installed; type: pip install 'vidnoise[train]'"
        )
