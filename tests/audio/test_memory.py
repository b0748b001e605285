"""Small files that decode to gigabytes: a process that reads them as a worker does stays small."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

MAX_GROWTH_MB = 500
# Reads `input_audio` as CLI and worker do, and says by
# how many MB the most that the process ever held grew, and how it ended.
CHILD = r"""
import re, sys
from pathlib import Path
import av, soundfile, soxr
from toccata.errors import ToccataError
from toccata import GenerationRequest
from toccata.generation.source_audio import part_in_use, read_part

def held_mb():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

role = "continue_from" if sys.argv[3] == "True" else "melody"
request = GenerationRequest(duration_s=30, **{role: sys.argv[1]})
before = held_mb()
try:
    seconds = read_part(part_in_use(request, sys.argv[2]), role).duration_s
except ToccataError as error:
    seconds = str(error)
print(int(held_mb() - before), seconds)
"""


def crc(data: bytes, polynomial: int, bits: int) -> int:
    value, top = 0, 1 << (bits - 1)
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & ((1 << bits) - 1)
    return value


def flac(seconds: int, rate_hz: int) -> bytes:
    """Stereo silence, 20 bytes for each 65535 samples, which no encoder would take time over."""
    block, total = 65535, seconds * rate_hz // 65535 * 65535
    form = rate_hz << 44 | 1 << 41 | 15 << 36 | total  # 2 channels of 16 bits
    info = struct.pack(">HH6xQ16x", block, block, form)
    frames = [b"fLaC\x80\0\0\x22" + info]
    for number in range(total // block):
        head = b"\xff\xf8\x70\x10" + chr(number).encode("utf-8") + struct.pack(">H", block - 1)
        frame = head + bytes((crc(head, 0x107, 8),)) + bytes(6)
        frames.append(frame + struct.pack(">H", crc(frame, 0x18005, 16)))
    return b"".join(frames)


def opus(minutes: int) -> bytes:
    """One second is encoded; its packets are written again and again."""
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as output:
        stream = output.add_stream("libopus", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 48000), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(stream.format, "stereo", 48000)
        frames = resampler.resample(frame)
        packets = [bytes(packet) for one in frames for packet in stream.encode(one)]
        for number in range(minutes * 60 * 50):
            packet = av.Packet(packets[-1])
            packet.stream, packet.time_base = stream, stream.codec_context.time_base
            packet.pts = packet.dts = number * 960
            packet.duration = 960
            output.mux(packet)
    return target.getvalue()


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bombs")
    made = {"hour.flac": flac(3600, 44_100), "high.flac": flac(60, 655_350), "hour.opus": opus(60)}
    for name, data in made.items():
        assert len(data) < 4 * 2**20
        (folder / name).write_bytes(data)
    return {name: folder / name for name in made}


@pytest.mark.parametrize("name", ["hour.flac", "high.flac", "hour.opus"])
@pytest.mark.parametrize(
    ("model", "continuation"), [("mini", False), ("mini", True), ("encode-decode", False)]
)
def test_bombs_take_little_memory(
    bombs: dict[str, Path], name: str, model: str, continuation: bool
) -> None:
    command = [sys.executable, "-c", CHILD, str(bombs[name]), model, str(continuation)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    grown_mb, _, ended = done.stdout.strip().partition(" ")
    assert int(grown_mb) < MAX_GROWTH_MB
    if name == "high.flac":
        assert float(ended) == pytest.approx(60.0, abs=0.2)
    elif model == "mini" and not continuation:
        assert float(ended) == pytest.approx(61.0, abs=0.01)  # what the clip can reach
    else:
        assert "choose a part of it" in ended
