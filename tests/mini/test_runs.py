"""The three runs at toy size: they learn, and an interrupted run ends as an uninterrupted one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from recipes.mini import pack
from recipes.mini.codec import train_codec
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.render import Renderer
from recipes.mini.lm import code_translation, encode_corpus, train_lm
from recipes.mini.lm.batches import NOT_DRAWN, Batch, Row, steady_rows
from recipes.mini.lm.encode_corpus import CorpusRun, read_shard, read_shards
from toccata.audio.waveform import Waveform
from toccata.conditioners.beats import Beats, beat_rows
from toccata.conditioners.chroma import melody_rows
from toccata.decoder.condition_scale import ConditionScale
from toccata.decoder.decoder import Decoder
from toccata.errors import CheckpointError, InputError
from toccata.finetuning.config_file import load_config
from toccata.models.checkpoints import native
from toccata.models.loading import load_model

TEXT = {
    "dim": 8, "layers": 1, "heads": 2, "buckets": 64, "tempo_classes": 90,
    "genres": ["jazz", "waltz"], "leads": ["piano", "flute"],
}  # fmt: skip
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
        "adversarial_from": 4,
    }
    return write(folder / f"{name}.yaml", values)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a codec and two corpora, made by the runs themselves."""
    folder = tmp_path_factory.mktemp("runs")
    train_codec.main(codec_config(folder, "codec", 6))
    for name, seed in (("train", 0), ("valid", 10**9)):
        values: dict[str, object] = {
            "out": str(folder / name), "codec": str(folder / "codec"), "seed": seed,
            "shards": 1, "songs": 3, "song_s": 6.0,
        }  # fmt: skip
        encode_corpus.main(write(folder / f"{name}.yaml", values))
    return folder


def lm_config(folder: Path, name: str, steps: int) -> Path:
    values: dict[str, object] = {
        "out": str(folder / name), "corpus": str(folder / "train"),
        "validation": str(folder / "valid"), "dim": 16, "layers": 1, "heads": 2, "ffn_dim": 32,
        "card": 16, "text": TEXT, "segment_s": 2.0,
        "steps": steps, "batch": 2, "warmup_steps": 2, "save_every": 3, "lr": 0.01,
    }  # fmt: skip
    return write(folder / f"{name}.yaml", values)


def test_an_interrupted_codec_run_ends_as_an_uninterrupted_one(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = codec_config(trained, "broken", 6)
    real_update = train_codec.CodecTrainer.update

    def stop_at_four(self: train_codec.CodecTrainer, audio: torch.Tensor) -> dict[str, float]:
        if self.step == 4:
            raise KeyboardInterrupt
        return real_update(self, audio)

    monkeypatch.setattr(train_codec.CodecTrainer, "update", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        train_codec.main(broken)
    monkeypatch.undo()
    train_codec.main(broken)
    whole = train_codec.load_codec(trained / "codec").state_dict()
    resumed = train_codec.load_codec(trained / "broken").state_dict()
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, msg=name)


def test_shards_hold_what_the_songs_are(trained: Path) -> None:
    (shard,) = read_shards(trained / "train")
    assert shard.codes.shape == (3, 4, 300)
    assert shard.pitch.shape == (3, 300)
    assert shard.pitch.max() < 12
    assert all(60 <= facts.bpm <= 168 for facts in shard.facts)


def test_shards_hold_the_codes_that_the_codec_gives_the_songs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # mini's own codec: in a smaller one bfloat16 is wrong nowhere.
    exact, quick = (load_model("mini", device="cpu", precision="fp32").codec for _ in range(2))
    monkeypatch.setattr(encode_corpus, "load_codec", lambda _: quick)
    run = CorpusRun(out=str(tmp_path), codec="", songs=2, song_s=4.0)
    shard = read_shard(encode_corpus.add_shard(run, 0))
    for seed, found in enumerate(shard.codes):
        audio = torch.from_numpy(Renderer().render(compose(seed, 4.0)))
        assert (exact.encode(audio[None, None])[0].numpy() == found).mean() > 0.99


def test_shards_with_few_songs_of_each_lead_share_no_song() -> None:
    run = CorpusRun(out="", codec="", songs=20, song_s=4.0, per_lead=2)
    shards = [encode_corpus.shard_seeds(run, index) for index in range(3)]
    assert len(set().union(*shards)) == 60
    leads = Counter(compose(seed, 4.0).facts.instruments[:1] for seed in shards[2])
    assert max(leads.values()) == 2


def test_shards_that_exist_are_kept(trained: Path) -> None:
    shard = trained / "train" / "00000.npz"
    before = shard.stat().st_mtime_ns
    encode_corpus.main(trained / "train.yaml")
    assert shard.stat().st_mtime_ns == before


def test_an_lm_goes_on_with_the_codes_of_another_codec(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_translation, "_SONGS", 2)
    train_lm.main(lm_config(trained, "before", 6))
    codec = str(trained / "codec")
    config = lm_config(trained, "after", 6)
    start = {"start": str(trained / "before"), "codec": codec, "start_codec": codec}
    write(config, yaml.safe_load(config.read_text()) | start)
    trainer = train_lm.LMTrainer(load_config(config, train_lm.LMRun))
    trainer.resume()
    before = train_lm.LMTrainer(load_config(trained / "before.yaml", train_lm.LMRun))
    before.resume()
    # Nothing changed but the codes that are in none of the songs.
    torch.testing.assert_close(trainer.validate(1), before.validate(1), rtol=0.02, atol=0.02)
    fresh = train_lm.LMTrainer(load_config(trained / "before.yaml", train_lm.LMRun))
    assert trainer.validate(1).mean() < fresh.validate(1).mean()


def test_the_lm_learns_and_resumes(trained: Path) -> None:
    train_lm.main(lm_config(trained, "whole", 6))
    train_lm.main(lm_config(trained, "parts", 3))
    longer = lm_config(trained, "parts", 6)
    train_lm.main(longer)
    _, whole = train_lm.load_trained(trained / "whole")
    run, parts = train_lm.load_trained(trained / "parts")
    assert run.steps == 6
    assert whole.state_dict().keys() == parts.state_dict().keys()
    start = train_lm.LMTrainer(run)
    end = train_lm.LMTrainer(run)
    end.resume()
    assert end.step == 6
    assert end.validate().mean() < start.validate().mean()


def test_a_run_goes_on_from_the_weights_of_another(trained: Path) -> None:
    train_lm.main(lm_config(trained, "first", 3))
    config = lm_config(trained, "second", 6)
    values = yaml.safe_load(config.read_text()) | {"start": str(trained / "first")}
    config.write_text(yaml.safe_dump(values))
    trainer = train_lm.LMTrainer(load_config(config, train_lm.LMRun))
    trainer.resume()
    _, first = train_lm.load_trained(trained / "first")
    assert trainer.step == 0
    assert all(
        torch.equal(weight, trainer.model.state_dict()[name])
        for name, weight in first.state_dict().items()
    )


def test_a_deeper_decoder_begins_as_good_as_the_one_it_starts_from(trained: Path) -> None:
    train_lm.main(lm_config(trained, "shallow", 3))
    config = lm_config(trained, "deep", 6)
    longer = {**TEXT, "genres": ["jazz", "waltz", "rock"], "max_words": 30}
    values = {"start": str(trained / "shallow"), "layers": 3, "text": longer}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | values))
    deep = train_lm.LMTrainer(load_config(config, train_lm.LMRun))
    deep.resume()
    _, shallow = train_lm.load_trained(trained / "shallow")
    codes = torch.randint(16, (1, 4, 40), generator=torch.Generator().manual_seed(0))
    decoder: Decoder = deep.model.lm
    torch.testing.assert_close(decoder(codes), shallow.lm(codes))
    assert deep.update(deep.batches(0)).isfinite().all()
    grown = decoder.get_parameter("layers.0.self_attn.out.weight")
    assert grown.abs().max() > 0, "what is new must learn too"


def change(config: Path, **values: object) -> Path:
    """The configuration with other values."""
    return write(config, yaml.safe_load(config.read_text()) | values)


@pytest.mark.parametrize(
    ("of_start", "of_run"), [({"layers": 2}, {"layers": 1}), ({}, {"ffn_dim": 64})]
)
def test_a_run_of_another_shape_is_no_start(
    trained: Path, of_start: dict[str, int], of_run: dict[str, int]
) -> None:
    name = "deeper" if of_start else "alike"
    train_lm.main(change(lm_config(trained, name, 1), **of_start))
    start = str(trained / name)
    config = change(lm_config(trained, "no_start", 6), start=start, **of_run)
    with pytest.raises(InputError, match="give this run"):
        train_lm.LMTrainer(load_config(config, train_lm.LMRun)).resume()


def test_a_finished_model_is_a_start_as_it_was_trained(trained: Path) -> None:
    train_lm.main(lm_config(trained, "for_pack", 2))
    packed = pack.PackRun(
        out="", codec=str(trained / "codec"), lm=str(trained / "for_pack"), name="toy",
        condition_scale=ConditionScale({"drums": 4.0}, (1.5, 1.25, 2.0, 0.5)),
    )  # fmt: skip
    native.write(pack.trained_model(packed), trained / "start_model")
    config = lm_config(trained, "from_model", 6)
    values = {"start": str(trained / "start_model")}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | values))
    trainer = train_lm.LMTrainer(load_config(config, train_lm.LMRun))
    trainer.resume()
    _, parts = train_lm.load_trained(trained / "for_pack")
    for name, weight in parts.state_dict().items():
        torch.testing.assert_close(trainer.model.state_dict()[name], weight, msg=name)


def test_conditions_are_the_same_in_training_and_in_use(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_lm.main(lm_config(trained, "same", 3))
    run, parts = train_lm.load_trained(trained / "same")
    parts.requires_grad_(False)
    for projection in parts.lm.projections.values():
        torch.nn.init.normal_(projection.get_parameter("weight"))
    codec = str(trained / "codec")
    model = pack.trained_model(
        pack.PackRun(out="", codec=codec, lm=str(trained / "same"), name="toy")
    )
    model.lm, model.text_encoder = parts.lm, parts.text
    melody = Waveform(np.sin(np.arange(64000, dtype=np.float32) / 12)[None], 32000)
    rows = melody_rows(torch.from_numpy(melody.samples[0]), run.chroma)
    beats = beat_rows(Beats(97), 0, 102, 50)
    facts = Facts("jazz", 97, "D minor", "", ("flute",), drums=False, meter="4/4")
    told = steady_rows(facts, run.text)
    caption = "slow jazz, no drums"
    named = {"genre": torch.tensor([1.0, 0.0]), "lead": torch.tensor([0.0, 1.0])}
    monkeypatch.setattr(parts.text, "named", lambda _: named)
    row = Row(
        codes=torch.zeros(4, 100, dtype=torch.int64), pitch=rows.argmax(-1), beats=beats,
        history=torch.ones(102, dtype=torch.bool), uniforms=torch.full((4, 102), NOT_DRAWN),
        words=torch.zeros(5, dtype=torch.int64), caption=caption, **told,
    )  # fmt: skip
    batch = Batch.of([row])
    text = parts.text(batch.captions)
    used = model.conditions(caption, melody, beats=Beats(97), key=(2, "minor"))
    assert used.step_conditioning is not None
    assert used.prefix is not None
    torch.testing.assert_close(
        parts.step_conditioning(batch, text)[0], used.step_conditioning[:102]
    )
    torch.testing.assert_close(parts.prefix(batch, text)[0], used.prefix)


def test_a_packed_model_is_scaled_for_generation_only(trained: Path) -> None:
    train_lm.main(lm_config(trained, "loud_lm", 1))
    values: dict[str, object] = {
        "out": str(trained / "loud"), "codec": str(trained / "codec"),
        "lm": str(trained / "loud_lm"), "name": "toy",
        "condition_scale": {
            "conditions": {"drums": 4.0}, "inverse_temperature": [1.0, 1.0, 1.0, 2.0],
        },
    }  # fmt: skip
    folder = pack.main(write(trained / "loud.yaml", values))
    used, plain = (
        load_model(folder, device="cpu", precision="fp32", as_trained=as_trained).lm.state_dict()
        for as_trained in (False, True)
    )
    for name, weight in plain.items():
        louder = {"projections.drums": 4.0, "heads.3": 2.0}.get(name.rpartition(".")[0], 1.0)
        torch.testing.assert_close(used[name], louder * weight, msg=name)
    values["condition_scale"] = {"conditions": {"drum_kit": 2.0}}
    with pytest.raises(CheckpointError, match="drum_kit"):
        pack.main(write(trained / "wrong.yaml", values))


def test_a_packed_model_loads_and_makes_music(trained: Path) -> None:
    from toccata.generation.handle import load

    train_lm.main(lm_config(trained, "packed_lm", 3))
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
