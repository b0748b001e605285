from toccata.decoder.decoder import LMConfig
from toccata.engine.scheduler import Scheduler
from toccata.engine.sequence import Request, Sequence
from toccata.models.sampling_params import SamplingParams

CONFIG = LMConfig(4, 1, 1, 4, 4, 1, True, (0,))


def sequence() -> Sequence:
    return Sequence(Request(lambda frame: None, 5, SamplingParams(), 0, 5), CONFIG, 10)  # type: ignore[arg-type, return-value]


def test_slots_go_to_the_first_comers_lowest_first() -> None:
    scheduler, queue = Scheduler(2), [sequence() for _ in range(4)]
    for one in queue:
        scheduler.add(one)
    assert scheduler.admit() == queue[:2]
    assert [one.slot for one in queue] == [0, 1, -1, -1]
    scheduler.remove(queue[0])
    assert scheduler.admit() == [queue[2]]
    assert queue[2].slot == 0


def test_prefill_is_first_come_first_served_and_running_is_by_slot() -> None:
    scheduler, (a, b, c) = Scheduler(3), (sequence(), sequence(), sequence())
    for one in (a, b, c):
        scheduler.add(one)
    scheduler.admit()
    scheduler.run(c)
    scheduler.prefill(b)
    scheduler.prefill(a)
    assert scheduler.next_to_prefill() is b
    scheduler.run(b)
    assert scheduler.next_to_prefill() is a
    assert scheduler.running == [b, c]


def test_whoever_leaves_is_forgotten_wherever_it_was() -> None:
    scheduler, (a, b, c) = Scheduler(2), (sequence(), sequence(), sequence())
    for one in (a, b, c):
        scheduler.add(one)
    scheduler.admit()
    scheduler.run(a)
    scheduler.prefill(b)
    for one in (a, b, c, c):
        scheduler.remove(one)
    assert scheduler.idle
