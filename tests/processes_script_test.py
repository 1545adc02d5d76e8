"""Runs of several real processes: as one process, and as one against faults."""
import contextlib
import functools
import os
import pathlib
import signal
import socket
import sys
import time

import numpy as np
import pytest

from lmjax.run import lock
from lmjax.testing import commands
from lmjax.training import writers

ROOT = pathlib.Path(__file__).parents[1]
SIZE = (
    '--config.data.source.kind=TextFiles',
    '--config.data.source.split_on=paragraph',
    '--config.data.tokenizer.kind=Bytes', '--config.data.batch_size=8',
    '--config.model.context=32', '--config.model.width=32',
    '--config.model.num_layers=1', '--config.optimizer.schedule.warmup=0',
    '--config.training.steps=8', '--config.training.eval_every=4',
    '--config.training.log_every=2', '--config.samples.prompts=()')
# As in conftest.py: compiling would take longer than running.
FASTER_TO_COMPILE = {'JAX_DISABLE_MOST_OPTIMIZATIONS': 'true'}
FOUR = '--parallel=mesh', '--mesh=fsdp:2,tensor:2'
slow = functools.partial(pytest.param, marks=pytest.mark.slow)
exhaustive = functools.partial(pytest.param, marks=pytest.mark.exhaustive)


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  path = tmp_path_factory.mktemp('text') / 'text.txt'
  path.write_text('\n\n'.join(
      f'Line {i} of a text that says that {i} is {i % 7}.' for i in range(400)))
  return f'--config.data.source.paths={path}'


@contextlib.contextmanager
def started(count, workdir, *flags, devices=4, each=lambda index: ()):
  """Starts a run in `count` processes with so many devices in all."""
  with socket.create_server(('127.0.0.1', 0)) as free:
    port = free.getsockname()[1]
  with contextlib.ExitStack() as stack:
    yield [stack.enter_context(commands.started(
        [sys.executable, str(ROOT / 'experiments/pretrain.py'),
         f'--workdir={workdir}', *SIZE, *flags, *(() if count == 1 else (
             f'--coordinator=127.0.0.1:{port}', f'--num_processes={count}',
             f'--process_id={index}')), *each(index)],
        env={'PATH': '/usr/bin:/bin', 'HOME': '/tmp', 'PYTHONPATH': str(ROOT),
             'JAX_PLATFORMS': 'cpu', **FASTER_TO_COMPILE, 'XLA_FLAGS': (
                 os.environ.get('XLA_FLAGS', '') +
                 f' --xla_force_host_platform_device_count={devices // count}')
             })) for index in range(count)]


def run(count, workdir, *flags, **options):
  """Returns the rows of a run in `count` processes, which should succeed."""
  with started(count, workdir, *flags, **options) as running:
    for one in running:
      ended = one.wait()
      assert ended.returncode == 0, ended.output
  return writers.read(workdir / 'metrics.jsonl')


def check_same(found, wanted):
  """Checks rows: the same batches, and losses within 1e-5."""
  assert [row['step'] for row in found] == [row['step'] for row in wanted]
  for row, other in zip(found, wanted):
    assert row.get('batch') == other.get('batch')
    for name in {'loss', 'valid/loss'} & row.keys():
      np.testing.assert_allclose(row[name], other[name], rtol=1e-5)


@pytest.fixture(scope='module')
def alone(tmp_path_factory, text):
  """Returns the workdir and the rows of a run in one process."""
  workdir = tmp_path_factory.mktemp('alone') / 'run'
  return workdir, run(1, workdir, text, *FOUR)


@pytest.mark.parametrize('count,flags', [
    slow(2, ['--parallel=pmap']), slow(4, FOUR),
    *(exhaustive(*case) for case in (
        (2, ['--parallel=mesh', '--mesh=tensor:4']),
        (4, ['--parallel=pmap']), (2, FOUR),
        (2, ['--parallel=mesh', '--mesh=data:2,fsdp:2']),
        (4, ['--parallel=mesh', '--mesh=fsdp:4'])))], ids=str)
def test_many_processes_train_as_one(tmp_path, text, alone, count, flags):
  """Rows, parameters and products are cut across the processes."""
  check_same(run(count, tmp_path / 'run', text, *flags), alone[1])


@pytest.mark.slow
def test_processes_with_different_configs_are_refused(tmp_path, text):
  with started(2, tmp_path / 'run', text, *FOUR, each=lambda index: (
      f'--config.data.seed={index}',)) as running:
    for one in running:
      ended = one.wait()
      assert ended.returncode == 2, ended.output
      assert 'Process 1 was started with another config' in ended.output
      assert 'data.seed: 0 in process 0, 1 in process 1' in ended.output
      assert 'Traceback' not in ended.output
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_where_one_is_refused_all_end(tmp_path, text):
  """Process 0 alone wants the lock of the directory."""
  with lock.held(tmp_path / 'run'), started(
      2, tmp_path / 'run', text, *FOUR) as running:
    for one in running:
      ended = one.wait(60)
      assert ended.returncode == 2, ended.output
      assert 'run dir is in use' in ended.output
      assert 'Traceback' not in ended.output
  assert 'Process 0 has ended, and with it the others' in ended.output


@pytest.mark.slow
def test_a_process_with_the_index_of_another_leaves_the_run_alone(
    tmp_path, text, alone):
  with started(3, tmp_path / 'run', text, *FOUR, devices=6, each=lambda index: (
      '--num_processes=2', f'--process_id={min(index, 1)}')) as running:
    ended = [one.wait() for one in running]
  assert sorted(one.returncode for one in ended) == [0, 0, 2], ended
  refused, = (one.output for one in ended if one.returncode == 2)
  assert 'Error: --process_id=1 is taken by pid' in refused
  assert not any('Traceback' in one.output or 'Check failure' in one.output
                 for one in ended)
  check_same(writers.read(tmp_path / 'run/metrics.jsonl'), alone[1])


LONG = '--config.training.steps=120', '--config.training.eval_every=20'


@pytest.fixture(scope='module')
def wanted(tmp_path_factory, text):
  """Returns the rows of a long run that nobody stopped."""
  return run(1, tmp_path_factory.mktemp('long') / 'run', text, *FOUR, *LONG)


def steps(workdir):
  return sorted(int(p.name) for p in (workdir / 'checkpoints').glob('*')
                if p.name.isdigit())


@pytest.mark.parametrize('count,victim', [
    slow(2, 1), exhaustive(2, 0), exhaustive(4, 2)])
def test_a_process_that_dies_ends_all_and_the_run_goes_on(
    tmp_path, text, wanted, count, victim):
  """... on one process, with the losses of a run that nobody stopped."""
  workdir = tmp_path / 'run'
  with started(count, workdir, text, *FOUR, *LONG) as running:
    assert running[0].wait_until(
        lambda: commands.last_step(workdir / 'metrics.jsonl') >= 50)
    running[victim].send(signal.SIGKILL)
    since = time.monotonic()
    for index, one in enumerate(running):
      ended = one.wait(60)
      if index != victim:
        assert ended.returncode == 1, ended.output
        assert f'Error: Process {victim} of this run has died' in ended.output
        assert 'Traceback' not in ended.output
    assert time.monotonic() - since < 60
  assert steps(workdir)
  check_same(run(1, workdir, text, *FOUR, *LONG), wanted)


@pytest.mark.slow
def test_a_signal_to_one_stops_all_at_the_same_step(tmp_path, text, wanted):
  """... saved once; another number of processes goes on from there."""
  workdir = tmp_path / 'run'
  with started(2, workdir, text, *FOUR, *LONG) as running:
    assert running[0].wait_until(
        lambda: commands.last_step(workdir / 'metrics.jsonl') >= 50)
    running[1].send(signal.SIGTERM)
    ended = [one.wait(60) for one in running]
  assert [one.returncode for one in ended] == [75, 75], ended
  assert ended[0].output.count('saved step') == 1
  assert 'saved step' not in ended[1].output.replace('the run is saved', '')
  stopped = max(steps(workdir))
  assert f'saved step {stopped:,}' in ended[0].output
  check_same(run(4, workdir, text, *FOUR, *LONG), wanted)
