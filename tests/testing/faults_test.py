"""Each fault does what it says, and a loop that is wrong is found out."""
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.testing import commands
from lmjax.testing import faults

# A training loop in miniature: state = f(state, batch(step)), saved every 5
# steps. `bug` makes it lose something, as loops do.
LOOP = '''
import json, os, sys, time
folder, bug = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
state, step, seen = 1.0, 0, 0
if os.path.exists(folder + "/saved"):
  step, state, seen = json.load(open(folder + "/saved"))
  if bug == "forgets the data": seen = 0
  if bug == "refuses": sys.exit("Cannot go on.")
with open(folder + "/rows", "a") as rows:
  while step < 60:
    state = (state * 1.1 + seen % 7) % 5
    step, seen = step + 1, seen + 1
    rows.write(json.dumps({"step": step, "loss": state}) + "\\n")
    rows.flush()
    if step % 5 == 0:
      with open(folder + "/saved.tmp", "w") as file:
        json.dump([step, state, seen], file)
      os.replace(folder + "/saved.tmp", folder + "/saved")
    time.sleep(0.002)
if bug == "fails at its end": sys.exit("No report.")
'''


def loop(folder, bug=''):
  return [sys.executable, '-c', LOOP, str(folder), bug]


def saved(folder):
  return json.loads((folder / 'saved').read_text())


def test_a_right_loop_survives_kills(tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  subprocess.run(loop(whole), check=True)
  ends = faults.run_with_kills(
      loop(killed), killed / 'rows', np.random.default_rng(0), kills=4,
      delay_s=0.005)
  assert [end.returncode for end in ends] == [-signal.SIGKILL] * 4 + [0]
  assert saved(killed) == saved(whole)


def test_a_loop_that_forgets_its_data_is_caught(tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  subprocess.run(loop(whole), check=True)
  faults.run_with_kills(
      loop(killed, 'forgets the data'), killed / 'rows',
      np.random.default_rng(0), kills=2, apart=(6, 8), delay_s=0)
  assert saved(killed)[:1] == saved(whole)[:1]
  assert saved(killed) != saved(whole)


def test_a_loop_that_does_not_start_again_is_an_error(tmp_path):
  with pytest.raises(AssertionError, match='(?s)Start 2 of 4.*Cannot go on'):
    faults.run_with_kills(
        loop(tmp_path, 'refuses'), tmp_path / 'rows', np.random.default_rng(0),
        kills=3, apart=(8, 9))


def test_a_loop_that_fails_at_its_end_is_an_error(tmp_path):
  with pytest.raises(AssertionError, match='(?s)Start 2 of 2.*No report'):
    faults.run_with_kills(
        loop(tmp_path, 'fails at its end'), tmp_path / 'rows',
        np.random.default_rng(0), kills=1)


def test_a_loop_too_short_for_its_kills_is_an_error(tmp_path):
  with pytest.raises(AssertionError, match='Start 1 of 2 ended by itself'):
    faults.run_with_kills(
        loop(tmp_path), tmp_path / 'rows', np.random.default_rng(0),
        kills=1, apart=(61, 61))


def test_a_signal_is_sent_at_its_step(tmp_path):
  ended = faults.kill_at_step(
      loop(tmp_path), 20, tmp_path / 'rows', signal=signal.SIGTERM)
  assert ended.returncode == -signal.SIGTERM
  assert 20 <= commands.last_step(tmp_path / 'rows') < 60
  never = faults.kill_at_step(loop(tmp_path), 99, lambda: 0)
  assert never.returncode == 0


def test_flip_bit_flips_one_bit(tmp_path):
  path, sound = tmp_path / 'file', bytes(range(50))
  path.write_bytes(sound)
  bit = faults.flip_bit(path, np.random.default_rng(1))
  bits = [np.unpackbits(np.frombuffer(b, np.uint8), bitorder='little')
          for b in (sound, path.read_bytes())]
  assert np.flatnonzero(bits[0] != bits[1]).tolist() == [bit]
  rng = np.random.default_rng(1)
  drawn = {faults.flip_bit(path, rng) for _ in range(100)}
  assert min(drawn) < 40 and 360 < max(drawn) < 400
  path.write_bytes(b'')
  with pytest.raises(ValueError, match='is empty'):
    faults.flip_bit(path, np.random.default_rng(1))


def test_truncate_cuts_files(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'abcdefgh')
  assert faults.truncate(path, 0.75) == 6 and path.read_bytes() == b'abcdef'
  assert faults.truncate(path) == 3 and path.read_bytes() == b'abc'
  with pytest.raises(ValueError, match='between 0 and 1; got 2'):
    faults.truncate(path, 2)


def test_an_unknown_damage_is_refused(tmp_path):
  (tmp_path / 'file').write_bytes(b'sound')
  with pytest.raises(ValueError, match="'flip'.*got 'flipp'"):
    faults.damage(tmp_path / 'file', 'flipp', np.random.default_rng(0))


def test_damaged_damages_and_restores_every_file(tmp_path):
  (tmp_path / 'inner').mkdir()
  (tmp_path / 'a').write_bytes(b'first')
  (tmp_path / 'inner/b').write_bytes(b'second')
  (tmp_path / 'inner/empty').write_bytes(b'')

  def content():
    return {str(p.relative_to(tmp_path)): p.read_bytes()
            for p in tmp_path.rglob('*') if p.is_file()}

  sound, seen = content(), {}
  for what in faults.damaged(tmp_path, np.random.default_rng(0)):
    seen[what] = content()
  assert set(seen) == {
      f'{d} {p}' for d in faults.DAMAGES for p in ('a', 'inner/b')} | {
          'delete inner/empty'}
  for what, found in seen.items():
    damage, _, path = what.partition(' ')
    rest = {k: v for k, v in found.items() if k != path}
    assert rest == {k: v for k, v in sound.items() if k != path}
    got, was = found.get(path), sound[path]
    assert {'delete': got is None, 'empty': got == b'',
            'half': got == was[:len(was) // 2],
            'flip': got != was and len(got or b'') == len(was)}[damage]
  assert content() == sound


def test_damaged_restores_moved_files_and_after_errors(tmp_path):
  (tmp_path / 'step').mkdir()
  (tmp_path / 'step/a').write_bytes(b'first')
  sweep = faults.damaged(tmp_path, np.random.default_rng(0), ['half'])
  next(sweep)
  (tmp_path / 'step').rename(tmp_path / 'moved')
  sweep.close()
  assert (tmp_path / 'step/a').read_bytes() == b'first'


@pytest.mark.parametrize('change', [
    lambda path: open(path / 'new', 'w'), lambda path: open(path / 'old', 'a'),
    lambda path: os.open(path / 'new', os.O_CREAT | os.O_WRONLY),
    lambda path: os.mkdir(path / 'new'), lambda path: os.remove(path / 'old'),
    lambda path: os.rename(path / 'old', path.parent / 'new'),
    lambda path: os.rename(path.parent / 'other', path / 'new'),
    lambda path: (path / '../run/old').write_text('x'),
    lambda path: tempfile.TemporaryFile(dir=path)])
def test_a_read_only_directory_refuses_every_change(tmp_path, change):
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'old').write_text('text')
  (tmp_path / 'other').touch()
  with faults.read_only(tmp_path / 'run'):
    with pytest.raises(OSError) as refused:
      change(tmp_path / 'run')
    assert refused.value.errno == errno.EROFS
    assert (tmp_path / 'run' / 'old').read_text() == 'text'
    assert os.listdir(tmp_path / 'run') == ['old']
    (tmp_path / 'run2').touch()
  (tmp_path / 'run' / 'new').touch()


def test_fill_disk_limits_this_process(tmp_path):
  with faults.fill_disk(1000):
    (tmp_path / 'small').write_bytes(b'x' * 1000)
    with pytest.raises(OSError) as raised:
      (tmp_path / 'large').write_bytes(b'x' * 2000)
  assert raised.value.errno == errno.EFBIG
  (tmp_path / 'large').write_bytes(b'x' * 2000)


WRITES = '''
import sys
for line in sys.stdin:
  try:
    with open(line.strip(), "wb") as file: file.write(b"x" * 2000)
    print("written", flush=True)
  except OSError as error: print(error.strerror, flush=True)
'''


def test_fill_disk_limits_another_process_for_a_while(tmp_path):
  process = subprocess.Popen(
      [sys.executable, '-c', WRITES], stdin=subprocess.PIPE,
      stdout=subprocess.PIPE, text=True)

  def write(name):
    process.stdin.write(f'{tmp_path / name}\n')
    process.stdin.flush()
    return process.stdout.readline().strip()

  with process:
    assert write('a') == 'written'
    with faults.fill_disk(1000, process.pid):
      assert write('b') == 'File too large'
      (tmp_path / 'ours').write_bytes(b'x' * 2000)
    assert write('c') == 'written'
    with faults.fill_disk(1000, process.pid):
      process.stdin.close()
      process.wait()  # Nothing is left to be freed, and nothing is raised.


class Batches:
  fingerprint = 'abc'

  def __call__(self, step):
    return {'inputs': np.full(2, step), 'weights': np.ones(2, np.float32),
            'half': jnp.ones(2, jnp.bfloat16)}


def test_floats_become_nan_at_their_steps_and_nothing_else():
  batches = faults.inject_nan(Batches(), {1, 4})
  for step in range(6):
    batch, bad = batches(step), step in (1, 4)
    assert batch['inputs'].tolist() == [step, step]
    for name in 'weights', 'half':
      assert np.all(np.isnan(batch[name])) == bad
      assert batch[name].dtype == Batches()(0)[name].dtype
  assert batches.fingerprint == 'abc'


def test_an_iterable_of_batches_is_poisoned_as_it_comes():
  found = faults.inject_nan(map(Batches(), range(9)), [2])
  assert [bool(np.isnan(b['weights'][0])) for b in found] == (
      [False, False, True] + [False] * 6)
  with pytest.raises(ValueError, match='iterable; got int'):
    faults.inject_nan(3, [2])


def test_a_batch_hash_is_over_names_types_shapes_and_bytes():
  a, b = np.arange(2, dtype=np.int32), np.ones(2, np.float32)
  by_hand = sum(
      int.from_bytes(hashlib.sha256(
          b'a int32 ();b float32 ();' + row.to_bytes(8, 'little')
          + a[row].tobytes() + b[row].tobytes()).digest()[:4], 'little')
      for row in range(2))
  want = faults.batch_hash({'b': b, 'a': a})
  assert want == f'{by_hand % 2**32:08x}'
  assert faults.batch_hash({'a': a, 'b': b}) == want
  for other in ({'a': a, 'c': b}, {'a': a.reshape(2, 1), 'b': b},
                {'a': a.view(np.float32), 'b': b}, {'a': a[::-1], 'b': b}):
    assert faults.batch_hash(other) != want


def differs(got, want):
  with pytest.raises(AssertionError) as raised:
    faults.assert_bitwise(got, want)
  return str(raised.value)


def test_the_first_path_that_differs_is_named():
  want = {'a': np.zeros(3), 'b': {'c': np.ones((2, 3), np.float32)}}
  faults.assert_bitwise(jax.tree.map(jnp.asarray, {'b': want['b']}), {
      'b': want['b']})
  got = jax.tree.map(np.copy, want)
  got['b']['c'][1, 2] = np.nextafter(np.float32(1), np.float32(2))
  got['b']['c'][1, 1] = 7
  assert differs(got, want) == (
      'b/c: 2 of 6 values differ in their bits, the first at [1, 1]: 7.0 '
      'instead of 1.0.')
  assert differs({'a': want['a']}, want) == 'b/c: only in what was wanted.'
  assert differs(want, {'a': want['a']}) == 'b/c: only in what was got.'


def test_bits_and_not_values_are_compared():
  faults.assert_bitwise(np.float32(np.nan), np.float32(np.nan))
  assert 'instead of 0.0' in differs(np.array([0.0, -0.0]), np.zeros(2))
  assert differs({'a': np.zeros(2, np.float32)}, {'a': np.zeros(2)}) == (
      'a: float32[2] instead of float64[2].')
  assert 'int32[2, 1] instead of int32[2]' in differs(
      np.zeros((2, 1), np.int32), np.zeros(2, np.int32))


def test_keys_are_compared_by_their_data():
  faults.assert_bitwise(jax.random.key(3), jax.random.key(3))
  assert 'values differ' in differs(jax.random.key(3), jax.random.key(4))
