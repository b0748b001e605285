"""The whole suite on the held-out songs themselves: they reach their ceiling, or it is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from recipes.mini.composer.genres import all_genres
from recipes.mini.composer.instruments import FAMILIES
from recipes.mini.composer.render import Renderer
from recipes.mini.evaluation import suite
from recipes.mini.evaluation.generation import GUIDANCE
from recipes.mini.evaluation.reference_songs import CLIP_S, INPUT_S, LONG_S, NEW_S, Material
from recipes.mini.evaluation.suite import Evaluation
from tests.fakes import fake_model
from toccata.analysis.tagger import Classes, Tagger
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.generation.clip import Clip
from toccata.generation.handle import Toccata

CLIPS = 4
PROMISED = (
    "tempo_accuracy",
    "key_accuracy",
    "drums_accuracy",
    "instrument_accuracy",
    "genre_accuracy",
    "chroma_right",
    "chroma_wrong",
    "continuation_key_accuracy",
    "continuation_tempo_accuracy",
    "frechet_ratio",
    "steady_accuracy",
)


@pytest.fixture(scope="module")
def songs() -> Material:
    return Material.choose(CLIPS, Renderer())


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    torch.manual_seed(0)
    genres = tuple(genre.name for genre in all_genres())
    return Tagger(Classes(genres, FAMILIES, width=4)).eval().requires_grad_(False)


class Echo:
    """A model that makes the very song whose caption or beginning it is given."""

    def __init__(self, songs: Material) -> None:
        seanet = SeanetConfig(filters=2, dimension=8, pad_mode="constant")
        codec = Encodec(EncodecConfig(card=16, seanet=seanet)).eval()
        self.model = replace(fake_model(), codec=codec)
        self.songs = songs
        self.wanted: list[Mapping[str, Any]] = []

    def generate_batch(self, wanted: Sequence[Mapping[str, Any]]) -> list[Clip]:
        self.wanted += wanted
        return [Clip(self.song(one)[None], 32_000) for one in wanted]

    def song(self, one: Mapping[str, Any]) -> Any:
        if "continue_from" in one:
            of_set = self.songs.continued
        elif one["duration_s"] == LONG_S:
            of_set = self.songs.long
        else:
            of_set = self.songs.melodic if "melody" in one else self.songs.captioned
        song = of_set[one["seed"]]
        assert one.get("prompt", song.caption) == song.caption
        return song.audio


@pytest.fixture(scope="module")
def echo(songs: Material) -> Echo:
    return Echo(songs)


@pytest.fixture(scope="module")
def found(songs: Material, echo: Echo, tagger: Tagger) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Material, "choose", lambda *_: songs)
        return suite.evaluate(cast(Toccata, echo), CLIPS, tagger=tagger)


def test_every_figure_that_is_promised_is_there(found: Evaluation) -> None:
    figures = found.report.to_json()
    assert all(isinstance(figures[name], float) for name in PROMISED)
    assert set(figures["guidance"]) == {"1", "3", "6"}
    assert figures["clips"]["tempo_accuracy"] >= CLIPS
    assert len(figures["lm_loss_by_codebook"]) == 4


def test_the_songs_reach_their_ceiling(found: Evaluation) -> None:
    report = found.report
    for name, most in report.ceiling.items():
        assert getattr(report, name) == most
    assert report.frechet_ratio == 1.0
    assert report.chroma_right == 1.0
    assert report.chroma_wrong < 0.5
    assert report.tempo_accuracy >= 0.5
    assert not report.seam["detectable"]
    assert report.seam["rank"] == report.seam["songs_rank"]


def test_an_untrained_codec_is_far_from_the_songs(found: Evaluation) -> None:
    assert found.report.frechet_codec_ratio > 1.0
    assert found.report.codec_si_sdr_db < 0


def test_the_model_is_asked_for_what_the_report_says(found: Evaluation, echo: Echo) -> None:
    made_s = sum(one["duration_s"] for one in echo.wanted)
    assert made_s == found.report.seconds_made
    continued = [one for one in echo.wanted if "continue_from" in one]
    assert all("prompt" not in one for one in continued)
    assert {one["continue_from"].duration_s for one in continued} == {INPUT_S}
    assert {one["duration_s"] for one in echo.wanted} == {CLIP_S, NEW_S, LONG_S}
    assert {one["cfg"] for one in echo.wanted} == {1.0, GUIDANCE, 6.0}
    melodies = [one["melody"] for one in echo.wanted if "melody" in one]
    assert len(melodies) == found.report.clips["melodic"]


def test_points_are_those_of_the_clips(found: Evaluation, songs: Material) -> None:
    points, clips = found.points, found.report.clips
    assert len(points.tempi) == clips["tempo_accuracy"]
    assert len(points.families) == clips["instrument_accuracy"]
    assert points.chroma[0] == (1.0,) * clips["melodic"]
    assert len(points.thirds) == len(songs.long)
    assert np.allclose(*points.flux)


def test_silence_hits_nothing(songs: Material, tagger: Tagger) -> None:
    from recipes.mini.evaluation import adherence, continuation
    from recipes.mini.evaluation.clip_analysis import analyze_all

    silence = [np.zeros(8 * 32_000, np.float32) for _ in songs.captioned]
    rates = adherence.rates(analyze_all(silence, tagger), songs.captioned)
    assert rates["tempo_accuracy"] == 0.0
    kept = continuation.kept(silence[: len(songs.continued)], songs.continued)
    assert kept["continuation_tempo_accuracy"] == 0.0
