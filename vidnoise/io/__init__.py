"""Files, pipes and streams in and out, through PyAV."""

from vidnoise.io.decode import Losses
from vidnoise.io.opening import open_reader, open_writer
from vidnoise.io.output import OutputOptions
from vidnoise.io.reader import Reader
from vidnoise.io.writer import Writer

__all__ = ["Losses", "OutputOptions", "Reader", "Writer", "open_reader", "open_writer"]
