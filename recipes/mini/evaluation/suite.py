"""The evaluation suite: a model's clips for held-out songs.

held-out songs -> clips for their captions, with their melodies, from their beginnings, a minute
long, at every guidance -> analyses -> Report
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recipes.mini.composer.render import Renderer
from recipes.mini.evaluation import adherence, continuation, reference_songs
from recipes.mini.evaluation.clip_analysis import analyze_all
from recipes.mini.evaluation.codec_metrics import codec_figures, losses, through_codec
from recipes.mini.evaluation.generation import GUIDANCE, GeneratedClips, Maker, OnStage, make_all
from recipes.mini.evaluation.guidance import TRIED
from recipes.mini.evaluation.long_clips import faults, limits, steadiness
from recipes.mini.evaluation.melody import followed
from recipes.mini.evaluation.metrics import (
    Analyses,
    by_guidance,
    ceiling,
    counts,
    frechet_figures,
    seam_figures,
    unhealthy,
)
from recipes.mini.evaluation.points import Points, points
from recipes.mini.evaluation.reference_songs import Material
from recipes.mini.evaluation.report import Report
from recipes.mini.evaluation.seam import seams
from toccata.analysis import classifier_weights
from toccata.analysis.tagger import Tagger
from toccata.generation.handle import Toccata


@dataclass(frozen=True)
class Evaluation:
    """The metrics, and the data of their plots."""

    report: Report
    points: Points


def evaluate(
    model: Toccata,
    clips: int = 200,
    on_stage: OnStage | None = None,
    tagger: Tagger | None = None,
) -> Evaluation:
    """Evaluate a model, at guidance 3; clip i of a set has seed i.

    Args:
        model: The model.
        clips: How many clips per metric.
        on_stage: Called with a text at each stage.
        tagger: Predicts genre, lead and drums; None: that of the package.

    Raises:
        CheckpointError: The tagger's weights are missing.
        InputError: There is no soundfont for the held-out songs.
    """
    say = on_stage or (lambda _: None)
    tagger = tagger or classifier_weights.tagger()
    say("rendering the held-out songs")
    songs = Material.choose(clips, Renderer())
    say(f"{songs.seconds(len(TRIED)):.0f} s of audio to generate")
    made = make_all(Maker(model, say), songs)
    say("analysing the clips")
    return evaluate_clips(model, songs, made, tagger, say)


def evaluate_clips(
    model: Toccata, songs: Material, made: GeneratedClips, tagger: Tagger, say: OnStage
) -> Evaluation:
    """Compute all metrics of generated clips."""
    real = [song.audio for song in songs.captioned]
    coded = through_codec(model.model, songs.captioned)
    analyses = Analyses(*(analyze_all(clips, tagger) for clips in (made.captioned, real, coded)))
    say("melodies and continuations")
    melodies = followed(made.melodic, [song.audio for song in songs.melodic])
    new_parts = continuation.new_parts(made.continued)
    joined = seams(made.continued, songs.continued)
    uncut = seams([song.audio for song in songs.continued], songs.continued)
    say("minutes")
    most = limits([song.audio for song in songs.steady])
    steady = [steadiness(samples, most) for samples in made.long]
    say("guidance, codec and losses")
    si_sdr_db, mel_l1 = codec_figures(coded, songs.captioned)
    rates: dict[str, Any] = {
        **adherence.rates(analyses.generated, songs.captioned),
        **continuation.kept(new_parts, songs.continued),
        **frechet_figures(analyses),
    }
    report = Report(
        model=model.model.name,
        guidance_used=GUIDANCE,
        **rates,
        chroma_right=melodies.mean_right,
        chroma_wrong=melodies.mean_wrong,
        seam=seam_figures(joined, uncut),
        guidance=by_guidance(songs, made, analyses.generated, tagger),
        steady_accuracy=adherence.share([one.steady for one in steady]),
        steady=faults(steady),
        codec_si_sdr_db=si_sdr_db,
        codec_mel_l1=mel_l1,
        lm_loss_by_codebook=losses(model.model, songs.melodic),
        unhealthy=unhealthy([*made.captioned, *made.melodic, *new_parts]),
        clips=counts(songs),
        seeds={"songs_from": reference_songs.FIRST_SEED, "clips_from": 0},
        seconds_made=songs.seconds(len(TRIED)),
        tagger=classifier_weights.accuracies(),
        ceiling=ceiling(analyses, songs, most),
        by_chance=adherence.chances(analyses.generated, songs.captioned),
    )
    return Evaluation(
        report, points(songs, made.long, analyses.generated, melodies, (joined, uncut))
    )
