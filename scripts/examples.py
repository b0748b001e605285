"""Generate the clips of docs/gallery/index.md, and the page that lists them.

Run as `python scripts/examples.py [--model NAME]`: every clip has a prompt and a seed, so that the
same model generates the same clips. `--page` writes only the page, from the tags of existing clips,
and `--check` checks whether the page is up to date.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import toccata
from toccata.audio.tags import read_tags

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
FOLDER, PAGE = "clips", "index.md"
BITRATE_KBPS = 96


@dataclass(frozen=True)
class Piece:
    """A clip of the gallery; `melody` and `continues` are the name of a clip that is its input."""

    name: str
    prompt: str
    seed: int
    duration_s: float = 10.0
    melody: str = ""
    continues: str = ""

    @property
    def command(self) -> str:
        """The command line that generates the clip, in the folder of the clips."""
        options = f'"{self.prompt}" ' if self.prompt else ""
        options += f"-d {self.duration_s:g} --seed {self.seed}"
        if self.melody:
            options += f" --melody {self.melody}.mp3"
        if self.continues:
            options += f" --continue-from {self.continues}.mp3"
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
    Piece("continued", "", 11, continues="lo-fi"),
    Piece("ambient", "slow ambient pads, peaceful, no drums", 12, duration_s=30.0),
)


def make(model: toccata.Toccata, piece: Piece, folder: Path) -> None:
    """Generate one clip and save it in `folder`, which must have the clip that is its input."""
    clip = model.generate(
        piece.prompt or None,
        duration_s=piece.duration_s,
        seed=piece.seed,
        melody=folder / f"{piece.melody}.mp3" if piece.melody else None,
        continue_from=folder / f"{piece.continues}.mp3" if piece.continues else None,
    )
    clip.save(folder / f"{piece.name}.mp3", bitrate_kbps=BITRATE_KBPS)


def page(folder: Path) -> str:
    """Format the gallery in Markdown; the settings of each clip are from the tags of its file."""
    return "\n\n".join([INTRODUCTION, *(_entry(piece, folder) for piece in PIECES)]) + "\n"


INTRODUCTION = """\
# Gallery

Twelve clips by `mini`, the model in the package. None was chosen among several: the seeds are 1
to 12. They were made by `python scripts/examples.py` in int8, the default precision on x86 CPUs.
On such a CPU each command makes the same codes again, and audio that differs by less than can be
heard. *melody* and *continued* also depend on how their input is decoded and analysed. Other
precisions and GPUs round differently, and make other clips of the same prompt
([determinism](../explanation/determinism.md))."""


def _entry(piece: Piece, folder: Path) -> str:
    tags = read_tags(folder / f"{piece.name}.mp3")
    settings = [f"{name} {tags[key]}" for key, name in SETTINGS.items() if key in tags]
    rows = [
        ("Prompt", piece.prompt or "none"),
        *([("Melody", f"of *{piece.melody}*")] if piece.melody else []),
        *([("Continues", f"*{piece.continues}*")] if piece.continues else []),
        ("Seed", str(piece.seed)),
        ("Duration", f"{piece.duration_s:g} s of new music"),
        ("Settings", ", ".join(settings)),
    ]
    return "\n\n".join(
        [
            f"## {piece.name}",
            f"[Listen to {piece.name}]({FOLDER}/{piece.name}.mp3)",
            "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]),
            f"```sh\n{piece.command}\n```",
        ]
    )


SETTINGS = {
    "model": "model",
    "cfg": "guidance",
    "top_k": "top_k",
    "top_p": "top_p",
    "temperature": "temperature",
    "normalization": "level by",
}
"""The tags that the page shows, with their names there."""


def main() -> None:
    """Generate all clips and the page, or only write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--out", type=Path, default=GALLERY, help="folder of index.md and clips/")
    parser.add_argument("--page", action="store_true", help="write only the page, without clips")
    parser.add_argument("--check", action="store_true", help="exit 1 if the page is out of date")
    options = parser.parse_args()
    folder, path = options.out / FOLDER, options.out / PAGE
    if options.check:
        if path.read_text(encoding="utf-8") != page(folder):
            raise SystemExit(f"{path.name}: out of date; run python scripts/examples.py --page")
        return
    if not options.page:
        folder.mkdir(parents=True, exist_ok=True)
        model = toccata.load(options.model)
        for piece in PIECES:
            make(model, piece, folder)
    path.write_text(page(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
