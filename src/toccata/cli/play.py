"""Play a clip with a program of the machine, for `--play`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from toccata.audio.waveform import Waveform
from toccata.cli.report import interruptible
from toccata.errors import MissingExtraError

# Players in the order in which they are tried; each has a wav file as its last argument.
PLAYERS: dict[str, tuple[str, ...]] = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
    "afplay": (),
    "paplay": (),
    "aplay": ("--quiet",),
}


@dataclass(frozen=True)
class Player:
    """A program that plays wav files, as the beginning of its command line."""

    command: tuple[str, ...]

    def play(self, waveform: Waveform) -> str:
        """Play a waveform to its end, and return the problem if there was one, else ""."""
        from toccata.audio.files import write

        with tempfile.TemporaryDirectory(prefix="toccata-") as folder:
            path = Path(folder) / "clip.wav"
            write(path, waveform)
            with interruptible("playing"):
                done = subprocess.run([*self.command, str(path)], check=False)  # noqa: S603
        program = Path(self.command[0]).name
        return f"{program}: ended with code {done.returncode}" if done.returncode else ""


def find_player() -> Player:
    """Return the first player that this machine has.

    Raises:
        MissingExtraError: If it has none.
    """
    for name, options in PLAYERS.items():
        program = shutil.which(name)
        if program is not None:
            return Player((program, *options))
    names = ", ".join(PLAYERS)
    raise MissingExtraError(
        f"--play needs one of the programs {names}: install ffmpeg, or leave --play out"
    )
