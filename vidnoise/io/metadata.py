"""Metadata of files and streams, languages, titles and roles, in the words of each muxer; what it cannot say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vidnoise.io.containers import OGG, PROGRAM, QUICKTIME
from vidnoise.io.streams import describe

if TYPE_CHECKING:
    from av.container import Container
    from av.stream import Stream

MAC_LANGUAGES = {
    "sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur", "zho": "chi", "cze": "ces", "nld": "dut", "fre": "fra",
    "kat": "geo", "deu": "ger", "ell": "gre", "isl": "ice", "mkd": "mac", "msa": "may", "fas": "per", "rum": "ron",
    "slo": "slk", "bod": "tib", "cym": "wel", "swe": "sve",
}  # fmt: skip
"""Languages with two codes, of which FFmpeg's QuickTime muxer knows the second (and leaves out the first)."""

MAC_KNOWN = {
    "alb", "amh", "ara", "arm", "asm", "aym", "aze", "baq", "bel", "ben", "bul", "bur", "cat", "ces", "chi",
    "dan", "dut", "dzo", "eng", "epo", "est", "fin", "fra", "geo", "ger", "gre", "grn", "guj", "heb", "hin",
    "hun", "ice", "ind", "iri", "ita", "jav", "jpn", "kan", "kas", "kaz", "khm", "kin", "kir", "kor", "kur",
    "lao", "lat", "lav", "lit", "mac", "mal", "mar", "may", "mlg", "mlt", "mol", "mon", "nep", "nor", "nya",
    "ori", "orm", "per", "pol", "por", "pus", "que", "ron", "run", "rus", "san", "sin", "slk", "slv", "smi",
    "snd", "som", "spa", "sve", "swa", "tam", "tat", "tel", "tgk", "tgl", "tha", "tib", "tir", "tuk", "tur",
    "uig", "ukr", "urd", "uzb", "vie", "wel", "yid", "und",
}  # fmt: skip
"""All languages that FFmpeg's QuickTime muxer writes: those that the Macintosh had a number for."""

TITLED = {"mp4", "mov"}
"""QuickTime muxers that write the title of a stream; the others write the name of its handler, which players show too."""


def stream_metadata(stream: Stream, format: str, *, encoded: bool) -> dict[str, str]:
    """A stream's metadata without what the muxer or the encoder makes anew, in the words of a muxer."""
    stale = {"duration", "encoder"}
    statistics = ("bps", "number_of_", "_statistics")
    kept = {}
    for key, value in stream.metadata.items():
        name = key.lower()
        if name in stale or (encoded and name.startswith(statistics)):
            continue
        if name == "language" and format == "mov":
            value = MAC_LANGUAGES.get(value, value)
        if name == "timecode":
            key = name
        elif key == "name":  # which FFmpeg's QuickTime demuxer says for the title, and no muxer knows
            key = "title"
        kept[key] = value
    if format in QUICKTIME - TITLED and "title" in kept:
        kept["handler_name"] = kept["title"]
    return kept


UNSPOKEN = {"avi", "flv", "mxf", "wtv", *PROGRAM}
"""Muxers that write no language of a stream."""

CODED = dict.fromkeys(QUICKTIME, "[a-z]{3}") | {"mpegts": "[A-Za-z]{3}(,[A-Za-z]{3})*"}
"""Those that write it as a code of three letters (ISO 639-2), or some of these, and no others, such as en-US."""

UNTITLED = {"asf", "flv", "mpegts", "mxf", "wtv", *PROGRAM}
"""Those that write no title of it."""


TIMED = {"mp4", "mov", "matroska", "webm", "nut", "mxf", *OGG}
"""Those that write the time code of a video."""


def _words_warning(container: str, format: str, stream: Stream) -> list[str]:
    """One warning where the output cannot say a stream's language, title or time code, else none."""
    language = stream.metadata.get("language", "und")
    if format == "mov":
        unknown = MAC_LANGUAGES.get(language, language) not in MAC_KNOWN
    else:
        unknown = format in CODED and re.fullmatch(CODED[format], language) is None
    unspoken = format in UNSPOKEN and language != "und" and stream.type != "video"
    entries = stream_metadata(stream, format, encoded=False)
    untitled = format in UNTITLED and "title" in entries
    untimed = format not in TIMED and "timecode" in entries
    words = ["language"] * (unknown or unspoken) + ["title"] * untitled + ["time code"] * untimed
    lost = " and ".join(f"the {word}" for word in words)
    better = ".mkv" if unknown and format != "mov" else ".mp4 and .mkv"
    return [f"{container} cannot hold {lost} of {describe(stream)}; {better} can"] if lost else []


ROLES = {
    "dub": "a dub",
    "comment": "a commentary",
    "forced": "forced",
    "hearing_impaired": "for the hearing impaired",
    "visual_impaired": "for the visually impaired",
}
"""FFmpeg's dispositions by which players choose among streams, in words."""

HELD_ROLES = {
    "matroska": {*ROLES},
    "webm": {*ROLES},
    "mp4": {*ROLES},
    "mpegts": {"hearing_impaired", "visual_impaired"},
    "nut": {"dub", "comment"},
}
"""Those that muxers write; others write none."""


def _role_warning(container: str, format: str, stream: Stream) -> list[str]:
    """One warning where the output cannot say what or whom a stream is for, else none."""
    said = {flag.name for flag in stream.disposition} - HELD_ROLES.get(format, set())
    words = " and ".join(words for role, words in ROLES.items() if role in said)
    return [f"{container} cannot say that {describe(stream)} is {words}; .mkv and .mp4 can"] if words else []


def stream_warnings(container: str, format: str, stream: Stream) -> list[str]:
    """What the output, which messages call `container`, cannot say of a stream, in sentences."""
    return [*_words_warning(container, format, stream), *_role_warning(container, format, stream)]


ITUNES = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
    "episode_sort", "season_number", "media_type", "hd_video", "gapless_playback", "compilation", "track",
    "disc", "sort_name", "sort_artist", "sort_album", "sort_album_artist", "sort_composer", "sort_show",
    "encoder", "creation_time", "location", "timecode", "author", "performer", "year", "rating",
}  # fmt: skip
"""Metadata that MP4 files have a place of their own for."""

QUICKTIME_KEYS = {
    "title", "artist", "author", "album", "date", "comment", "genre", "copyright", "make", "model", "location",
    "keywords", "encoder", "creation_time", "timecode",
}  # fmt: skip
"""The same for QuickTime files alone."""


def container_metadata(container: Container) -> dict[str, str]:
    """A container's metadata without what the muxer makes anew."""
    stale = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
    return {key: value for key, value in container.metadata.items() if key.lower() not in stale}


def beyond_places(entries: dict[str, str], format: str) -> list[str]:
    """The keys for which MP4, or a QuickTime file, has no place of its own."""
    places = QUICKTIME_KEYS if format == "mov" else ITUNES
    return [key for key in entries if key.lower().partition("-")[0] not in places]


RIFF_INFO = {
    "album", "artist", "comment", "copyright", "date", "encoded_by", "genre", "language", "timecode", "title", "track",
}  # fmt: skip
"""Metadata that AVI has a place for."""

PLACES: dict[str, set[str]] = {
    "avi": RIFF_INFO,
    "mxf": {"creation_time", "timecode"},
    **{name: set() for name in ("mpegts", *PROGRAM)},
}
"""Muxers that write no metadata but these."""

_OF_WRITERS = re.compile(
    "uid|umid|product|toolkit|platform|operational|company|software|sdk|creator|modification",
    re.IGNORECASE,
)


def lost_metadata(entries: dict[str, str], format: str) -> list[str]:
    """The keys that a container has no place for, less those that say what wrote the input."""
    places = PLACES.get(format)
    return [
        key
        for key in entries
        if places is not None and key.lower() not in places and not _OF_WRITERS.search(key)
    ]
