"""That the benchmarks measure the same work on both sides, and say what they found."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from bench.models import lm_config, random_model, step_bytes
from bench.options import plan
from bench.ours import generate, loaded, measure
from bench.report import Results, document, table
from bench.shapes import SHAPES
from bench.speed import Result, Row, medians, ratios
from bench.task import PROMPT, PROMPT_TOKENS, Measured, StepClock

from bench.memory import CASES, Growth
from bench.memory import measure as measure_memory

TINY = SHAPES["tiny"]


def figures(ms_per_step: float) -> Measured:
    return Measured(
        ms_per_step=ms_per_step,
        times_real_time=2.0,
        gb_per_s=10.0,
        first_audio_s=0.5,
        peak_rss_mb=400.0,
    )


def row(system: str, *ms_per_step: float) -> Row:
    runs = [figures(ms) for ms in ms_per_step]
    return Row(system, "fp32", medians(runs, bandwidth_gb_per_s=20.0), runs)


def test_the_figures_of_a_run_are_sane() -> None:
    found = measure(precision="fp32", seconds=0.6, shape="tiny")
    assert min(json.loads(json.dumps(found)).values()) > 0


@pytest.mark.filterwarnings("ignore")  # what transformers warns of is its own affair
def test_both_sides_make_the_same_audio_in_the_same_steps() -> None:
    from bench import peer_transformers

    seconds, ticks = 0.5, (StepClock(), StepClock())
    toccata = loaded(precision="fp32", shape="tiny")
    model = peer_transformers.model_of(TINY, "fp32")
    our_audio_s = generate(toccata, seconds, ticks[0])
    peer_audio_s = peer_transformers.generate(model, TINY, seconds, ticks[1])
    assert our_audio_s == pytest.approx(peer_audio_s) == pytest.approx(seconds)
    assert abs(ticks[0].steps - ticks[1].steps) <= 1
    heads = sum(p.numel() for p in toccata.model.lm.heads.parameters())
    assert heads == sum(p.numel() for p in model.decoder.lm_heads.parameters())
    layers = sum(p.numel() for p in toccata.model.lm.layers.parameters())
    assert layers == sum(p.numel() for p in model.decoder.model.decoder.layers.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_peer_has_the_codebooks_of_the_shape(shape: str) -> None:
    from bench import peer_transformers

    with torch.device("meta"):
        codec = peer_transformers.model_of(SHAPES[shape], "bf16").audio_encoder
    assert len(codec.quantizer.layers) == SHAPES[shape].codebooks


def test_the_bytes_of_a_step_are_the_matrices_that_it_multiplies() -> None:
    lm = random_model(TINY, "bf16").lm
    once = ("embed.", "projections.", "cross_attn.kv")
    matrices = [
        p for name, p in lm.named_parameters() if p.dim() == 2 and not any(o in name for o in once)
    ]
    assert step_bytes(lm_config(TINY), "bf16") == sum(p.nbytes for p in matrices)


def test_the_prompt_has_as_many_tokens_as_the_peers_are_given() -> None:
    assert len(random_model(TINY, "fp32").text_encoder.encode(PROMPT)) == PROMPT_TOKENS


def test_memory_is_measured_over_every_kind_of_request() -> None:
    grown = measure_memory(shape="tiny", generations=len(CASES))
    assert grown["after_warm_up_mb"] > 100
    assert grown["growth_percent"] == 0  # the warm-up is all there is


def test_medians_and_ratios() -> None:
    our, peer = row("toccata", 10.0, 90.0, 20.0), row("transformers", 40.0, 41.0, 30.0)
    assert our.medians["ms_per_step"] == 20.0
    assert our.medians["bandwidth_share"] == 0.5
    (ratio,) = ratios([our, peer])
    assert ratio.figures["ms_per_step"] == 0.5
    assert ratio.figures["peak_rss_mb"] == 1.0


def test_the_document_has_machine_figures_and_ratios() -> None:
    rows = [row("toccata", 20.0), row("transformers", 40.0)]
    result = Result("The shape of tiny", 20.0, 2, rows, list(ratios(rows)))
    growth = Growth(generations=100, after_warm_up_mb=500.0, at_end_mb=510.0, growth_percent=2.0)
    results = Results({"processor": "abacus"}, [result], {"help_s": 0.1, "generate_s": 9.0}, growth)
    text = document(results)
    for expected in ("abacus", "The shape of tiny", "20.0", "0.50x", "50%", "9.00", "100", "2.0"):
        assert expected in text
    json.dumps(asdict(results))


def test_a_table_is_aligned() -> None:
    assert table(["a", "long"], [["wider", "1"]]).splitlines() == [
        "| a     | long |",
        "| ----- | ---- |",
        "| wider | 1    |",
    ]


def test_without_options_everything_is_measured() -> None:
    wanted = plan([])
    assert [speed.subject for speed in wanted.speeds] == [{"shape": "small"}, {"model": "mini"}]
    assert wanted.speeds[0].systems == [("toccata", "fp32"), ("transformers", "fp32")]
    assert wanted.model == "mini"


def test_options_choose() -> None:
    arguments = "--shape tiny --compare transformers --precision bf16 --seconds 2 --runs 1"
    wanted = plan(arguments.split())
    (speed,) = wanted.speeds
    assert speed.subject == {"shape": "tiny"}
    assert speed.systems == [("toccata", "bf16"), ("transformers", "bf16")]
    assert (speed.seconds, speed.runs, wanted.model) == (2.0, 1, None)


@pytest.mark.parametrize(
    "arguments",
    ["--model mini --compare transformers", "--shape tiny --seconds 0", "--runs 0", "--shape huge"],
)
def test_wrong_options_are_refused(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        plan(arguments.split())
    assert error.value.code == 2
    assert "--" in capsys.readouterr().err
