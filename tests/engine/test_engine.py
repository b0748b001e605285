import threading

import numpy as np
import pytest
import torch

from tests.engine.conftest import AHEAD
from tests.engine.helpers import finish, full_forward, random_codes, request, run
from tests.fakes import fake_model
from toccata.conditioners.base import Conditions
from toccata.engine.engine import Engine
from toccata.engine.sequence import Codes, Request
from toccata.errors import GenerationError, InputError
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

pytestmark = pytest.mark.usefixtures("each_backend")


def assert_same(codes: Codes, likeliest: torch.Tensor, backend: str) -> None:
    """With packed matrices, keys and values are in bfloat16 as well, which tips near ties."""
    same = float((codes == likeliest.numpy()).mean())
    assert same > 0.8 if backend == "packed_cpu" else same == 1.0


@pytest.mark.parametrize("prefix_kind", [False, True])
def test_greedy_codes_follow_the_uncached_forward(prefix_kind: bool, each_backend: str) -> None:
    model = fake_model(melody=prefix_kind)
    requested = request(model, frames=20, temperature=0.0, continued=random_codes(5))
    codes = run(Engine(model), requested)
    conditions = requested.conditions(0)
    cond = full_forward(
        model,
        codes,
        memory=None if conditions.text is None else conditions.text[None],
        prefix=None if conditions.prefix is None else conditions.prefix[None],
    )
    unconditional_prefix = conditions.unconditional_prefix
    null = full_forward(
        model, codes, prefix=None if unconditional_prefix is None else unconditional_prefix[None]
    )
    best = (null + 3.0 * (cond - null)).argmax(-1)
    assert np.array_equal(codes[:, :5], random_codes(5))
    assert_same(codes[:, 5:], best[:, 5:], each_backend)


def test_prefill_in_many_chunks_equals_one() -> None:
    model = fake_model(melody=True)
    requested = request(model, frames=6, temperature=0.0, continued=random_codes(17))
    whole = run(Engine(model), requested)
    engine = Engine(model)
    engine.backend.prefill_positions = 5
    assert np.array_equal(run(engine, requested), whole)


@pytest.mark.parametrize("change", [{"prompt": "fast drums"}, {"seed": 2}, {"cfg": 1.0}])
def test_what_is_asked_for_matters(change: dict[str, object]) -> None:
    model = fake_model()
    engine = Engine(model)
    assert not np.array_equal(
        run(engine, request(model)),
        run(engine, request(model, **change)),  # type: ignore[arg-type]
    )


def test_cfg_1_equals_the_conditioned_half_alone(each_backend: str) -> None:
    model = fake_model()
    requested = request(model, frames=10, cfg=1.0, temperature=0.0)
    codes = run(Engine(model), requested)
    text = requested.conditions(0).text
    assert text is not None
    assert_same(codes, full_forward(model, codes, memory=text[None]).argmax(-1), each_backend)


def styled(model: Model, frames: int, **params: float) -> Request:
    prefix, style, null = torch.randn(
        3, 5, model.lm.config.dim, generator=torch.Generator().manual_seed(4)
    )
    conditions = Conditions(prefix=prefix, style_prefix=style, unconditional_prefix=null)
    sampling = SamplingParams(**params)  # type: ignore[arg-type]
    return Request(lambda frame: conditions, frames, sampling, 3, 30)


def test_text_is_told_apart_from_style_in_a_third_half(each_backend: str) -> None:
    model = fake_model(melody=True)
    model.style = object()  # type: ignore[assignment]
    requested = styled(model, 20, temperature=0.0, cfg=3.0, cfg_beta=5.0)
    codes = run(Engine(model), requested)
    inputs = requested.conditions(0)
    cond, style, null = (
        full_forward(model, codes, prefix=None if prefix is None else prefix[None])
        for prefix in (inputs.prefix, inputs.style_prefix, inputs.unconditional_prefix)
    )
    best = (null + 3.0 * (style + 5.0 * (cond - style) - null)).argmax(-1)
    assert_same(codes, best, each_backend)


def test_requests_of_one_two_and_three_halves_share_a_step() -> None:
    model = fake_model(melody=True)
    model.style = object()  # type: ignore[assignment]
    params = [{"cfg_beta": 5.0}, {}, {"cfg": 1.0}, {"cfg_beta": 2.0, "top_p": 0.9}]
    requested = [styled(model, 15 + n, **one) for n, one in enumerate(params)]
    engine = Engine(model)
    sequences = []
    for one in requested:
        sequences.append(engine.submit(one))
        engine.step()
    finish(engine, *sequences)
    for n, one in enumerate(requested):
        assert np.array_equal(run(Engine(model), one), sequences[n].codes)


def test_a_frame_is_ready_once_all_its_codebooks_are(each_backend: str) -> None:
    model = fake_model()
    late = 1 if each_backend in AHEAD else 0
    engine = Engine(model)
    sequence = engine.submit(request(model, frames=6))
    seen = []
    while engine.step():
        ready = sequence.ready
        seen.append((ready, sequence.codes[:, :ready].copy()))
    counts = [ready for ready, _ in seen]
    assert counts == [0] * late + [0, 0, 0, 1, 2, 3, 4, 5]
    assert sequence.ready == 6
    assert all(np.array_equal(codes, sequence.codes[:, :ready]) for ready, codes in seen)


def test_windows_keep_context_and_ask_for_their_conditions() -> None:
    model = fake_model(segment_s=0.4)
    conditions, starts = model.conditions("slow warm piano"), []
    base = request(model, frames=50, stride_frames=12, temperature=0.0)

    def at(frame: int) -> object:
        starts.append(frame)
        return conditions

    codes = run(Engine(model), Request(at, 50, base.params, 1, 12))  # type: ignore[arg-type]
    assert starts == [0, 12, 24, 36]
    assert codes.shape == (4, 50)
    again = request(model, frames=12, temperature=0.0, continued=codes[:, 12:20])
    assert np.array_equal(run(Engine(model), again), codes[:, 12:32])


def test_a_long_prompt_conditions_with_its_last_part() -> None:
    model = fake_model(segment_s=0.4)
    inputs = random_codes(100)
    long = run(Engine(model), request(model, frames=8, stride_frames=12, continued=inputs))
    short = run(
        Engine(model), request(model, frames=8, stride_frames=12, continued=inputs[:, -12:])
    )
    assert np.array_equal(long, short)


def test_cancelling_at_any_step_leaves_the_others_alone() -> None:
    model = fake_model()
    alone = run(Engine(model), request(model, frames=12, continued=random_codes(4)))
    for steps in range(12):
        engine = Engine(model, slots=2)
        doomed = engine.submit(request(model, seed=9, continued=random_codes(9)))
        kept = engine.submit(request(model, frames=12, continued=random_codes(4)))
        waiting = engine.submit(request(model, seed=3))
        for _ in range(steps):
            engine.step()
        engine.cancel(doomed)
        engine.cancel(waiting)
        finish(engine, kept)
        assert (doomed.finish_reason, waiting.finish_reason) == ("cancelled", "cancelled")
        assert np.array_equal(kept.codes, alone)
        assert not engine.step()


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_end_one_request_only(poison: float) -> None:
    model = fake_model()
    requested = request(model, frames=12)
    alone = run(Engine(model), requested)
    text = requested.conditions(0)
    sick = type(text)(text=torch.full((3, model.lm.config.dim), poison))
    engine = Engine(model, slots=2)
    bad = engine.submit(Request(lambda frame: sick, 12, requested.params, 1, 30))
    good = engine.submit(requested)
    finish(engine, bad, good)
    assert bad.finish_reason == "failed"
    assert isinstance(bad.error, GenerationError)
    assert np.array_equal(good.codes, alone)
    assert np.array_equal(run(engine, requested), alone), "the sick request's slot is usable again"


def test_conditions_that_fail_end_one_request_only() -> None:
    model = fake_model()

    def refuse(frame: int) -> object:
        raise InputError("melody", "x", "no")

    engine = Engine(model)
    bad = engine.submit(Request(refuse, 12, request(model).params, 1, 30))  # type: ignore[arg-type]
    good = engine.submit(request(model))
    finish(engine, bad, good)
    assert isinstance(bad.error, InputError)
    assert good.finish_reason == "done"


def test_a_device_that_fails_ends_those_who_run_not_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = fake_model()
    engine = Engine(model, slots=2)
    unlucky = [engine.submit(request(model, seed=seed)) for seed in range(2)]
    waiting = engine.submit(request(model, seed=2))
    engine.step()

    def fail(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(engine._stepper, "step", fail)
        engine.step()
    assert [one.finish_reason for one in unlucky] == ["failed", "failed"]
    with pytest.raises(GenerationError, match="slots"):
        raise unlucky[0].error or AssertionError
    finish(engine, waiting)
    assert np.array_equal(waiting.codes, run(Engine(model), request(model, seed=2)))


def test_a_clip_that_the_device_has_no_room_for_fails_alone(each_backend: str) -> None:
    if each_backend not in AHEAD:
        pytest.skip("it asks the system for memory as it goes")
    model = fake_model(segment_s=12.0)
    engine = Engine(model, slots=2)
    alone = run(Engine(model), request(model, frames=30))
    kept = engine.submit(request(model, frames=30))
    engine.step()
    engine._backend.graph_capture.free = 0  # type: ignore[attr-defined]
    long = engine.submit(request(model, frames=600))
    finish(engine, kept, long)
    with pytest.raises(GenerationError, match="shorter clips"):
        raise long.error or AssertionError
    assert np.array_equal(kept.codes, alone)


def test_more_requests_than_slots_all_finish_in_order_of_arrival() -> None:
    model = fake_model()
    engine = Engine(model, slots=2)
    sequences = [engine.submit(request(model, frames=5, seed=seed)) for seed in range(7)]
    order = []
    while engine.step():
        order += [n for n, s in enumerate(sequences) if s.finished and n not in order]
    assert order + [n for n in range(7) if n not in order] == list(range(7))


def test_threads_may_share_one_engine() -> None:
    model = fake_model()
    alone = [run(Engine(model), request(model, seed=seed)) for seed in range(4)]
    engine = Engine(model)
    shared: dict[int, Codes] = {}

    def work(seed: int) -> None:
        shared[seed] = run(engine, request(model, seed=seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(shared[seed], alone[seed]) for seed in range(4))
