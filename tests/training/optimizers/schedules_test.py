"""Learning rates at the steps that matter."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.training.optimizers import schedules

ALL = [schedules.Constant(), schedules.Cosine(), schedules.Linear(),
       schedules.InverseSquareRoot(), schedules.WarmupStableDecay(),
       schedules.StepDecay()]


@pytest.mark.parametrize('schedule', ALL, ids=lambda s: type(s).__name__)
def test_warms_up_to_the_peak(schedule):
  rate = dataclasses.replace(schedule, warmup=10).build(0.5, 100)
  assert float(rate(0)) == pytest.approx(0.05)
  assert float(rate(9)) == pytest.approx(0.5)
  assert float(rate(10)) == pytest.approx(0.5)
  assert max(float(rate(i)) for i in range(100)) == pytest.approx(0.5)


@pytest.mark.parametrize('schedule, step, expected', [
    (schedules.Constant(), 99, 1.0),
    (schedules.Cosine(warmup=20, final=0.1), 60, 0.55),
    (schedules.Cosine(warmup=20, final=0.1), 100, 0.1),
    (schedules.Linear(warmup=20), 60, 0.5),
    (schedules.Linear(final=0.5), 100, 0.5),
    (schedules.InverseSquareRoot(warmup=25), 100, 0.5),
    (schedules.WarmupStableDecay(warmup=10, decay=0.4), 60, 1.0),
    (schedules.WarmupStableDecay(warmup=10, decay=0.4), 80, 0.5),
    (schedules.WarmupStableDecay(warmup=10, decay=0.4, final=0.2), 100, 0.2),
    (schedules.StepDecay(periods=10, hold=4), 39, 1.0),
    (schedules.StepDecay(periods=10, hold=4), 40, 0.5),
    (schedules.StepDecay(periods=10, hold=4, warmup=5), 59, 0.25),
    (schedules.StepDecay(periods=10, hold=1, factor=0.1), 30, 1e-3),
])
def test_values(schedule, step, expected):
  assert float(schedule.build(1.0, 100)(step)) == pytest.approx(expected)


@pytest.mark.parametrize('schedule', ALL, ids=lambda s: type(s).__name__)
def test_warmup_longer_than_the_run_is_refused(schedule):
  with pytest.raises(errors.InputError, match=(
      'warmup is 201.*200 steps; set --config.optimizer.schedule.warmup')):
    dataclasses.replace(schedule, warmup=201).build(1.0, 200)


@pytest.mark.parametrize('schedule', ALL, ids=lambda s: type(s).__name__)
def test_warmup_longer_than_a_short_run_becomes_a_tenth_of_it(schedule):
  long, tenth = (dataclasses.replace(schedule, warmup=warmup).build(0.5, 30)
                 for warmup in (31, 3))
  assert [long(step) for step in range(30)] == [
      tenth(step) for step in range(30)]


def test_shortened_warmup_is_said():
  assert schedules.shortened(schedules.Cosine(warmup=30), 30) is None
  assert schedules.shortened(schedules.Cosine(warmup=31), 30) == (
      'Warm-up of 31 steps is longer than the run, so it takes 3 of 30 steps; '
      '--config.optimizer.schedule.warmup sets it.')


@pytest.mark.parametrize('schedule, words', [
    (lambda: schedules.Cosine(final=1.5), 'Cosine.final should .* got 1.5'),
    (lambda: schedules.WarmupStableDecay(decay=0.0), 'decay should .* got 0.0'),
    (lambda: schedules.WarmupStableDecay(warmup=6, decay=0.5), 'overlap'),
    (lambda: schedules.StepDecay(factor=0.0), 'factor should be above 0'),
])
def test_impossible_shapes_are_refused(schedule, words):
  with pytest.raises(errors.InputError, match=words):
    schedule().build(1.0, 10)


@dataclasses.dataclass(frozen=True)
class Holder:
  schedule: schedules.Schedule = schedules.Constant(warmup=3)


@pytest.mark.parametrize('schedule', ALL, ids=lambda s: type(s).__name__)
def test_flags_can_switch_to_it(schedule):
  changed = overrides.override(Holder(), {
      'schedule.kind': type(schedule).__name__, 'schedule.warmup': '7'})
  assert changed == Holder(
      dataclasses.replace(schedule, warmup=7))
