"""Which files belong together, and what they were asked to be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toccata.audio.files import write
from toccata.audio.waveform import Waveform
from toccata.errors import InputError
from toccata.evaluation.audio_folder import captions, find, pairs


def clip(file: Path, tags: dict[str, str] | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, Waveform(np.zeros((1, 800), np.float32), 8000), tags=tags)
    return file


def test_clips_are_paired_by_name_whatever_their_kind(tmp_path: Path) -> None:
    made = [clip(tmp_path / "made" / name) for name in ("a.wav", "jazz/b.wav", "c.wav")]
    wanted = [clip(tmp_path / "songs" / name) for name in ("a.flac", "jazz/b.ogg", "d.wav")]
    (tmp_path / "made" / "a.txt").write_text("no audio")
    clip(tmp_path / "made" / ".hidden" / "x.wav")
    ours, theirs = find("made", tmp_path / "made"), find("against", tmp_path / "songs")
    assert list(ours.files) == ["a", "c", "jazz/b"]
    assert pairs(ours, theirs) == [(made[0], wanted[0]), (made[1], wanted[1])]


def test_folders_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    clip(tmp_path / "made" / "a.wav")
    clip(tmp_path / "songs" / "b.wav")
    clip(tmp_path / "twice" / "a.wav")
    clip(tmp_path / "twice" / "a.flac")
    (tmp_path / "empty").mkdir()
    made = find("made", tmp_path / "made")
    with pytest.raises(InputError, match="no file has the name of one in"):
        pairs(made, find("against", tmp_path / "songs"))
    with pytest.raises(InputError, match="keep one of them"):
        find("made", tmp_path / "twice")
    with pytest.raises(InputError, match="it holds no audio"):
        find("against", tmp_path / "empty")
    with pytest.raises(InputError, match="give a folder"):
        find("against", tmp_path / "nowhere")


def test_captions_are_beside_a_clip_or_in_it(tmp_path: Path) -> None:
    clip(tmp_path / "a.wav", {"prompt": "is in the tags"})
    clip(tmp_path / "b.wav", {"prompt": "is not asked"})
    clip(tmp_path / "c.wav")
    clip(tmp_path / "d.wav")
    (tmp_path / "b.txt").write_text("slow piano\n")
    (tmp_path / "c.json").write_text(json.dumps({"description": "fast drums"}))
    (tmp_path / "d.json").write_text(json.dumps("a flute"))
    found = captions(find("made", tmp_path))
    assert found == ["is in the tags", "slow piano", "fast drums", "a flute"]


def test_captions_may_be_elsewhere(tmp_path: Path) -> None:
    clip(tmp_path / "clips" / "a.wav")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("slow piano")
    made = find("made", tmp_path / "clips")
    assert captions(made, tmp_path / "texts") == ["slow piano"]
    with pytest.raises(InputError, match=r"a\.wav.*write a\.txt"):
        captions(made)


def test_a_caption_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    clip(tmp_path / "a.wav")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json.*must be JSON"):
        captions(find("made", tmp_path))
