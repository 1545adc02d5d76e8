"""Flags of a process, and the comparison of facts between processes."""
import contextlib
import json
import pathlib
import socket
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import trees
from lmjax.parallel import channel
from lmjax.parallel import mesh
from lmjax.parallel import processes
from lmjax.parallel import rows as rows_lib
from lmjax.parallel import strategy as strategy_lib
from lmjax.testing import commands as running
from lmjax.training import loop
from lmjax.training import step
from lmjax.training import supervision

def test_incomplete_flags_of_a_process_are_refused():
  assert not processes.check(None, None, None)
  assert not processes.check('none', None, None)
  assert processes.check('10.0.0.1:8476', 2, 1)
  for given, words in (
      (('10.0.0.1:8476', 2, None), 'given together'),
      ((None, 2, 0), 'given together'), (('none', 2, 0), 'given together'),
      (('10.0.0.1', 2, 0), 'should be host:port'),
      (('10.0.0.1:8476', 2, 2), 'from 0 to 1')):
    with pytest.raises(errors.InputError, match=words):
      processes.check(*given)


def test_one_process_is_the_default(monkeypatch):
  monkeypatch.delenv('SLURM_STEP_NUM_TASKS', raising=False)
  with processes.joined() as group:
    assert group.count == 1 and group is processes.current()
  monkeypatch.setenv('SLURM_STEP_NUM_TASKS', '4')
  assert processes._detected(None) and not processes._detected('none')
  with processes.joined('none') as group:
    assert group.count == 1


def test_facts_that_differ_are_refused_with_both_values(monkeypatch):
  others = [{'data.seed': 0, 'a': 1}, {'data.seed': 0, 'a': 1},
            {'data.seed': 7, 'a': 1}]
  monkeypatch.setattr(processes, '_current', types.SimpleNamespace(
      gather=lambda name, value: others))
  with pytest.raises(errors.InputError, match=(
      r'Process 2 was started with another config than process 0:\n'
      r'  data.seed: 0 in process 0, 7 in process 2')):
    processes.same('config', others[0])
  others.pop()
  processes.same('config', others[0])


def test_process_0_runs_first_in_turn(monkeypatch):
  done = []
  for index in 0, 1:
    group = channel.Group(index)
    monkeypatch.setattr(group, 'gather', lambda *_: done.append('met'))
    monkeypatch.setattr(processes, '_current', group)
    with processes.in_turn('cache'):
      done.append(f'process {index}')
  assert done == ['process 0', 'met', 'met', 'process 1']


@pytest.mark.slow
def test_missing_processes_are_reported():
  code = ('from lmjax.parallel import processes; processes._START_S = 0.5; '
          'processes.joined("127.0.0.1:{}", 2, 1).__enter__()')
  with socket.create_server(('127.0.0.1', 0)) as free:
    port = free.getsockname()[1]
  with started(['-c', code.format(port)]) as one:
    ended = one.wait(60)
  assert ended.returncode == 1, ended.output
  assert 'not all 2 processes of the run have met' in ended.output
  assert 'Check failure' not in ended.output


def started(arguments):
  """Starts Python on a CPU."""
  return running.started([sys.executable, *arguments], env={
      'PATH': '/usr/bin:/bin', 'JAX_PLATFORMS': 'cpu', 'HOME': '/tmp',
      'PYTHONPATH': str(pathlib.Path(__file__).parents[2])})


OPTIMIZER = optax.adamw(1e-2)


def initial():
  rng = np.random.default_rng(0)
  return step.init_state({
      'mlp': {'in': {'kernel': jnp.asarray(rng.normal(size=(8, 16)), 'float32'),
                     'bias': jnp.zeros(16)}}}, OPTIMIZER, 3)


def objective(params, batch, rng=None):
  del rng
  layer = params['mlp']['in']
  h_BF = jnp.tanh(batch['inputs'] @ layer['kernel'] + layer['bias'][None])
  loss = ((h_BF.sum(-1) - batch['targets'])**2 * batch['weights']).sum()
  weight = batch['weights'].sum()
  return {'loss': metrics.Mean(loss, weight),
          'tokens': metrics.Mean(weight, 1.0)}


def batch(number):
  rng = np.random.default_rng([1, number])
  return {'inputs': rng.normal(size=(8, 8)).astype('float32'),
          'targets': rng.normal(size=8).astype('float32'),
          'weights': (rng.random(8) < 0.7).astype('float32')}


def train(strategy, start, group=channel.Group()):
  """Returns the rows of a few steps on one process' share of the batches."""
  return loop.fit(
      start, lambda number: rows_lib.part(batch(number), *strategy.share),
      objective=objective, optimizer=OPTIMIZER, steps=5, log_every=1,
      parallel=strategy,
      supervision=supervision.Supervision(group=group)).rows


def work(coordinator, count, index, folder):
  """What each process does: restore, save again, train."""
  jax.config.update('jax_num_cpu_devices', 4 // int(count))
  folder = pathlib.Path(folder)
  with processes.joined(coordinator, int(count), int(index)) as group:
    with store.Checkpoints(folder / 'before') as saved:
      start = saved.restore_latest(initial()).state
    found = {}
    for strategy in mesh.Mesh(sizes='fsdp:2,tensor:2'), strategy_lib.Pmap():
      placed = strategy.place(start)
      assert strategy.drifted(placed) == []
      whole = strategy.gather(placed)
      if group.first:
        with store.Checkpoints(folder / strategy.name) as saved:
          saved.save(1, whole)
      double = strategy.map_batches(
          lambda params, batch: 2 * batch['inputs'] + params['mlp']['in'][
              'kernel'][0, 0])
      out = double(strategy.place(start.params), batch(0))
      kernel = np.asarray(start.params['mlp']['in']['kernel'])
      np.testing.assert_allclose(
          out, 2 * batch(0)['inputs'] + kernel[0, 0], rtol=1e-6)
      found[strategy.name] = train(strategy, start, group)
    (folder / f'{index}.json').write_text(json.dumps(found))
    group.leave()


@pytest.mark.slow
def test_two_real_processes_restore_bitwise_and_train_as_one(tmp_path):
  """By mesh and by pmap; of a checkpoint of one process, and back."""
  state = initial()
  with store.Checkpoints(tmp_path / 'before') as saved:
    saved.save(1, state)
  with socket.create_server(('127.0.0.1', 0)) as free:
    port = free.getsockname()[1]
  with contextlib.ExitStack() as stack:
    for one in [stack.enter_context(started(
        [__file__, f'127.0.0.1:{port}', '2', str(index), str(tmp_path)]))
                for index in range(2)]:
      ended = one.wait(60)
      assert ended.returncode == 0, ended.output
  for name in 'mesh', 'pmap':
    found = store.Checkpoints(tmp_path / name).restore(state).state
    for path, leaf in trees.items(found):
      wanted = dict(trees.items(state))[path]
      if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf, wanted = map(jax.random.key_data, (leaf, wanted))
      assert np.asarray(leaf).tobytes() == np.asarray(wanted).tobytes(), path
  alone = train(mesh.Mesh(jax.devices()[:4], 'fsdp:2,tensor:2'), state)
  for index in range(2):
    for rows in json.loads((tmp_path / f'{index}.json').read_text()).values():
      assert [row['batch'] for row in rows] == [row['batch'] for row in alone]
      np.testing.assert_allclose([row['loss'] for row in rows],
                                 [row['loss'] for row in alone], rtol=1e-5)


if __name__ == '__main__':
  work(*sys.argv[1:])
