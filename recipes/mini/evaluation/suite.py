"""The evaluation suite: what a model does with what it was asked, on songs it never heard.

held-out songs -> clips for their captions, along their melodies, from their beginnings, a minute
long, at every guidance -> what is heard in them -> Report
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recipes.mini.composer.render import Renderer
from recipes.mini.evaluation import adherence, continuation, reference_songs
from recipes.mini.evaluation.clip_analysis import hear_all
from recipes.mini.evaluation.codec_metrics import codec_figures, losses, through_codec
from recipes.mini.evaluation.generation import GUIDANCE, Made, Maker, OnStage, make_all
from recipes.mini.evaluation.guidance import TRIED
from recipes.mini.evaluation.long_clips import faults, limits, steadiness
from recipes.mini.evaluation.melody import followed
from recipes.mini.evaluation.metrics import (
    TagLogits,
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
from toccata.generation.pipeline import Toccata


@dataclass(frozen=True)
class Evaluation:
    """The figures, and what their plots are drawn from."""

    report: Report
    points: Points


def evaluate(
    model: Toccata,
    clips: int = 200,
    on_stage: OnStage | None = None,
    tagger: Tagger | None = None,
) -> Evaluation:
    """Measure `model` with `clips` clips per question, at guidance 3; clip i is made with seed i.

    tagger: whose word is taken; None: that of the package. Raises CheckpointError if there is
    none, InputError without the soundfont that held-out songs are played with.
    """
    say = on_stage or (lambda _: None)
    tagger = tagger or classifier_weights.tagger()
    say("playing the held-out songs")
    songs = Material.choose(clips, Renderer())
    say(f"{songs.seconds(len(TRIED)):.0f} s of audio are to be made")
    made = make_all(Maker(model, say), songs)
    say("listening to what was made")
    return evaluate_clips(model, songs, made, tagger, say)


def evaluate_clips(
    model: Toccata, songs: Material, made: Made, tagger: Tagger, say: OnStage
) -> Evaluation:
    """All figures of what was made."""
    real = [song.audio for song in songs.asked]
    coded = through_codec(model.model, songs.asked)
    heard = TagLogits(*(hear_all(clips, tagger) for clips in (made.asked, real, coded)))
    say("melodies and continuations")
    sung = followed(made.melodic, [song.audio for song in songs.melodic])
    carried = continuation.new_parts(made.continued)
    joined = seams(made.continued, songs.continued)
    uncut = seams([song.audio for song in songs.continued], songs.continued)
    say("minutes")
    most = limits([song.audio for song in songs.steady])
    steady = [steadiness(samples, most) for samples in made.long]
    say("guidance, codec and losses")
    si_sdr_db, mel_l1 = codec_figures(coded, songs.asked)
    rates: dict[str, Any] = {
        **adherence.rates(heard.made, songs.asked),
        **continuation.kept(carried, songs.continued),
        **frechet_figures(heard),
    }
    report = Report(
        model=model.model.name,
        guidance_used=GUIDANCE,
        **rates,
        chroma_right=sung.mean_right,
        chroma_wrong=sung.mean_wrong,
        seam=seam_figures(joined, uncut),
        guidance=by_guidance(songs, made, heard.made, tagger),
        steady_accuracy=adherence.share([one.steady for one in steady]),
        steady=faults(steady),
        codec_si_sdr_db=si_sdr_db,
        codec_mel_l1=mel_l1,
        lm_loss_by_codebook=losses(model.model, songs.melodic),
        unhealthy=unhealthy([*made.asked, *made.melodic, *carried]),
        clips=counts(songs),
        seeds={"songs_from": reference_songs.FIRST_SEED, "clips_from": 0},
        seconds_made=songs.seconds(len(TRIED)),
        tagger=classifier_weights.accuracies(),
        ceiling=ceiling(heard, songs, most),
        by_chance=adherence.chances(heard.made, songs.asked),
    )
    return Evaluation(report, points(songs, made.long, heard.made, sung, (joined, uncut)))
