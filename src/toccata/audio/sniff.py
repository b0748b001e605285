"""What kind of audio some bytes are, told from the bytes: names and suffixes lie."""

from __future__ import annotations

from typing import Literal

from toccata.errors import AudioError

Kind = Literal["wav", "aiff", "flac", "vorbis", "opus", "mp3", "m4a", "aac", "webm"]

_RIFFS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (8, b"WAVE", "wav"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b"fLaC", "flac"),
    (4, b"ftyp", "m4a"),
    (0, b"\x1aE\xdf\xa3", "webm"),
)
_OGG_CODECS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x01vorbis", "vorbis"),
    (b"OpusHead", "opus"),
    (b"\x7fFLAC", "flac"),
)
_LOOKS_LIKE = (
    (b"", b"\x89PNG", "a PNG picture"),
    (b"", b"\xff\xd8\xff", "a JPEG picture"),
    (b"", b"GIF8", "a GIF picture"),
    (b"", b"%PDF", "a PDF document"),
    (b"", b"PK\x03\x04", "a zip archive"),
    (b"", b"\x1f\x8b", "a gzip archive"),
    (b"", b"MThd", "a MIDI file"),
    (b"", b"#!AMR", "AMR speech"),
    (b"", b"caff", "Apple CAF audio"),
    (b"", b"\x30\x26\xb2\x75", "Windows Media audio (wma)"),
    (b"", b"riff\x2e\x91\xcf\x11", "Sony Wave64 audio"),
    (b"", b"version https://git-lfs", "a Git LFS pointer instead of the file itself"),
    (b"", b"OggS", "Ogg without Vorbis, Opus or FLAC in it"),
    (b"RIFF", b"AVI ", "an AVI film"),
    (b"RIFF", b"WEBP", "a WebP picture"),
)
READABLE = "wav, flac, ogg, mp3, m4a, aac, webm, opus or aiff"


def sniff(data: bytes, name: str = "audio data") -> Kind:
    """The kind of `data`; `opus` is Opus in Ogg, `webm` any Matroska, `m4a` any MP4.

    Raises AudioError that says what the bytes look like instead.
    """
    kind = _container(data) or _after_id3(data)
    if kind is None:
        raise AudioError(f"{name}: {looks_like(data)}; give {READABLE}")
    return kind


def _container(data: bytes) -> Kind | None:
    if data[:4] == b"OggS":
        return _ogg(data)
    for start, magic, kind in _MAGIC:
        if data.startswith(magic, start) and (kind != "wav" or data[:4] in _RIFFS):
            return kind
    return _mpeg(data)


def _ogg(data: bytes) -> Kind | None:
    first_packet = data[27 + data[26] :] if len(data) > 27 else b""
    return next((kind for magic, kind in _OGG_CODECS if first_packet.startswith(magic)), None)


def _mpeg(data: bytes) -> Kind | None:
    """MPEG audio has no magic number, only a sync word and fields with forbidden values."""
    if len(data) < 4 or data[0] != 0xFF:
        return None
    if data[1] & 0xF6 == 0xF0:  # layer bits 0: ADTS
        return "aac" if (data[2] >> 2) & 0xF < 13 else None
    version, layer = (data[1] >> 3) & 3, (data[1] >> 1) & 3
    bitrate, rate = data[2] >> 4, (data[2] >> 2) & 3
    valid = data[1] & 0xE0 == 0xE0 and version != 1 and layer == 1
    return "mp3" if valid and bitrate != 15 and rate != 3 else None


def _after_id3(data: bytes) -> Kind | None:
    if data[:3] != b"ID3" or len(data) < 10:
        return None
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return _container(data[10 + size :].lstrip(b"\0")[:64])


def looks_like(data: bytes) -> str:
    """What bytes that are no audio seem to be, as words for an error message."""
    for outer, magic, words in _LOOKS_LIKE:
        if data.startswith(outer) and data.startswith(magic, 8 if outer else 0):
            return f"looks like {words}, which is not readable here"
    return _no_known_file(data)


def _no_known_file(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if not data:
        return "is empty"
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not audio (was the link a download link?)"
    if not data.strip(b"\0"):
        return "is all zero bytes (a download that never finished?)"
    if head.isascii() and b"\0" not in head:
        return "is text, not audio"
    return f"is of an unknown type (it begins with {data[:8].hex(' ')})"
