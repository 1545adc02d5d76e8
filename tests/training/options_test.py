"""Impossible training options are refused."""
import pytest

from lmjax.core import errors
from lmjax.training import options


@pytest.mark.parametrize('change, told', [
    ({'steps': 0}, 'Training.steps should'), ({'ema_decay': 1.0}, 'ema_decay'),
    ({'eval_every': 0}, 'eval_every')])
def test_impossible_training_is_refused(change, told):
  with pytest.raises(errors.InputError, match=told):
    options.Training(**change)


def test_an_impossible_mesh_is_refused():
  with pytest.raises(errors.InputError, match="'jit'.*--parallel=mesh"):
    options.Training(mesh='data:8')
  with pytest.raises(errors.InputError, match="'sequel'"):
    options.Training(parallel='mesh', mesh='sequel:8')


def test_sizes_of_the_mesh_by_strategy():
  def batch_shards(**fields):
    sizes = options.Training(**fields).mesh_sizes(8)
    return sizes['data'], sizes['fsdp'], sizes['tensor']
  assert batch_shards() == (1, 1, 1)
  assert batch_shards(parallel='pmap') == (8, 1, 1)
  assert batch_shards(parallel='mesh') == (1, 8, 1)
  assert batch_shards(parallel='mesh', mesh='tensor:2') == (1, 1, 2)
