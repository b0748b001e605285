"""Read and write tags with the prompt, the seed and the parameters of a clip.

They are one JSON object in the comment field of each format (wav ICMT, ID3 COMM, Vorbis COMMENT),
so that no format loses any of them. For players, the prompt is also the title, and the software is
named.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

from toccata.audio import riff
from toccata.audio.sniff import Kind, sniff
from toccata.audio.source import Source, load, name_of
from toccata.errors import AudioError

SOFTWARE = "toccata"
_MAX_BYTES = 512 * 2**20
# The fields of other programs' files, with the names under which read_tags returns them.
_INFO = {"INAM": "title", "IART": "artist", "ICMT": "comment", "ISFT": "software"}
_ID3 = {"TIT2": "title", "TPE1": "artist", "COMM": "comment", "TSSE": "software"}
_VORBIS = {"encoder": "software"}


def tagged(data: bytes, tags: Mapping[str, str]) -> bytes:
    """Return a wav, mp3, flac or ogg file with tags added."""
    kind = sniff(data)
    fields = {"title": tags.get("prompt", ""), "software": SOFTWARE, "comment": _dump(tags)}
    # Half a surrogate pair is valid in a Python string but in no file.
    fields = {key: text.encode("utf-8", "replace").decode() for key, text in fields.items()}
    if kind == "wav":
        return _tag_wav(data, fields)
    return _tag_id3(data, fields) if kind == "mp3" else _tag_vorbis(data, kind, fields)


def read_tags(source: Source) -> dict[str, str]:
    """Read the tags of a file.

    Args:
        source: A path, bytes or a file object.

    Returns:
        The tags exactly as toccata has written them. For files of other programs `title`, `artist`,
        `comment` and `software`, and in Vorbis comments all fields. {} for formats that toccata
        does not write, such as m4a.

    Raises:
        AudioError: If it is not audio, or its tags are damaged.
    """
    name, data = name_of(source), load(source, _MAX_BYTES)
    kind = sniff(data, name)
    fields = _fields(data, kind, name)
    return _parse(fields.get("comment", "")) or fields


def _dump(tags: Mapping[str, str]) -> str:
    """Encode tags as ASCII, because wav readers use different encodings of INFO texts."""
    return json.dumps(dict(tags), ensure_ascii=True)


def _parse(comment: str) -> dict[str, str]:
    """Decode a comment that toccata has written; {} for another one."""
    try:
        found = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        return {}
    return found


def _fields(data: bytes, kind: Kind, name: str) -> dict[str, str]:
    import mutagen

    try:
        if kind == "wav":
            return _named(riff.unpack_info(data), _INFO)
        if kind == "mp3":
            return _read_id3(data)
        return _read_vorbis(data, kind) if kind in ("flac", "vorbis", "opus") else {}
    except (mutagen.MutagenError, LookupError, ValueError, struct.error) as error:
        # For damaged bytes, mutagen also raises exceptions that are not its own.
        raise AudioError(f"{name}: its tags are damaged ({error}); export it again") from error


def _named(fields: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {names[key]: text for key, text in fields.items() if key in names}


def _tag_wav(data: bytes, fields: Mapping[str, str]) -> bytes:
    """Append an INFO chunk, and update the size in the header."""
    ids = {name: key for key, name in _INFO.items()}
    whole = data + riff.pack_info({ids[name]: text for name, text in fields.items()})
    return whole[:4] + riff.size_of(len(whole) - 8) + whole[8:]


def _tag_id3(data: bytes, fields: Mapping[str, str]) -> bytes:
    from mutagen import id3

    tag = id3.ID3()
    tag.add(id3.TIT2(encoding=3, text=fields["title"].replace("\0", " ")))
    tag.add(id3.TSSE(encoding=3, text=fields["software"]))
    tag.add(id3.COMM(encoding=3, lang="eng", desc="", text=fields["comment"]))
    target = io.BytesIO(data)
    tag.save(target)
    return target.getvalue()


def _read_id3(data: bytes) -> dict[str, str]:
    from mutagen import id3

    try:
        tag = id3.ID3(io.BytesIO(data))
    except id3.ID3NoHeaderError:
        return {}
    # In reverse order, the comment without a description (COMM::eng) overwrites all others.
    ordered = sorted(tag.items(), reverse=True)
    frames = {key.split(":")[0]: str(frame) for key, frame in ordered}
    return _named(frames, _ID3)


def _vorbis_file(data: io.BytesIO, kind: Kind) -> Any:
    from mutagen import flac, oggflac, oggopus, oggvorbis

    is_ogg = data.getvalue()[:4] == b"OggS"
    types: dict[Kind, Any] = {"vorbis": oggvorbis.OggVorbis, "opus": oggopus.OggOpus}
    return types.get(kind, oggflac.OggFLAC if is_ogg else flac.FLAC)(data)


def _tag_vorbis(data: bytes, kind: Kind, fields: Mapping[str, str]) -> bytes:
    target = io.BytesIO(data)
    file = _vorbis_file(target, kind)
    names = {name: key for key, name in _VORBIS.items()}
    for name, text in fields.items():
        file[names.get(name, name)] = text
    target.seek(0)
    file.save(target)
    return target.getvalue()


def _read_vorbis(data: bytes, kind: Kind) -> dict[str, str]:
    tags: dict[str, list[str]] = dict(_vorbis_file(io.BytesIO(data), kind).tags or {})
    return {_VORBIS.get(key, key): "; ".join(texts) for key, texts in tags.items()}
