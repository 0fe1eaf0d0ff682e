"""Groups of containers that are alike, by the names of FFmpeg's muxers."""

from types import MappingProxyType

QUICKTIME = {"mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v"}
"""Muxers that write edit lists: times before zero are kept, and hidden."""

FILMS = {*QUICKTIME, "matroska", "webm"}
"""Muxers whose players count from zero, and which hold decoding times before it."""

PROGRAM = {"mpeg", "vob", "dvd", "svcd", "vcd"}
"""MPEG-PS, whose muxers bury all other subtitles as if they were those of DVDs."""

COUNTING = {"avi", "mxf", "rm"}
"""Muxers without times: frames are counted from the first one, and sound from the beginning."""

UNBROKEN = {"mxf"}
"""Those of them that know no pauses, and end with the shortest stream: sound that is missing must be silence there."""

OGG = {"ogg", "ogv", "oga"}
"""Muxers of Ogg."""

GRIDS = {*COUNTING, "ogg", "ogv"}
"""Muxers that number pictures of one rate."""

CHAPTERED = {*QUICKTIME, "matroska", "webm", "nut", "asf", *OGG}
"""Muxers that write chapters."""

DISCS = MappingProxyType({"mpegts_m2ts_mode": "1"})
"""What makes MPEG-TS that of Blu-ray discs and camcorders."""
