"""Documents transformed while training."""
import sys

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import on_the_fly


def _noisy(document, random):
  return {'inputs': np.array([document, random.integers(10**6)])}


def test_a_batch_is_a_function_of_the_step():
  pytest.importorskip('grain')
  make = lambda seed=7: on_the_fly.batches(
      list(range(5)), _noisy, batch_size=2, seed=seed)
  batches, again = make(), make()
  steps = [batches(step)['inputs'] for step in range(5)]
  for step in 4, 0, 2:  # In any order, by another instance.
    np.testing.assert_array_equal(again(step)['inputs'], steps[step])
  epochs = np.concatenate(steps).reshape(2, 5, 2)
  for epoch in epochs:
    assert sorted(epoch[:, 0]) == list(range(5))
  assert len(set(epochs[..., 1].flat)) == 10  # New noise in each epoch.
  assert (make(8)(0)['inputs'] != steps[0]).any()


def test_without_shuffling_documents_come_in_order():
  pytest.importorskip('grain')
  batches = on_the_fly.batches(
      'abcd', lambda text, _: {'inputs': np.array([ord(text)])},
      batch_size=2, shuffle=False)
  assert batches(1)['inputs'].tolist() == [[99], [100]]


def test_too_few_documents_are_refused():
  pytest.importorskip('grain')
  with pytest.raises(errors.InputError, match='batch_size=3 .* 2'):
    on_the_fly.batches([1, 2], _noisy, batch_size=3)


def test_the_missing_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'grain', None)
  with pytest.raises(errors.InputError, match=r'lmjax\[data\]'):
    on_the_fly.batches([1, 2], _noisy, batch_size=1)
