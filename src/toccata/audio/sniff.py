"""Detect the format of audio by its bytes; names and suffixes are ignored."""

from __future__ import annotations

from typing import Literal, NamedTuple

from toccata.audio.mpeg import find_frames, frame_at
from toccata.errors import AudioError

Kind = Literal[
    "wav", "aiff", "flac", "vorbis", "opus", "mp3", "m4a", "aac", "webm",
    "caf", "w64", "au", "wv", "wma", "amr", "ac3", "eac3", "mp2",
]  # fmt: skip

_MAX_JUNK_BYTES = 2**16  # before the first frame of mp3, as in players
_MAX_ID3_TAGS = 16
_RIFFS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (8, b"WAVE", "wav"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b"fLaC", "flac"),
    (4, b"ftyp", "m4a"),
    (4, b"moov", "m4a"),  # old QuickTime files without `ftyp`
    (4, b"wide", "m4a"),
    (4, b"mdat", "m4a"),
    (0, b"\x1aE\xdf\xa3", "webm"),
    (0, b"caff", "caf"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b".snd", "au"),
    (0, b"wvpk", "wv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wma"),
    (0, b"#!AMR", "amr"),
)
_OGG_CODECS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x01vorbis", "vorbis"),
    (b"OpusHead", "opus"),
    (b"\x7fFLAC", "flac"),
    (b"fLaC", "flac"),  # before version 1.1.1 of FLAC
)
_LOOKS_LIKE = (
    (b"", b"\x89PNG", "a PNG picture"),
    (b"", b"\xff\xd8\xff", "a JPEG picture"),
    (b"", b"GIF8", "a GIF picture"),
    (b"", b"%PDF", "a PDF document"),
    (b"", b"PK\x03\x04", "a zip archive"),
    (b"", b"\x1f\x8b", "a gzip archive"),
    (b"", b"MAC ", "Monkey's Audio (ape)"),
    (b"", b"TTA1", "True Audio (tta)"),
    (b"", b"MPCK", "Musepack audio"),
    (b"", b"DSD ", "DSD audio (dsf)"),
    (b"", b".RMF", "RealMedia"),
    (b"", b"version https://git-lfs", "a Git LFS pointer instead of the file itself"),
    (b"", b"OggS", "Ogg without Vorbis, Opus or FLAC in it"),
    (b"RIFF", b"AVI ", "an AVI film"),
    (b"RIFF", b"WEBP", "a WebP picture"),
)
_NOTES = (
    "is a MIDI file, which holds notes and no audio; play it into an audio file with a synthesizer"
)
READABLE = "wav, flac, ogg, mp3, m4a, aac, webm, opus, aiff, caf, w64, au, wv, wma, amr, ac3 or mp2"


class Found(NamedTuple):
    """The format of a file, and the offset of its audio after ID3 tags and junk."""

    kind: Kind
    start: int


def sniff(data: bytes, name: str = "audio data") -> Kind:
    """Detect the format of a file; `opus` is Opus in Ogg, `webm` any Matroska, `m4a` any MP4.

    Raises:
        AudioError: If it is not audio; the message says what it looks like.
    """
    return find_audio(data, name).kind


def find_audio(data: bytes, name: str = "audio data") -> Found:
    """Detect the format of a file and the offset of its audio.

    Raises:
        AudioError: If it is not audio; the message says what it looks like.
    """
    start = _after_id3(data)
    found = _container(data[start : start + 512])
    if found is not None:
        return Found(found, start)
    other = _known_otherwise(data)
    if other is None and (frames := find_frames(data, start, start + _MAX_JUNK_BYTES)):
        return Found(*frames)
    raise AudioError(f"{name}: {other or _no_known_file(data)}; give {READABLE}")


def _container(head: bytes) -> Kind | None:
    if head[:4] == b"OggS":
        return _ogg(head)
    for start, magic, kind in _MAGIC:
        if head.startswith(magic, start) and (kind != "wav" or head[:4] in _RIFFS):
            return kind
    if head[:2] == b"\x0bw" and len(head) > 5 and head[4] >> 6 != 3:
        return "ac3" if head[5] >> 3 <= 10 else "eac3"
    frame = frame_at(head)
    return None if frame is None else frame.kind


def _ogg(head: bytes) -> Kind | None:
    first_packet = head[27 + head[26] :] if len(head) > 27 else b""
    return next((kind for magic, kind in _OGG_CODECS if first_packet.startswith(magic)), None)


def _after_id3(data: bytes) -> int:
    """Return the end of all ID3v2 tags; some programs write a second one before the first."""
    start = 0
    for _ in range(_MAX_ID3_TAGS):
        if data[start : start + 3] != b"ID3" or len(data) < start + 10:
            break
        size = 0
        for byte in data[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        has_footer = data[start + 3] >= 4 and data[start + 5] & 0x10
        start += 10 + size + (10 if has_footer else 0)
        padding = data[start : start + _MAX_JUNK_BYTES]  # the size may not include it
        start += len(padding) - len(padding.lstrip(b"\0"))
    return min(start, len(data))


def _known_otherwise(data: bytes) -> str | None:
    if data[:4] == b"MThd" or (data[:4] == b"RIFF" and data[8:12] == b"RMID"):
        return _NOTES
    for outer, magic, words in _LOOKS_LIKE:
        if data.startswith(outer) and data.startswith(magic, 8 if outer else 0):
            return f"looks like {words}, which is not readable here"
    return None


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
