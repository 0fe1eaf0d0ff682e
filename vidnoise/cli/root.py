"""Which command is meant: the first word decides, and what names no command is the input of the main job."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from vidnoise import __version__
from vidnoise.cli.options import SectionCommand

COMMANDS = {
    "run": "vidnoise.cli.main_job:run",
    "watch": "vidnoise.cli.watch:watch",
    "probe": "vidnoise.cli.probe:probe",
    "compare": "vidnoise.cli.compare:compare",
    "selfdeblur": "vidnoise.cli.selfdeblur:selfdeblur",
    "filters": "vidnoise.cli.filters:filters",
    "bench": "vidnoise.cli.bench:command",
    "devices": "vidnoise.cli.devices:devices",
    "train": "vidnoise.cli.train:train",
    "export": "vidnoise.cli.export:export",
}
"""Where each command is, imported when it is used; the order is that of the help."""

OWN_OPTIONS = ("--help", "-h", "--version")

EXAMPLES = """\b
  vidnoise input.mp4 -o out.mp4                      clean a file, keep everything in it
  vidnoise input.mp4 -o out.mp4 -f denoise:grain=0.3  with an option of a filter
  vidnoise input.mp4 -o out.mp4 -f fuse              with a faster filter
  vidnoise input.mp4 -o side.mp4 --compare side      before and after, side by side
  vidnoise rtsp://camera/1 -o rtsp://server/1        a camera, until it is told to stop
  vidnoise probe input.mp4                           what the file is, and its noise"""


class Root(click.Group):
    """The command `vidnoise`: `vidnoise probe x.mp4` is a command, `vidnoise x.mp4 -o y.mp4` the main job."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of what is the main job."""
        return super().parse_args(ctx, meant(args))

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Both forms."""
        formatter.write_usage("vidnoise", "INPUT -o OUTPUT [OPTIONS]")
        formatter.write_usage("vidnoise", "COMMAND ...", prefix="   or: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The main job's options, then the commands."""
        run = self.get_command(ctx, "run")
        assert isinstance(run, SectionCommand)
        run.write_sections(ctx, formatter)
        with formatter.section("About"):
            formatter.write_dl([record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))])
        self.format_commands(ctx, formatter)


def meant(args: Sequence[str]) -> list[str]:
    """The words with the command in front that they mean; leading `--debug` may stand before a command.

    Raises:
        click.UsageError: the first word is like a command's name and no file has that name.
    """
    words = [word for word in args if word != "--debug"]
    flags = ["--debug"] if len(words) < len(args) else []
    if not words or words[0] in OWN_OPTIONS:
        return words
    if words[0] in COMMANDS:
        return [words[0], *flags, *words[1:]]
    if near := _misspelt(words[0]):
        raise click.UsageError(
            f"there is no command and no file {words[0]!r}; did you mean {near!r}? "
            f"(vidnoise run {words[0]} takes it for a file)"
        )
    return ["run", *flags, *words]


def _misspelt(word: str) -> str:
    """The command that a word was meant to be; nothing for options, paths, URLs and patterns."""
    if not word.isalpha() or Path(word).exists():
        return ""
    return next(iter(difflib.get_close_matches(word.lower(), COMMANDS, n=1, cutoff=0.7)), "")


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=f"Clean video: noise and blur, in files, pipes and streams.\n\n{EXAMPLES}",
    epilog="A file that is named like a command: vidnoise run ./probe -o out.mp4. "
    "Each command explains itself: vidnoise COMMAND --help.",
)
@click.version_option(__version__, "--version", prog_name="vidnoise", message="%(prog)s %(version)s")
def root() -> None:
    """Give the word to the command that is meant."""
