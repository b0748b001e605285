"""Prepare a folder of music as items, each file encoded once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from toccata.audio.files import blocks
from toccata.audio.transforms import peak
from toccata.conditioners.stems import Demucs, Separator
from toccata.errors import AudioError, InputError
from toccata.finetuning.dataset.cache import CodeCache, content_digest
from toccata.finetuning.dataset.caption_tags import add_tags
from toccata.finetuning.dataset.captions import read_captions
from toccata.finetuning.dataset.dataset_options import FolderOptions, check_options
from toccata.finetuning.dataset.encoding import MAX_BYTES, SILENCE, Encoded, TrackEncoder
from toccata.finetuning.dataset.fingerprint import identity
from toccata.finetuning.dataset.items import Item
from toccata.finetuning.dataset.listing import Track, songs_of
from toccata.finetuning.dataset.problems import Problems
from toccata.models.model import Model

_MIN_SONGS = 5  # of fewer, none is held out


log = logging.getLogger(__name__)

OnProgress = Callable[[int, int, str], None]
"""Called with the number of songs done, of all songs, and a text such as "checked a.wav"."""


def prepare(
    data: Path,
    model: Model,
    options: FolderOptions,
    cache: Path,
    on_progress: OnProgress | None = None,
    *,
    separator: Separator | None = None,
) -> list[Item]:
    """Encode all audio of a folder.

    Args:
        data: The folder.
        model: The model whose codec encodes.
        options: How to cut, tag and split the music.
        cache: The folder of what was encoded before.
        on_progress: Called after each file is checked, and after it is encoded.
        separator: Removes vocals if the options require it; None: demucs.

    Returns:
        Items by name and time.

    Raises:
        InputErrors: All problems of options and folder, before anything is encoded.
        MissingExtraError: demucs is not installed.
        CheckpointError: demucs' weights cannot be loaded.
    """
    check_options(options, model.segment_s)
    report = on_progress or _ignore
    songs = songs_of(data)
    codes = CodeCache(cache, identity(model, options))
    captions, digests = _checked(songs, data, options, codes, report)
    held = held_out(digests, options)
    encoder: TrackEncoder | None = None
    items: list[Item] = []
    for done, song in enumerate(songs, start=1):
        chunks, what = codes.load(digests[song.name]), "found"
        if chunks is None:
            what = "encoded"
            encoder = encoder or _encoder(model, options, separator)
            chunks = encoder(song.path)
            if not chunks:
                log.warning("%s: it is silent; it is not used", song.name)
            codes.store(digests[song.name], chunks)
        caption = captions.get(song.name, "")
        items += [_item(song, chunk, caption, song.name in held, model) for chunk in chunks]
        report(done, len(songs), f"{what} {song.name}")
    if not items:
        raise InputError("data", str(data), "add music that is not silent", "holds only silence")
    return items


def _checked(
    songs: Sequence[Track], data: Path, options: FolderOptions, codes: CodeCache, report: OnProgress
) -> tuple[dict[str, str], dict[str, str]]:
    """Check all songs. Returns captions and digests by name. Raises InputErrors."""
    problems, captions, digests = Problems(), dict[str, str](), dict[str, str]()
    with problems.noted():
        table = None if options.captions is None else Path(options.captions)
        captions = read_captions(songs, data, table, needed=not options.auto_tags)
    for done, song in enumerate(songs, start=1):
        with problems.noted():
            digests[song.name] = content_digest(song.path)
            if digests[song.name] not in codes:
                check_audio(song, options.shortest_s)
        report(done, len(songs), f"checked {song.name}")
    problems.raise_all()
    return captions, digests


def _encoder(model: Model, options: FolderOptions, separator: Separator | None) -> TrackEncoder:
    if options.devocalise:
        return TrackEncoder(model, options, separator or Demucs())
    return TrackEncoder(model, options, None)


def _item(song: Track, chunk: Encoded, caption: str, held: bool, model: Model) -> Item:
    melody = None
    if chunk.pitch is not None and model.chroma is not None:
        melody = np.eye(model.chroma.bins, dtype=np.float32)[chunk.pitch]
    return Item(
        name=song.name,
        start_s=chunk.start_s,
        caption=add_tags(caption, chunk.tags),
        tags=chunk.tags,
        codes=chunk.codes,
        melody=melody,
        held_out=held,
        captioned=bool(caption.strip()),
    )


def _ignore(done: int, total: int, what: str) -> None: ...


def check_audio(song: Track, shortest_s: float) -> None:
    """Decode a whole file, which is quick beside encoding it. Raises InputError."""
    duration_s, loudest = 0.0, 0.0
    try:
        for block in blocks(song.path, max_bytes=MAX_BYTES, max_seconds=None):
            duration_s += block.duration_s
            loudest = max(loudest, peak(block.samples))
    except AudioError as error:
        reason = str(error).removeprefix(f"{song.path}: ")
        raise InputError("data", song.name, f"it {reason}") from error
    if duration_s < shortest_s:
        cure = f"take it away, or set shortest_s to less than {shortest_s:g}"
        raise InputError("data", song.name, f"it lasts only {duration_s:.2f} s: {cure}")
    if loudest < SILENCE:
        raise InputError("data", song.name, "it is silent: export it again, or take it away")


def held_out(names: Iterable[str], options: FolderOptions) -> frozenset[str]:
    """Choose about `held_out_share` of the songs; of 5 or more at least one, of fewer none.

    The choice is by a hash of name and seed, so that new songs do not change it, except where one
    song is held out only so that there is one.
    """
    places = {name: _place(name, options.seed) for name in names}
    if len(places) < _MIN_SONGS or options.held_out_share == 0:
        return frozenset()
    chosen = frozenset(name for name, place in places.items() if place < options.held_out_share)
    return chosen or frozenset([min(places, key=lambda name: places[name])])


def _place(name: str, seed: int) -> float:
    """A hash of name and seed, from 0 to 1."""
    digest = hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64
