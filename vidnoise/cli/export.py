"""`vidnoise export`: a network of vidnoise's for other engines."""

from __future__ import annotations

from pathlib import Path

import click

from vidnoise.cli.options import SectionCommand, Within, debug_option, json_option, section
from vidnoise.cli.record import emit
from vidnoise.export import ENDINGS

written, where = section("What is written"), section("Where to")


@click.command(cls=SectionCommand, short_help="Write a network for ONNX, OpenVINO, TorchScript or TensorRT.")
@click.argument("network")
@where(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help=f"The file. Its ending says the format: {', '.join(f'{end} ({name})' for name, end in ENDINGS.items())}.",
)
@where(
    "--format", type=click.Choice(list(ENDINGS)), help="The format, for a file whose ending does not say it."
)
@where("--overwrite", is_flag=True, help="Replace files that exist.")
@written(
    "--sigma",
    type=Within(0, 100, min_open=True),
    help="Noise level, in 8-bit steps, to write into a network for single pictures. It then takes a picture alone, as "
    "-f model:path=FILE needs it.",
)
@written(
    "--int8",
    is_flag=True,
    help="8 bits in place of float32, but for the layers that see pictures; ONNX only, with --calibrate.",
)
@written(
    "--calibrate",
    type=click.Path(exists=True, path_type=Path),
    help="For --int8: a video, or a folder of videos or of frames, as noisy as what will be cleaned.",
)
@json_option("Print the description that is written beside the file as one line.")
@debug_option
def export(
    network: str,
    output: Path,
    format: str | None,
    overwrite: bool,
    sigma: float | None,
    int8: bool,
    calibrate: Path | None,
    as_json: bool,
) -> None:
    """Write a network of vidnoise's for other engines, with height, width and batch left open.

    NETWORK is a filter that runs one (denoise), or a .safetensors file of `vidnoise train`, with its card beside it.
    The file is run and held against PyTorch before it gets its name. Beside it, FILE.json says what goes in and comes out:
    shapes, colours, range, padding. The network of denoise cleans frames that were averaged along the motion; the
    averaging is not in the file.
    """
    from vidnoise.errors import UsageError
    from vidnoise.export.job import export as write
    from vidnoise.export.subject import find

    if int8 != (calibrate is not None):
        raise UsageError("--int8 and --calibrate belong together: --int8 --calibrate VIDEO_OR_FOLDER")
    done = write(find(network, sigma or 0.0), output, format=format, calibrate=calibrate, overwrite=overwrite)
    if as_json:
        emit(done.description)
        return
    click.echo(f"{', '.join(map(str, done.files))}: at most {done.difference:.1g} of white away from PyTorch")
    if rounded := done.description.get("int8"):
        size = rounded["bytes"]
        click.echo(
            f"8 bit: {size['int8']} bytes in place of {size['float32']}, {rounded['dB from float32']} dB from float32 on "
            f"{rounded['frames']['compared on']} frames"
        )
