"""Workers that behave oddly."""

from __future__ import annotations

import os
import time

from toccata.server.worker.protocol import Pipe, send
from toccata.settings import Settings

WORDS = 500


def talkative(pipe: Pipe, machine: Settings) -> None:
    """Says a lot, then dies in the middle of a word."""
    send(pipe, "ready", device="cpu")
    for number in range(WORDS):
        send(pipe, "log", data=number)
    os._exit(7)


def short_lived(pipe: Pipe, machine: Settings) -> None:
    os._exit(3)


def deaf(pipe: Pipe, machine: Settings) -> None:
    """Neither listens nor ends."""
    send(pipe, "ready", device="cpu")
    time.sleep(3600)


def stalled(pipe: Pipe, machine: Settings) -> None:
    """Lives, but its jobs make no step."""
    send(pipe, "ready", device="cpu")
    while True:
        send(pipe, "alive", stalled_s=1000.0)
        time.sleep(0.1)


def without_device(pipe: Pipe, machine: Settings) -> None:
    send(pipe, "setup_failed", error="device: there is no GPU here")
