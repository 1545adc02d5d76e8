"""What is restored is what was saved, or it is not restored."""
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.training import checkpoints
from lmjax.training import digests
from lmjax.training import step
from lmjax.training import stopping


def make(toy, factor=1.0, ema=False):
  params = jax.tree.map(lambda p: factor * p, toy.params)
  params['head']['half'] = jnp.ones((3,), jnp.bfloat16) * factor
  return step.init_state(params, optax.adam(1.0), 5, ema=ema)


def same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  assert a.rng.dtype == b.rng.dtype
  assert jnp.array_equal(jax.random.key_data(a.rng), jax.random.key_data(b.rng))
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get(
      (a.replace(rng=None), b.replace(rng=None))))


def test_returns_what_was_saved(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path, facts={'seed': 1}) as saved:
    saved.save(3, make(toy, ema=True), stopping.Progress(tokens=7.0, best=2.5))
    found = saved.restore_latest(make(toy, 0.0, ema=True))
  same(found.state, make(toy, ema=True))
  assert (found.step, found.skipped, found.facts) == (3, (), {'seed': 1})
  assert found.progress == stopping.Progress(tokens=7.0, best=2.5)


def test_empty_directory(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert saved.restore_latest(make(toy)) is None
    with pytest.raises(errors.InputError, match='no checkpoints'):
      saved.restore(make(toy))


def test_keeps_the_last_and_the_best(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path, keep_last=2) as saved:
    for number, score in enumerate([3.0, 1.0, float('nan'), 2.0, None], 1):
      saved.save(number, make(toy, number), score=score)
    assert saved.steps() == [2, 4, 5]
    assert checkpoints.best_step(tmp_path) == 2
    assert saved.restore(make(toy), 'best').step == 2
    assert saved.restore(make(toy), 4).step == 4
    with pytest.raises(errors.InputError, match=r"step 3 .*\[2, 4, 5\]"):
      saved.restore(make(toy), 3)


def test_unscored_steps(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    for number in 1, 2:
      saved.save(number, make(toy, number))
  assert checkpoints.best_step(tmp_path) is None
  assert checkpoints.restore_params(tmp_path, 'best')[0] == 2


def test_a_new_run_resumes_from_its_own_state(toy, tmp_path):
  state = make(toy)
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert saved.resume(state) == (state, stopping.Progress())
    saved.save(4, make(toy, 2.0), stopping.Progress(tokens=5.0))
    found, progress = saved.resume(state)
  same(found, make(toy, 2.0))
  assert progress.tokens == 5.0


def test_a_save_that_would_not_write_is_refused(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(2, make(toy))
    for number in 1, 2:
      with pytest.raises(errors.InputError, match='step 2 is already there'):
        saved.save(number, make(toy))


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_any_flipped_bit_is_harmless_or_noticed(toy, tmp_path, caplog):
  with checkpoints.Checkpoints(tmp_path) as saved:
    for number in 1, 2:
      saved.save(number, make(toy, number))
    saved.wait()
    draw, noticed = np.random.default_rng(0), 0
    files = [p for p in (tmp_path / '2' / 'params').rglob('*')
             if p.is_file() and p.stat().st_size]
    for trial in range(24):
      path = files[trial % len(files)]
      sound = path.read_bytes()
      data = bytearray(sound)
      data[draw.integers(len(data))] ^= 1 << draw.integers(8)
      path.write_bytes(data)
      with caplog.at_level(logging.WARNING):
        number, params = checkpoints.restore_params(tmp_path, 'latest')
      jax.tree.map(np.testing.assert_array_equal, params,
                   jax.device_get(make(toy, number).params))
      if number == 1:
        noticed += 1
        assert 'step 2 is damaged' in caplog.text
        found = saved.restore(make(toy))
        same(found.state, make(toy, 1))
        assert found.skipped[0][0] == 2
        with pytest.raises(errors.InputError, match='step 2 is damaged'):
          checkpoints.restore_params(tmp_path, 2)
      caplog.clear()
      path.write_bytes(sound)
  assert noticed > 4


def test_a_wrong_digest_names_the_array(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, make(toy))
  about = tmp_path / '1' / 'about' / 'metadata'
  facts = json.loads(about.read_text())
  facts['arrays']['params']['head/kernel']['sha256'] = '0'
  del facts['sha256']
  about.write_text(json.dumps(digests.signed(facts)))
  with pytest.raises(
      errors.InputError, match='array params/head/kernel: digest mismatch'):
    checkpoints.restore_params(tmp_path)


def test_missing_files_are_damage(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    for number in 1, 2:
      saved.save(number, make(toy, number))
    saved.wait()
    (tmp_path / '9').mkdir()  # Left by something else.
    (tmp_path / '2' / 'about' / 'metadata').unlink()
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert saved.restore(make(toy)).step == 1


def test_another_structure_is_told_by_path(toy, tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, make(toy))
    other = make(toy)
    other.params['head']['kernel'] = jnp.zeros((8, 12))
    with pytest.raises(
        errors.InputError,
        match=r'params/head/kernel: float32\[8, 11\] -> float32\[8, 12\]'):
      saved.restore(other)
    other = make(toy)
    other.params['head']['half'] = jnp.zeros((3,), jnp.float32)
    with pytest.raises(errors.InputError, match='bfloat16'):
      saved.restore(other)


def test_parameters_alone(toy, tmp_path):
  state = make(toy, ema=True)
  state = state.replace(ema=jax.tree.map(lambda p: 2 * p, state.ema))
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, state)
  for average, expected in (True, state.ema), (False, state.params):
    number, params = checkpoints.restore_params(tmp_path, average=average)
    assert number == 1
    jax.tree.map(np.testing.assert_array_equal, params,
                 jax.device_get(expected))
    assert isinstance(params['head']['half'], np.ndarray)
    assert params['head']['half'].dtype == jnp.bfloat16


def test_absent_directory(tmp_path):
  with pytest.raises(errors.InputError, match='no checkpoints in .*nowhere'):
    checkpoints.restore_params(tmp_path / 'nowhere')
