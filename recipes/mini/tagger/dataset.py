"""The dataset of the tagger: its inputs for songs, clean and after the codec, with labels.

A part is one .npz of plain arrays. Parts that exist are kept.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recipes.mini.codec.train_codec import load_codec
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.genres import all_genres
from recipes.mini.composer.instruments import FAMILIES, INSTRUMENTS
from recipes.mini.composer.render import Renderer
from recipes.mini.composer.seeds import varied_seeds
from toccata.analysis.key import KEYS, parse_key
from toccata.analysis.pitch_registers import pitch_registers
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tagger import mel_image
from toccata.codecs.encodec import Encodec
from toccata.whole_files import replacing

log = logging.getLogger(__name__)

UNKNOWN = -1  # the label of what a song does not have
GENRES = tuple(genre.name for genre in all_genres())


class TaggerDataset(NamedTuple):
    """M clips: inputs of both networks, labels [M], and which clips went through the codec [M].

    images: [M, bands, T], registers: [M, R, 12, U], both in float16.
    """

    images: Tensor
    registers: Tensor
    genres: Tensor
    families: Tensor
    drums: Tensor
    keys: Tensor
    coded: Tensor

    def part(self, chosen: Tensor) -> TaggerDataset:
        """Select clips by indices or a mask."""
        return TaggerDataset(*(column[chosen] for column in self))


@dataclass(frozen=True)
class Lot:
    """`songs` songs of `song_s` seconds from `seed` on, every `coded_every`-th once more coded.

    per_lead: at most so many of them have the same lead.
    """

    seed: int
    songs: int
    song_s: float
    coded_every: int = 2
    per_lead: int | None = None

    @property
    def seeds(self) -> Sequence[int]:
        if self.per_lead is None:
            return range(self.seed, self.seed + self.songs)
        return varied_seeds(self.seed, self.songs, self.per_lead, self.song_s)


def labels(facts: Facts) -> tuple[int, int, int, int]:
    """Genre, family of the lead, drums and key, as numbers."""
    lead = facts.instruments[0] if facts.instruments else ""
    return (
        GENRES.index(facts.genre),
        FAMILIES.index(INSTRUMENTS[lead].family) if lead else UNKNOWN,
        int(facts.drums),
        KEYS.index(parse_key(facts.key)) if facts.key else UNKNOWN,
    )


def make_part(lot: Lot, codec: Encodec, renderer: Renderer) -> TaggerDataset:
    """The clips of one lot, the coded ones next to their originals."""
    images, registers, rows = [], [], []
    for seed in lot.seeds:
        song = compose(seed, lot.song_s)
        clean = renderer.render(song)
        takes = [clean, coded(clean, codec)] if seed % lot.coded_every == 0 else [clean]
        for is_coded, samples in enumerate(takes):
            images.append(mel_image(samples, RATE_HZ).half())
            registers.append(pitch_registers(samples, RATE_HZ).half())
            rows.append((*labels(song.facts), is_coded))
    genres, families, drums, keys, coded_too = torch.tensor(rows).unbind(1)
    return TaggerDataset(
        images=torch.stack(images),
        registers=torch.stack(registers),
        genres=genres,
        families=families,
        drums=drums,
        keys=keys,
        coded=coded_too.bool(),
    )


@torch.inference_mode()
def coded(samples: Samples, codec: Encodec) -> Samples:
    """Encode and decode samples [N]."""
    decoded = codec.decode(codec.encode(torch.from_numpy(samples)[None, None]))
    return np.asarray(decoded[0, 0, : len(samples)].numpy(), np.float32)


def parts(
    folder: Path, lots: Sequence[Lot], codec: Path, processes: int, soundfont: Path | None = None
) -> list[Path]:
    """Write the missing files of all lots. Returns all paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{lot.seed:010d}.npz" for lot in lots]
    missing = [(lot, path) for lot, path in zip(lots, paths, strict=True) if not path.exists()]
    make = partial(_add_part, codec=codec, soundfont=soundfont)
    if processes == 1:
        for one in missing:
            log.info("wrote %s (of %d)", make(*one), len(missing))
    elif missing:
        # Not forked: a copy of torch's threads would wait for ever.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context, torch.set_num_threads, (1,)) as pool:
            for done in as_completed([pool.submit(make, *one) for one in missing]):
                log.info("wrote %s (of %d)", done.result(), len(missing))
    return paths


def _add_part(lot: Lot, path: Path, codec: Path, soundfont: Path | None) -> Path:
    compiled = load_codec(codec)
    compiled.compile_networks(half=True)
    dataset = make_part(lot, compiled, Renderer(soundfont))
    columns = {name: column.numpy() for name, column in dataset._asdict().items()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns)
    return path


def read_parts(paths: Sequence[Path]) -> TaggerDataset:
    """Read and concatenate parts."""
    return TaggerDataset(*(torch.cat(columns) for columns in zip(*map(_read, paths), strict=True)))


def _read(path: Path) -> TaggerDataset:
    with np.load(path, allow_pickle=False) as arrays:
        return TaggerDataset(*(torch.from_numpy(arrays[name]) for name in TaggerDataset._fields))
