"""The three runs at toy size: they learn, and an interrupted run ends as an uninterrupted one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from toccata.training import codec_run, corpus_run, lm_run, pack
from toccata.training.corpus_run import read_shards

SEANET = {"filters": 2, "dimension": 8, "pad_mode": "constant"}


def write(path: Path, values: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def codec_config(folder: Path, name: str, steps: int) -> Path:
    values = {
        "out": str(folder / name),
        "codec": {"card": 16, "seanet": SEANET},
        "steps": steps,
        "warmup_steps": 2,
        "batch": 4,
        "crop_s": 0.2,
        "save_every": 3,
        "adversarial_from": 5,
    }
    return write(folder / f"{name}.yaml", values)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a codec and two corpora, made by the runs themselves."""
    folder = tmp_path_factory.mktemp("runs")
    codec_run.main(codec_config(folder, "codec", 6))
    for name, seed in (("train", 0), ("valid", 10**9)):
        values: dict[str, object] = {
            "out": str(folder / name), "codec": str(folder / "codec"), "seed": seed,
            "shards": 1, "songs": 3, "song_s": 6.0,
        }  # fmt: skip
        corpus_run.main(write(folder / f"{name}.yaml", values))
    return folder


def lm_config(folder: Path, name: str, steps: int) -> Path:
    values: dict[str, object] = {
        "out": str(folder / name), "corpus": str(folder / "train"),
        "validation": str(folder / "valid"), "dim": 16, "layers": 1, "heads": 2, "ffn_dim": 32,
        "card": 16, "text": {"dim": 8, "layers": 1, "heads": 2, "buckets": 64}, "segment_s": 2.0,
        "steps": steps, "batch": 2, "warmup_steps": 2, "save_every": 3, "lr": 0.01,
    }  # fmt: skip
    return write(folder / f"{name}.yaml", values)


def test_an_interrupted_codec_run_ends_as_an_uninterrupted_one(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = codec_config(trained, "broken", 6)
    real_update = codec_run.CodecTrainer.update

    def stop_at_four(self: codec_run.CodecTrainer, audio: torch.Tensor) -> dict[str, float]:
        if self.step == 4:
            raise KeyboardInterrupt
        return real_update(self, audio)

    monkeypatch.setattr(codec_run.CodecTrainer, "update", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        codec_run.main(broken)
    monkeypatch.undo()
    codec_run.main(broken)
    whole = codec_run.load_codec(trained / "codec").state_dict()
    resumed = codec_run.load_codec(trained / "broken").state_dict()
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, msg=name)


def test_shards_hold_what_the_songs_are(trained: Path) -> None:
    (shard,) = read_shards(trained / "train")
    assert shard.codes.shape == (3, 4, 300)
    assert shard.pitch.shape == (3, 300)
    assert shard.pitch.max() < 12
    assert all(60 <= facts.bpm <= 168 for facts in shard.facts)


def test_shards_that_exist_are_kept(trained: Path) -> None:
    shard = trained / "train" / "00000.npz"
    before = shard.stat().st_mtime_ns
    corpus_run.main(trained / "train.yaml")
    assert shard.stat().st_mtime_ns == before


def test_the_lm_learns_and_resumes(trained: Path) -> None:
    lm_run.main(lm_config(trained, "whole", 6))
    lm_run.main(lm_config(trained, "parts", 3))
    longer = lm_config(trained, "parts", 6)
    lm_run.main(longer)
    _, whole = lm_run.load_trained(trained / "whole")
    run, parts = lm_run.load_trained(trained / "parts")
    assert run.steps == 6
    assert whole.state_dict().keys() == parts.state_dict().keys()
    start = lm_run.LMTrainer(run)
    end = lm_run.LMTrainer(run)
    end.resume()
    assert end.step == 6
    assert end.validate().mean() < start.validate().mean()


def test_a_packed_model_loads_and_makes_music(trained: Path) -> None:
    from toccata.pipeline import load

    lm_run.main(lm_config(trained, "packed_lm", 3))
    values: dict[str, object] = {
        "out": str(trained / "packed"), "codec": str(trained / "codec"),
        "lm": str(trained / "packed_lm"), "name": "toy",
    }  # fmt: skip
    folder = pack.main(write(trained / "pack.yaml", values))
    (folder / "MODEL_CARD.md").write_text("figures")
    pack.main(trained / "pack.yaml")
    assert (folder / "MODEL_CARD.md").read_text() == "figures"
    clip = load(folder, device="cpu").generate("fast drums", duration_s=0.5, seed=1)
    assert clip.model == "toy"
    assert clip.samples.shape == (1, 16000)
