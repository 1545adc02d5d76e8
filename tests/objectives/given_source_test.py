"""The likelihood of a target is the same however it is computed."""
import jax
import numpy as np
import pytest

from lmjax.core import trees
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.objectives import given_source
from lmjax.testing import hot

TINY = decoders.gpt2(16, 2, 2, vocab_size=11, context=16)
SOURCE, TARGET = [3, 4, 5], [7, 8]
BATCH = {
    'inputs': np.array([[*SOURCE, 7, 0], [9, 7, 0, 0, 0]], np.int32),
    'positions': np.array([[0, 1, 2, 3, 0], [0, 1, 0, 0, 0]], np.int32),
    'segments': np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], np.int32),
    'places': np.array([[2, 3], [0, 1]], np.int32),
    'targets': np.array([TARGET, [7, 2]], np.int32),
    'weights': np.array([[1, 1], [1, 0]], np.float32)}


@pytest.fixture(scope='module')
def model():
  return TINY.build(), hot.hot_params(cost.shapes(TINY))


def scored(model, batch):
  """Returns the nll of targets, and the means with and without smoothing."""
  module, params = model

  def run(params, batch):
    return given_source.scores(module, params, batch)[0], *(
        given_source.GivenSource(label_smoothing=amount).build(module)(
            params, batch) for amount in (0.0, 0.1))
  return jax.jit(run)(params, batch)


@pytest.mark.slow  # 3 s: two programs are compiled.
def test_only_targets_count_each_after_all_before_it(model):
  module, params = model
  nll_BT, plain, smooth = scored(model, BATCH)
  logits_BTV, _ = module.apply(
      {'params': params}, np.array([SOURCE + TARGET], np.int32))
  logprobs_TV = np.asarray(jax.nn.log_softmax(logits_BTV[0]))
  np.testing.assert_allclose(
      nll_BT[0], [-logprobs_TV[2, 7], -logprobs_TV[3, 8]], rtol=1e-4)
  assert plain['loss'].weight == 3
  total = float((nll_BT * BATCH['weights']).sum())
  assert plain['loss'].total == pytest.approx(total, rel=1e-4)
  assert smooth['nll'].total == pytest.approx(total, rel=1e-4)
  one = BATCH | {'weights': BATCH['weights'] * [[1], [0]]}
  uniform = -logprobs_TV[2:4].mean()
  assert scored(model, one)[2]['loss'].value == pytest.approx(
      0.9 * float(nll_BT[0].mean()) + 0.1 * uniform, rel=1e-4)


@pytest.mark.slow  # 2 s: two programs are compiled.
def test_a_prefix_is_read_both_ways(model):
  prefix = (BATCH['positions'] < [[3], [1]]) & (BATCH['segments'] > 0)
  nll_BT, *_ = scored(model, BATCH | {'prefix': prefix.astype(np.int32)})
  plain_BT, *_ = scored(model, BATCH)
  assert abs(nll_BT - plain_BT)[0].min() > 1e-3
  # A prefix of one token has no other to see.
  assert nll_BT[1, 0] == pytest.approx(float(plain_BT[1, 0]), rel=1e-5)


@pytest.mark.slow  # 2 s: gradients of both ways are compiled.
def test_chunks_of_logits_give_the_same_gradient(model):
  module, params = model
  def grads(chunk):
    objective = given_source.GivenSource(
        label_smoothing=0.1, chunk=chunk).build(module)
    return jax.grad(lambda params: objective(params, BATCH)['loss'].total)(
        params)
  for (path, whole), (_, parts) in zip(
      trees.items(grads(None)), trees.items(grads(2))):
    np.testing.assert_allclose(whole, parts, atol=1e-5, err_msg=path)
