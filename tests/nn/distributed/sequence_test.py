"""Dividing rows over devices: no token is lost, and a zigzag shares evenly."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn.distributed import collectives
from lmjax.nn.distributed import sequence

BATCH = {'inputs': np.arange(48).reshape(2, 24),
         'vectors': np.arange(96.0).reshape(2, 24, 2)}


@pytest.mark.parametrize('count', [1, 2, 3, 4])
@pytest.mark.parametrize('zigzag', [False, True])
def test_what_is_split_joins_again(count, zigzag):
  parts = sequence.split(BATCH, count, zigzag=zigzag)
  for name, want in BATCH.items():
    assert parts[name].shape == (count, 2, 24 // count, *want.shape[2:])
    got = sequence.join(parts[name], zigzag=zigzag)
    np.testing.assert_array_equal(got, want)


def test_split_gives_each_device_consecutive_tokens():
  parts = sequence.split(BATCH, 4)['inputs']
  np.testing.assert_array_equal(parts[1, 1], 24 + np.arange(6, 12))


def test_zigzag_gives_each_device_an_early_and_a_late_chunk():
  parts = sequence.split(BATCH, 3, zigzag=True)['inputs'][:, 0]
  assert parts[0].tolist() == [0, 1, 2, 3, 20, 21, 22, 23]
  assert parts[2].tolist() == list(range(8, 16))
  # The keys before all of a device's queries are as many on each.
  assert len({int(part.sum()) for part in parts}) == 1


def test_zigzag_and_back_is_the_identity_and_keeps_jax_arrays():
  batch = {k: jnp.asarray(v) for k, v in BATCH.items()}
  there = sequence.into_zigzag(batch, 4)
  assert there['inputs'][0].tolist() != BATCH['inputs'][0].tolist()
  back = sequence.out_of_zigzag(there, 4)
  for name, want in BATCH.items():
    np.testing.assert_array_equal(back[name], want)


@pytest.mark.parametrize('count', [1, 2, 4, 8])
def test_devices_deal_what_they_hold_as_whole_rows_are_dealt(count):
  axis = collectives.named('sequence')
  x = np.arange(2 * 16 * 3).reshape(2, 16, 3)
  run = functools.partial(
      jax.pmap, axis_name='sequence', devices=jax.devices()[:count])
  parts = sequence.split({'': x}, count)['']
  dealt = run(lambda x: sequence.deal(x, axis))(parts)
  want = sequence.split({'': x}, count, zigzag=True)['']
  for got, wanted in zip(dealt, want):  # In either order on a device.
    assert sorted(np.asarray(got).ravel()) == sorted(wanted.ravel())
  np.testing.assert_array_equal(
      run(lambda x: sequence.collect(x, axis))(dealt), parts)


@pytest.mark.parametrize('count, zigzag, nearest', [
    (5, False, 25), (7, False, 21), (48, False, 48), (8, True, 32)])
def test_lengths_that_do_not_divide_are_refused(count, zigzag, nearest):
  with pytest.raises(errors.InputError, match=f'24 .*inputs.* {nearest}.$'):
    sequence.split(BATCH, count, zigzag=zigzag)
