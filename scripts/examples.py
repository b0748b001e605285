"""Make the audio examples of docs/examples.md, and the page that lists them.

Run as `python scripts/examples.py [--model NAME]`: every clip is a prompt and a seed, so that the
same model makes the same examples.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import toccata

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = "examples"
BITRATE_KBPS = 96


@dataclass(frozen=True)
class Piece:
    """One example. melody and carries_on: the name of an earlier one that it is given."""

    name: str
    prompt: str
    seed: int
    duration_s: float = 10.0
    melody: str = ""
    carries_on: str = ""

    @property
    def command(self) -> str:
        options = f'"{self.prompt}" ' if self.prompt else ""
        options += f"-d {self.duration_s:g} --seed {self.seed}"
        given = self.melody or self.carries_on
        if given:
            options += f" --input-audio {given}.mp3"
        if self.carries_on:
            options += " --continuation"
        return f"toccata generate {options} --bitrate {BITRATE_KBPS} -o {self.name}.mp3"


PIECES = (
    Piece("lo-fi", "lo-fi beat, 80 bpm, mellow electric piano, in A minor", 1),
    Piece("techno", "dark driving techno, 132 bpm, synth lead", 2),
    Piece("bossa-nova", "a relaxed bossa nova with acoustic guitar and flute, 128 bpm", 3),
    Piece("jazz", "swinging jazz trio with saxophone, upright bass and brushes, 140 bpm", 4),
    Piece("drum-and-bass", "fast drum and bass, 174 bpm, dreamy pads", 5),
    Piece("reggae", "sunny reggae in G major, organ skank, 76 bpm", 6),
    Piece("classical", "calm classical piece for solo piano, no drums, in D minor", 7),
    Piece("metal", "heavy metal riff with distorted guitar and drums, 160 bpm", 8),
    Piece("chiptune", "happy chiptune, square lead, 150 bpm, C major", 9, duration_s=20.0),
    Piece("melody", "country with banjo and drums", 10, melody="classical"),
    Piece("continued", "", 11, carries_on="lo-fi"),
    Piece("ambient", "slow ambient pads, peaceful, no drums", 12, duration_s=30.0),
)


def make(model: toccata.Toccata, piece: Piece, folder: Path) -> None:
    given = {
        field: str(folder / f"{name}.mp3")
        for field, name in (("melody", piece.melody), ("continue_from", piece.carries_on))
        if name
    }
    clip = model.generate(
        piece.prompt or None, duration_s=piece.duration_s, seed=piece.seed, **given
    )
    clip.save(folder / f"{piece.name}.mp3", bitrate_kbps=BITRATE_KBPS)


def page() -> str:
    head = (
        "# Examples\n\n"
        "Twelve clips by `mini`, the model in the package: none was chosen among several. Made by\n"
        "`python scripts/examples.py`, in int8, the default on x86 CPUs. There each command makes\n"
        "the same clip again: the same codes, whose audio differs by less than can be heard.\n"
        "*melody* and *continued* depend on how their audio is decoded and analysed too. Other\n"
        "precisions and GPUs round differently, and make other clips of the same prompt.\n\n"
        "| clip | prompt | seed | command |\n|---|---|---|---|\n"
    )
    rows = [
        f"| [{piece.name}]({FOLDER}/{piece.name}.mp3) | {_told(piece)} | {piece.seed} "
        f"| `{piece.command}` |"
        for piece in PIECES
    ]
    return head + "\n".join(rows) + "\n"


def _told(piece: Piece) -> str:
    if piece.melody:
        return f"{piece.prompt}, to the melody of *{piece.melody}*"
    return f"*{piece.carries_on}*, carried on" if piece.carries_on else piece.prompt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--out", type=Path, default=DOCS)
    options = parser.parse_args()
    folder = options.out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    model = toccata.load(options.model)
    for piece in PIECES:
        make(model, piece, folder)
    (options.out / "examples.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
