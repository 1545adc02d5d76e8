"""The real script survives: in short here, through every fault when slow."""
import os
import pathlib
import signal
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT / 'benchmarks'))

from benchmarks import faults as script
from lmjax.testing import commands
from lmjax.testing import faults
from survival import bench as bench_lib
from survival import damaged
from survival import killed


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
  return bench_lib.Bench(  # With the programs of other tests and workers.
      tmp_path_factory.mktemp('faults'),
      os.environ.get('JAX_COMPILATION_CACHE_DIR'))


@pytest.mark.slow
def test_a_run_that_is_killed_and_told_to_stop_ends_as_if_nothing_had_been(
    bench):
  workdir, steps = bench.fresh('killed'), '--config.training.steps=40'
  killed_at = faults.kill_at_step(
      bench.command(workdir, steps), 11, bench_lib.metrics(workdir),
      env=bench.environment)
  assert killed_at.returncode == -signal.SIGKILL
  later = commands.last_step(bench_lib.metrics(workdir)) + 8
  stopped_at = faults.kill_at_step(
      bench.command(workdir, steps), later, bench_lib.metrics(workdir),
      signal=signal.SIGTERM, env=bench.environment)
  bench_lib.expect(stopped_at, bench_lib.SAVED, 'SIGTERM', 'reclaimed')
  assert bench_lib.steps(workdir)[-1] == commands.last_step(
      bench_lib.metrics(workdir)) >= later
  bench.run(workdir, steps)
  bench.same(workdir, steps)

  # The same comparison sees a single bit, row or batch that is another.
  whole = bench.whole(steps)
  rows = bench_lib.metrics(whole).read_text()
  bench_lib.metrics(whole).write_text(rows.replace('"step": 39', '"step": 38'))
  with pytest.raises(AssertionError, match='Row'):
    bench.same(workdir, steps)


def fault(name, run):
  return bench_lib.Fault(name, f'{name} happens', 'does it', run)


def test_wrong_results_are_counted_and_told():
  def wrong(bench, rng):
    raise AssertionError('Not the same.')

  def right(bench, rng):
    return int(rng.integers(3, 4))

  listed = [fault('a', right), fault('b', wrong)]
  results = {f.name: [script.trial(f, None, seed) for seed in (0, 1)]
             for f in listed}
  assert results['b'][1] == (1, 'b, seed 1: Not the same.')
  assert script.table(listed, results).splitlines()[2:] == [
      '| a happens | does it | 6 | 0 |', '| b happens | does it | 2 | 2 |']


def test_faults_are_chosen_by_name():
  assert len({f.name for f in script.FAULTS}) == len(script.FAULTS)
  assert [f.name for f in script.chosen(['kill', 'sigint'])] == [
      'kill', 'sigint']
  with pytest.raises(Exception, match="no fault 'kil'"):
    script.chosen(['kil'])


def test_what_changes_is_seen(tmp_path):
  (tmp_path / 'cache').mkdir()
  with bench_lib.untouched(tmp_path, 'cache'):
    (tmp_path / 'cache/new').touch()
    (tmp_path / 'LOCK').touch()
  with pytest.raises(AssertionError, match='new'):
    with bench_lib.untouched(tmp_path):
      (tmp_path / 'new').touch()


def test_an_end_is_judged_by_code_and_words():
  ended = commands.Ended(2, 'Error: no.\n', 0.0)
  bench_lib.expect(ended, 2, 'no')
  for code, says in (1, 'no'), (2, 'yes'):
    with pytest.raises(AssertionError):
      bench_lib.expect(ended, code, says)
  with pytest.raises(AssertionError):
    bench_lib.expect(
        commands.Ended(2, 'Traceback (most recent call last)', 0.0), 2)


# In CI: a fault of each kind that a change is most likely to break. All of them
# take a quarter of an hour.
OFTEN = ('kill', 'kill_save', 'sigterm', 'signal_save', 'second_writer',
         'damage', 'power_cut', 'nan', 'structure', 'data', 'rollback')


@pytest.mark.parametrize('name', [
    pytest.param(f.name, marks=(
        pytest.mark.slow if f.name in OFTEN else pytest.mark.exhaustive))
    for f in script.FAULTS])
def test_every_fault_of_the_table(bench, name):
  chosen, = script.chosen([name])
  for seed in range(100, 100 + chosen.trials):
    count, wrong = script.trial(chosen, bench, seed)
    assert not wrong, wrong
    assert count


@pytest.mark.exhaustive
def test_fifty_kills(bench):
  killed.at_random(bench, np.random.default_rng(1),
                   '--config.training.steps=450', kills=50)


@pytest.mark.exhaustive
def test_five_hundred_damages(bench):
  rng = np.random.default_rng(2)
  assert damaged.flips(bench, rng, trials=420) + damaged.every_file(
      bench, rng) >= 500
