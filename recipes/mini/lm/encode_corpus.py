"""The corpus run: songs composed, rendered and encoded into shards of codes for the LM.

A shard is one .npz of plain arrays: codes [M, K, T] uint16, the loudest pitch class of each frame
[M, T] uint8, and the facts of each song as JSON, from which a new caption
is written whenever a song is drawn. Seeds make a shard reproducible; existing shards are kept.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recipes.mini.codec.train_codec import load_codec
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import HOP, Facts
from recipes.mini.composer.render import Renderer
from recipes.mini.composer.seeds import CANDIDATES, varied_seeds
from toccata.codecs.encodec import Encodec
from toccata.conditioners.chroma import ChromaConfig, chroma
from toccata.finetuning.config_file import load_config
from toccata.whole_files import replacing

log = logging.getLogger(__name__)
# The chroma has windows of 26 frames: a shorter interval adds no information.
PITCH_EVERY_FRAMES = 4


@dataclass(frozen=True)
class CorpusRun:
    """A corpus of `shards` shards of `songs` songs of `song_s` seconds, from `seed` on.

    processes: how many work in parallel. per_lead: the maximum of songs with the same lead in a
    shard; None: no limit.
    """

    out: str
    codec: str
    seed: int = 0
    shards: int = 100
    songs: int = 64
    song_s: float = 20.0
    processes: int = 1
    per_lead: int | None = None


@dataclass(frozen=True, eq=False)
class Shard:
    codes: np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]  # [M, K, T]
    pitch: np.ndarray[tuple[int, int], np.dtype[np.uint8]]  # [M, T]
    facts: list[Facts]


def main(config: Path, soundfont: Path | None = None) -> Path:
    """Write the shards that are missing; returns their folder."""
    run = load_config(config, CorpusRun)
    folder = Path(run.out)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [index for index in range(run.shards) if not shard_path(run, index).exists()]
    if not missing:
        return folder
    # Not forked: a copy of torch's threads would wait for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(run.processes, context, torch.set_num_threads, (1,)) as pool:
        make = partial(add_shard, run, soundfont=soundfont)
        for done in as_completed([pool.submit(make, index) for index in missing]):
            log.info("wrote %s (of %d)", done.result(), run.shards)
    return folder


def shard_path(run: CorpusRun, index: int) -> Path:
    return Path(run.out) / f"{index:05d}.npz"


def add_shard(run: CorpusRun, index: int, soundfont: Path | None = None) -> Path:
    """Render, encode and write one shard of the run."""
    codec, renderer = load_codec(Path(run.codec)), Renderer(soundfont)
    codec.compile_networks(half=False)
    path = shard_path(run, index)
    write_shard(path, make_shard(shard_seeds(run, index), run.song_s, codec, renderer))
    return path


def shard_seeds(run: CorpusRun, index: int) -> Sequence[int]:
    """The seeds of a shard's songs; no other shard of the run has one of them."""
    if run.per_lead is None:
        return range(run.seed + index * run.songs, run.seed + (index + 1) * run.songs)
    first = run.seed + index * run.songs * CANDIDATES
    return varied_seeds(first, run.songs, run.per_lead, run.song_s)


def make_shard(seeds: Sequence[int], song_s: float, codec: Encodec, renderer: Renderer) -> Shard:
    codes, pitch, facts = [], [], []
    for seed in seeds:
        song = compose(seed, song_s)
        audio = torch.from_numpy(renderer.render(song))
        codes.append(codec.encode(audio[None, None])[0].numpy().astype(np.uint16))
        pitch.append(pitch_per_frame(audio))
        facts.append(song.facts)
    return Shard(np.stack(codes), np.stack(pitch), facts)


def pitch_per_frame(audio: Tensor) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The loudest pitch class around the start of each codec frame; audio [N] -> [N / 640]."""
    rows = chroma(audio, ChromaConfig(hop=PITCH_EVERY_FRAMES * HOP))
    classes = rows.argmax(-1).numpy().astype(np.uint8)
    return classes.repeat(PITCH_EVERY_FRAMES)[: audio.shape[0] // HOP]


def write_shard(path: Path, shard: Shard) -> None:
    facts = np.array([json.dumps(asdict(facts)) for facts in shard.facts])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, codes=shard.codes, pitch=shard.pitch, facts=facts)


def read_shard(path: Path) -> Shard:
    with np.load(path, allow_pickle=False) as arrays:
        facts = [json.loads(str(text)) for text in arrays["facts"]]
        facts = [Facts(**{**fact, "instruments": tuple(fact["instruments"])}) for fact in facts]
        return Shard(arrays["codes"], arrays["pitch"], facts)


def read_shards(folder: Path) -> Iterator[Shard]:
    for path in sorted(folder.glob("*.npz")):
        yield read_shard(path)
