"""Several tokens ahead: by a slow loop over tokens and distances."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import decoder
from lmjax.models import multi_token as model_lib
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.objectives import lm
from lmjax.objectives import multi_token
from lmjax.testing import batches
from lmjax.testing import hot

TRUNK = decoder.DecoderConfig(
    vocab_size=11, context=12, width=8, num_layers=1,
    block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(12)))
MODEL = model_lib.MultiTokenConfig(TRUNK, heads=2).build()
BATCH = batches.packed(batches.documents([5, 1, 3], 11), 11)


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


@pytest.mark.slow
def test_every_distance_by_a_loop(params):
  objective = multi_token.MultiToken(weight=0.5).build(MODEL)
  got = jax.jit(objective)(params, BATCH)
  mask = masks.make(BATCH['positions'], BATCH['segments'])
  @jax.jit
  def log_p(params):
    x, _ = MODEL.apply({'params': params}, BATCH['inputs'], mask,
                       method='hidden')
    ahead = MODEL.apply({'params': params}, x, mask, method='ahead')
    return [jax.nn.log_softmax(MODEL.apply(
        {'params': params}, y, method='logits')) for y in (x, *ahead)]
  totals, counts = np.zeros(3), np.zeros(3)
  for distance, table in enumerate(log_p(params)):
    for t in range(11):
      there = t + distance
      if there < 11 and BATCH['weights'][0, there] and (
          BATCH['segments'][0, there] == BATCH['segments'][0, t]):
        totals[distance] -= table[0, t, BATCH['targets'][0, there]]
        counts[distance] += 1
  assert counts.tolist() == [9, 6, 4]
  for name, i in (('nll', 0), ('nll_2', 1), ('nll_3', 2)):
    np.testing.assert_allclose(got[name].total, totals[i], rtol=1e-4)
    assert got[name].weight == counts[i]
  np.testing.assert_allclose(
      got['loss'].total, totals @ [1, 0.5, 0.5], rtol=1e-4)
  assert got['loss'].weight == 9


@pytest.mark.slow
def test_every_head_learns_and_dropout_needs_a_key(params):
  objective = multi_token.MultiToken().build(MODEL)
  gradient = jax.jit(jax.grad(
      lambda p: objective(p, BATCH, jax.random.key(0))['loss'].total))(params)
  for path, leaf in trees.items(gradient):
    assert np.all(np.isfinite(leaf)) and np.any(leaf != 0), path


def test_its_likelihood_is_the_next_tokens(params):
  got, _ = jax.jit(multi_token.MultiToken().scores(MODEL))(params, BATCH)
  want, _ = jax.jit(lm.Causal().scores(TRUNK.build()))(
      {k: v for k, v in params.items() if 'ahead' not in k}, BATCH)
  np.testing.assert_array_equal(got, want)


def test_a_model_of_one_head_is_refused_with_the_choices():
  for method in ('build', 'scores'):
    with pytest.raises(errors.InputError, match='kind=MultiTokenConfig'):
      getattr(multi_token.MultiToken(), method)(TRUNK.build())
  with pytest.raises(errors.InputError, match='weight .* got 0'):
    multi_token.MultiToken(weight=0)
