"""No file makes FFmpeg open another file or address: each tries to bring in a canary."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import pytest

from tests.audio.sounds import RATE_HZ, encoded, file_bytes, sine
from toccata.audio.decode import _DEMUXERS, decoding
from toccata.audio.files import read
from toccata.audio.sniff import Kind
from toccata.errors import AudioError


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wav in the folder from which relative names would be looked up."""
    path = tmp_path / "canary.wav"
    path.write_bytes(file_bytes(sine(1.0), "wav"))
    monkeypatch.chdir(tmp_path)
    return path


def playlists(canary: Path) -> dict[str, bytes]:
    uri = canary.as_uri()
    texts = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{uri}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{canary}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio 5004 RTP/AVP 0\n",
        "dash": f'<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{uri}'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "asx": f'<asx version="3.0"><entry><ref href="{uri}"/></entry></asx>',
        "pls": f"[playlist]\nFile1={uri}\n",
        "image2": f"{canary.parent}/canary%d.wav\n",
        "cue": f'FILE "{canary}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    }
    return {name: text.encode() for name, text in texts.items()}


@pytest.mark.parametrize("form", ["m3u8", "concat", "sdp", "dash", "asx", "pls", "image2", "cue"])
def test_playlists_are_refused_under_every_name(form: str, canary: Path) -> None:
    data = playlists(canary)[form]
    with pytest.raises(AudioError, match=r"is text|web page"):
        read(data)
    for disguise in (b"\0\0\0\x18ftypM4A ", b"\x1aE\xdf\xa3", b"\xff\xfb\x90\x64", b"caff\0\1\0\0"):
        with pytest.raises(AudioError):
            read(disguise + data)


@pytest.mark.parametrize("kind", sorted(_DEMUXERS))
def test_no_demuxer_takes_a_playlist_for_its_own(kind: Kind, canary: Path) -> None:
    for data in playlists(canary).values():
        with pytest.raises(AudioError), decoding(data, kind) as opened:
            list(opened.blocks)


@pytest.mark.parametrize("mark", [b"", b"fLaC", b"OggS"])
def test_nor_do_those_of_flac(mark: bytes, canary: Path) -> None:
    for data in playlists(canary).values():
        with pytest.raises(AudioError), decoding(mark + data, "flac") as opened:
            list(opened.blocks)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content


def with_reference(data: bytes, reference: bytes) -> bytes:
    """A mov whose samples are in another file: its `dref` box replaced, its parents grown."""
    own = data.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", data, own)
    new = box(b"dref", bytes(4) + struct.pack(">I", 1) + reference)
    grown, result = len(new) - size, bytearray(data)
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = result.index(parent) - 4
        struct.pack_into(">I", result, at, struct.unpack_from(">I", result, at)[0] + grown)
    return bytes(result[:own]) + new + bytes(result[own + size :])


def alias(path: Path) -> bytes:
    """A Mac alias record (version 2) that names a file, absolutely and relative to the movie."""
    name = path.name.encode()
    fixed = bytes(8) + struct.pack(">HHH", 0, 2, 0) + bytes((4,)) + b"disk".ljust(27, b"\0")
    fixed += bytes(12) + bytes((len(name),)) + name.ljust(63, b"\0") + bytes(16)
    fixed += struct.pack(">hh", 1, 1) + bytes(16)
    whole = str(path).encode()
    tail = b"".join(
        struct.pack(">hH", kind, len(text)) + text + bytes(len(text) % 2)
        for kind, text in ((2, whole), (18, whole))
    )
    return box(b"alis", fixed + tail + struct.pack(">hH", -1, 0))


def test_a_mov_whose_samples_are_in_another_file(canary: Path) -> None:
    """All that it could give is what stands at the same place in itself, and here that is none."""
    loud = sine(1.0, gain=0.9)
    canary.write_bytes(file_bytes(loud, "wav"))
    whole = encoded(sine(1.0, gain=0.01, rate_hz=RATE_HZ), "mov", "pcm_s16le")
    url = box(b"url ", bytes(4) + canary.as_uri().encode() + b"\0")
    for reference in (alias(canary), url):
        data = with_reference(whole, reference)
        with av.open(io.BytesIO(data), format="mov"):
            pass  # FFmpeg takes it for a movie
        try:
            audio = read(data)
        except AudioError:
            continue
        assert abs(audio.samples).max() < 0.5


def test_the_alias_would_be_followed_if_it_were_allowed(canary: Path, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    whole = encoded(sine(1.0, gain=0.01, rate_hz=RATE_HZ), "mov", "pcm_s16le")
    movie = tmp_path / "movie.mov"
    movie.write_bytes(with_reference(whole, alias(canary)))
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(movie), options=options) as container:
        frames = [frame.to_ndarray() for frame in container.decode(container.streams.audio[0])]
    assert max(abs(frame).max() for frame in frames) > 0.3 * 2**15
