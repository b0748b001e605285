"""Finished clips on their way to the user: files, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toccata.cli.outputs import Names
from toccata.cli.report import say, show, show_json
from toccata.errors import InputError
from toccata.types import Clip

_TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    "bitrate": ("mp3", "ogg"),
    "bit_depth": ("wav", "flac"),
}


@dataclass(frozen=True)
class Finish:
    """The format of the file and its options. None: the format's own default."""

    format: str
    bitrate: int | None = None
    bit_depth: int | None = None

    def __post_init__(self) -> None:
        for option, formats in _TAKEN_BY.items():
            value = getattr(self, option)
            if value is not None and self.format not in formats:
                detail = f"{self.format} has none: leave it out, or write " + " or ".join(formats)
                raise InputError(option, value, detail)

    def write(self, clip: Clip, path: Path) -> None:
        """Write `clip`, with its tags, to `path`, whole or not at all."""
        from toccata.audio.files import write

        given = {"bitrate_kbps": self.bitrate, "bit_depth": self.bit_depth}
        options = {name: value for name, value in given.items() if value is not None}
        write(path, clip, self.format, tags=clip.tags, **options)


def deliver(clips: Iterable[Clip], finish: Finish, files: Names, *, json: bool) -> None:
    """Write every clip; say on stdout where it is, or everything about it as JSON."""
    for n, clip in enumerate(clips, start=1):
        path = files.path(clip.seed, n)
        finish.write(clip, path)
        say(f"{clip.duration_s:.2f} s of music by {clip.model}, seed {clip.seed}")
        if json:
            show_json(description(clip, path, finish.format))
        else:
            show(str(path))


def description(clip: Clip, path: Path, output_format: str) -> dict[str, object]:
    """What `--json` says about a clip."""
    return {
        "path": str(path),
        "format": output_format,
        "model": clip.model,
        "prompt": clip.prompt,
        "seed": clip.seed,
        "duration_s": round(clip.duration_s, 3),
        "sample_rate_hz": clip.sample_rate_hz,
        "channels": clip.channels,
        "parameters": dict(clip.parameters),
    }
