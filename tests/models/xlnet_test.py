"""XLNet: what each stream sees, and relative positions by hand."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import xlnet
from lmjax.nn import masks
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB = 11
CONFIG = xlnet.XLNetConfig(
    vocab_size=VOCAB, context=16, width=8, num_layers=2, num_heads=2, hidden=12,
    types=True)
MODEL = CONFIG.build()
IDS = np.random.default_rng(0).integers(0, VOCAB, (2, 6)).astype(np.int32)
ORDER = np.array([[3, 1, 5, 0, 2, 4], [0, 1, 2, 3, 4, 5]])
TYPES = np.array([[0, 0, 0, 1, 1, 1]] * 2)
apply = jax.jit(MODEL.apply, static_argnames=('method',))


def variables_of(model, seed=0):
  return {'params': hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'],
                                   seed)}


VARIABLES = variables_of(MODEL)


def test_a_token_never_reaches_its_own_query_nor_those_before_it():
  want, _ = apply(VARIABLES, IDS, order_BT=ORDER)
  for place in range(6):
    other = IDS.copy()
    other[:, place] = (other[:, place] + 1) % VOCAB
    got, _ = apply(VARIABLES, other, order_BT=ORDER)
    for row in range(2):
      later = ORDER[row] > ORDER[row, place]
      same = np.all(np.asarray(got[row] == want[row]), axis=-1)
      np.testing.assert_array_equal(same, ~later)


def test_tokens_of_equal_order_see_each_others_content():
  order = np.array([[0, 0, 1, 0, 0, 0]] * 2)
  want, _ = apply(VARIABLES, IDS, order_BT=order)
  other = IDS.copy()
  other[:, 4] = (other[:, 4] + 1) % VOCAB
  got, _ = apply(VARIABLES, other, order_BT=order)
  changed = np.any(np.asarray(got != want), axis=-1)
  np.testing.assert_array_equal(changed, order == 1)


def test_without_an_order_it_reads_from_left_to_right():
  want, _ = apply(VARIABLES, IDS, order_BT=np.arange(6)[None].repeat(2, 0))
  np.testing.assert_array_equal(apply(VARIABLES, IDS)[0], want)


def test_only_distances_matter_and_their_sign():
  def at(positions, order=ORDER):
    mask = masks.make(jnp.asarray(positions), jnp.ones((2, 6), jnp.int32))
    return apply(VARIABLES, IDS, mask, order_BT=order)[0]
  here = np.arange(6)[None].repeat(2, 0)
  np.testing.assert_allclose(at(here + 7), at(here), atol=1e-5)
  assert np.abs(at(here[:, ::-1]) - at(here)).max() > 1e-3


def test_the_attention_by_hand():
  module = xlnet.RelativeAttention(CONFIG, xlnet.attend_lib.plain)
  x = np.random.default_rng(1).normal(size=(1, 3, 8)).astype(np.float32)
  mask = masks.of_length(3, causal=False)
  same = np.array([[[1, 1, 0], [1, 1, 0], [0, 0, 1]]], bool)
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), x, mask, same, False))['params'],
                          std=0.5)
  got = jax.jit(module.apply, static_argnums=4)(
      {'params': params}, x, mask, same, False)
  p = jax.tree.map(np.asarray, params)
  heads = lambda name, x: (x @ p[name]['kernel']).reshape(-1, 2, 4)
  q, k, v = (heads(name, x[0]) for name in ('query', 'key', 'value'))
  out = np.zeros((3, 2, 4))
  for n in range(2):
    for i in range(3):
      logits = []
      for j in range(3):
        angle = (i - j) / 10_000 ** (np.arange(0, 8, 2) / 8)
        r = heads('position', np.concatenate([np.sin(angle), np.cos(angle)]))
        t = p['types'][0 if same[0, i, j] else 1, n]
        logits.append(
            (q[i, n] + p['content_bias'][n]) @ k[j, n]
            + (q[i, n] + p['position_bias'][n]) @ r[0, n]
            + (q[i, n] + p['type_bias'][n]) @ t)
      weights = np.exp(np.array(logits) / 2)
      out[i, n] = weights @ v[:, n] / weights.sum()
  np.testing.assert_allclose(
      got[0], out.reshape(3, 8) @ p['out']['kernel'], atol=1e-4)


def test_types_tell_apart_and_equal_ones_change_nothing():
  want, _ = apply(VARIABLES, IDS, order_BT=ORDER)
  same, _ = apply(VARIABLES, IDS, order_BT=ORDER, types_BT=TYPES * 0)
  np.testing.assert_allclose(same, want, atol=1e-5)
  pair, _ = apply(VARIABLES, IDS, order_BT=ORDER, types_BT=TYPES)
  assert np.abs(pair - want).max() > 1e-3


@pytest.mark.slow
def test_packed_documents_do_not_see_each_other():
  docs = batches.documents([5, 1, 6], VOCAB)
  alone = batches.alone(docs, 14)
  packed = {k: np.pad(v, ((0, 2), (0, 0)))
            for k, v in batches.packed(docs).items()}
  for method in ('hidden', 'encode'):
    got, want = (apply(
        VARIABLES, batch['inputs'],
        masks.make(batch['positions'], batch['segments']), method=method)
                 for batch in (packed, alone))
    if method == 'hidden':
      got, want = got[0], want[0]
    got, want = got[packed['weights'] > 0], want[alone['weights'] > 0]
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.slow
def test_every_parameter_has_a_finite_gradient_and_logits_are_float32():
  def loss(params, dtype):
    model = dataclasses.replace(CONFIG, dtype=dtype, dropout=0.1).build()
    logits, _ = model.apply(
        {'params': params}, IDS, order_BT=ORDER, types_BT=TYPES, train=True,
        rngs={'dropout': jax.random.key(0)})
    assert logits.dtype == jnp.float32
    return jnp.sum(jnp.sin(logits))
  gradient = jax.jit(jax.grad(loss), static_argnums=1)(
      VARIABLES['params'], 'bfloat16')
  for path, leaf in trees.items(gradient):
    assert np.all(np.isfinite(leaf)) and np.any(leaf != 0), path


def test_what_cannot_be_is_refused():
  for changes, message in (
      (dict(width=10, num_heads=4), 'model.width = 10 should be even'),
      (dict(num_layers=0), 'XLNetConfig.num_layers .* got 0'),
      (dict(dropout=1.0), 'XLNetConfig.dropout')):
    with pytest.raises(errors.InputError, match=message):
      dataclasses.replace(CONFIG, **changes)
  with pytest.raises(errors.InputError, match='33 tokens, .* is 16'):
    MODEL.apply(VARIABLES, np.zeros((1, 33), np.int32))
  unset = dataclasses.replace(CONFIG, vocab_size=None)
  assert unset.with_vocab(VOCAB) == CONFIG.with_vocab(3) == CONFIG
  with pytest.raises(errors.InputError, match='with_vocab'):
    unset.build()
  with pytest.raises(errors.InputError, match='has 12 ids'):
    CONFIG.with_vocab(12)
