import msgspec
import pytest

from benchmarks.lessons.fates import Decay, Fate, decay

LASTING = Fate(edge="lasting", active_day=20.0, true_rr=0.6, half_life_days=365.0)
DECAYING = Fate(
    edge="decaying", true_half_life_days=20.0, active_day=30.0, true_rr=0.42, half_life_days=25.0, neutral_day=140.0
)


def test_an_edge_that_lasts_is_not_judged() -> None:
    assert decay([LASTING]) is None


def test_found_in_time_gone_in_time_with_its_half_life() -> None:
    assert decay([LASTING, DECAYING]) == Decay(in_time=True, gone=True, half_life=True)


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        ({"true_rr": 0.29}, Decay(in_time=False, gone=True, half_life=True)),
        ({"neutral_day": 150.25}, Decay(in_time=True, gone=False, half_life=True)),
        ({"neutral_day": None}, Decay(in_time=True, gone=False, half_life=True)),
        ({"half_life_days": 41.0}, Decay(in_time=True, gone=True, half_life=False)),
        ({"half_life_days": 9.0}, Decay(in_time=True, gone=True, half_life=False)),
        ({"active_day": None, "neutral_day": None}, Decay(in_time=False, gone=False, half_life=False)),
    ],
)
def test_what_it_fails_by(changed: dict, judged: Decay) -> None:
    assert decay([LASTING, msgspec.structs.replace(DECAYING, **changed)]) == judged


def test_a_second_lesson_that_still_moves_a_lever_is_not_gone() -> None:
    other = msgspec.structs.replace(DECAYING, lesson_scope="bucket=nano,timeframe=1h", neutral_day=None)
    assert decay([DECAYING, other]) == Decay(in_time=True, gone=False, half_life=True)
