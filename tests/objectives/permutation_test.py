"""Permutation LM: an explicit product, proper sums, and what is counted."""
import itertools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import model as model_lib
from lmjax.models import xlnet
from lmjax.nn import masks
from lmjax.objectives import permutation
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB = 4
MODEL = xlnet.XLNetConfig(
    vocab_size=VOCAB, context=8, width=8, num_layers=2, num_heads=2,
    hidden=12).build()
PARAMS = hot.hot_params(jax.eval_shape(
    MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'],
                        std=0.5)
run = jax.jit(lambda ids, at, order, segments=None: MODEL.apply(
    {'params': PARAMS}, ids, masks.make(at, segments), order_BT=order)[0])
ordered = jax.jit(permutation.ordered_scores, static_argnums=(0, 3))
log_softmax = scipy.special.log_softmax
DOCS = batches.documents([5, 1, 7, 3], VOCAB)


def log_probability(token, place, known, order):
  """log p of a token at a place by a run on the known tokens alone.

  Args:
    token: Its id; the run does not get it.
    place: Its position.
    known: Positions to ids of the tokens before it in the order.
    order: When the token of each position comes.
  """
  at = sorted(known) + [place]
  ids = [known[p] for p in at[:-1]] + [0]
  logits = run(np.array([ids]), np.array([at]),
               np.array([[order[p] for p in at]]))
  return log_softmax(logits[0, -1])[token]


@pytest.mark.parametrize('order', [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)])
def test_the_likelihood_is_the_product_over_the_permutation(order):
  ids = [2, 0, 3, 1]
  got = run(jnp.array([ids]), jnp.arange(4)[None], jnp.array([order]))
  for place in (1, 2, 3):
    known = {p: ids[p] for p in range(4) if order[p] < order[place]}
    want = log_probability(ids[place], place, known, order)
    np.testing.assert_allclose(
        log_softmax(got[0, place])[ids[place]], want, atol=1e-5)


def all_texts():
  """A batch of all texts of three tokens after a first one."""
  docs = [np.array((1, *text), np.int32)
          for text in itertools.product(range(VOCAB), repeat=3)]
  return batches.alone(docs)


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 0, 1)])
def test_every_order_is_a_distribution_over_texts(order):
  batch = all_texts()
  place, length = permutation.whole(batch)
  order_BT = jnp.asarray((0, *order), jnp.float32)[place['positions']]
  nll, _ = ordered(MODEL, PARAMS, place, length, order_BT)
  np.testing.assert_allclose(np.exp(-nll.sum(axis=1)).sum(), 1, rtol=1e-4)


@pytest.mark.slow
def test_left_to_right_is_the_causal_factorisation():
  batch = batches.alone(DOCS)
  objective = permutation.PermutationLM(order='left_to_right')
  got, correct = map(
      np.asarray, jax.jit(objective.scores(MODEL))(PARAMS, batch))
  for row, doc in enumerate(DOCS):
    padded = np.pad(doc, (0, 8 - len(doc)))[None]  # The future is not seen.
    where = np.arange(8)[None]
    logits = np.asarray(run(padded, where, where))[0, 1:len(doc)]
    want = -log_softmax(logits, axis=-1)[np.arange(len(doc) - 1), doc[1:]]
    np.testing.assert_allclose(got[row, :len(doc) - 1], want, atol=1e-5)
    np.testing.assert_array_equal(
        correct[row, :len(doc) - 1], logits.argmax(-1) == doc[1:])


@pytest.mark.slow
def test_scores_average_orders_and_do_not_depend_on_packing():
  score = jax.jit(permutation.PermutationLM(orders=3).scores(MODEL))
  length = 8
  alone, packed = batches.alone(DOCS, length), batches.packed(DOCS, length)
  packed = {k: np.pad(v, ((0, 1), (0, 0))) for k, v in packed.items()}
  got, want = (np.asarray(score(PARAMS, b)[0])[b['weights'] > 0]
               for b in (packed, alone))
  np.testing.assert_allclose(np.sort(got), np.sort(want), atol=1e-5)
  place, row_length = permutation.whole(alone)
  each = []
  for key in jax.random.split(jax.random.key(0), 3):
    order = jax.random.permutation(key, 2 * length)[place['positions']]
    each.append(np.asarray(
        ordered(MODEL, PARAMS, place, row_length, order)[0]))
  assert np.abs(each[0] - each[1]).max() > 1e-2
  np.testing.assert_allclose(
      want, np.mean(each, axis=0)[alone['weights'] > 0], atol=1e-5)


@pytest.mark.parametrize('types', [0, 2])
def test_types_are_handed_on_to_a_model_that_has_them(types):
  given = {}

  class Spy:
    config = mock.Mock(traits=model_lib.Traits(two_stream=True, types=types))

    def apply(self, variables, ids, mask, **options):
      given.update(options)
      return jax.nn.one_hot(ids, VOCAB), None
  batch = batches.alone(DOCS)
  objective = permutation.PermutationLM().build(Spy())
  jax.eval_shape(objective, {}, batch | {'types': batch['segments']})
  assert ('types_BT' in given) == (types == 2)


def test_targets_without_weight_are_given_not_predicted():
  batch = batches.alone([DOCS[2]])
  batch['weights'][0, :4] = 0
  score = jax.jit(permutation.PermutationLM(
      order='left_to_right').scores(MODEL))
  np.testing.assert_allclose(
      score(PARAMS, batch)[0][0, 4],
      -log_softmax(run(
          DOCS[2][None], np.arange(8)[None],
          np.array([[0, 0, 0, 0, 0, 1, 2, 3]]))[0, 5])[DOCS[2][5]], atol=1e-5)


@pytest.mark.slow
def test_the_share_predicted_and_what_is_never_predicted():
  batch = batches.packed(batches.documents([40, 1, 30, 28], VOCAB), 100)
  batch['weights'][0, 10] = 0  # The target in place 11 does not count.
  times = np.zeros((1, 100))
  draw = jax.jit(permutation.draw)
  for seed in range(200):
    order, predicted = draw(jax.random.key(seed), batch, 1 / 6)
    times += predicted
    np.testing.assert_array_equal(order == -1, predicted == 0)
    assert len(np.unique(order)) == predicted.sum() + 1
  never = (batch['positions'] == 0) | (batch['segments'] == 0)
  never[0, 11] = True
  assert not times[never].any() and times[~never].all()
  assert times[~never].mean() / 200 == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize('share, longest', [(1 / 6, 5), (0.3, 3), (1.0, 5)])
def test_spans_are_as_long_and_as_many_as_asked(share, longest):
  draw = jax.jit(jax.vmap(lambda key: permutation.spans(
      key, 400, share, longest)))
  chosen = np.asarray(draw(jax.random.split(jax.random.key(0), 400)))
  assert chosen.mean() == pytest.approx(share, rel=0.02)
  by_place = chosen.mean(0)
  assert np.abs(by_place - share).max() < 0.12  # Row ends are as all places.
  if share == 1 / 6:
    edges = np.diff(np.pad(chosen, ((0, 0), (1, 1))).astype(int), axis=1)
    lengths = np.concatenate([np.flatnonzero(row == -1) - np.flatnonzero(
        row == 1) for row in edges])
    # Spans that touch are one here, and the ends of a row cut them.
    counts = np.bincount(lengths)[:longest + 1] / len(lengths)
    np.testing.assert_allclose(counts[1:], 1 / longest, atol=0.04)


@pytest.mark.slow
def test_spans_are_predicted_where_targets_count():
  batch = batches.packed(batches.documents([40, 1, 30, 28], VOCAB), 100)
  order, predicted = jax.jit(permutation.draw, static_argnums=(2, 3))(
      jax.random.key(0), batch, 0.3, 4)
  np.testing.assert_array_equal(order == -1, predicted == 0)
  assert len(np.unique(order)) == predicted.sum() + 1
  may = (batch['positions'] > 0) & (batch['segments'] > 0)
  assert predicted.sum() > 10 and not predicted[~may].any()
  together = predicted[:, 1:] * predicted[:, :-1]
  assert together.sum() > 0.3 * predicted.sum()
  one, other = (jax.jit(permutation.PermutationLM(
      0.3, longest=longest).build(MODEL))(PARAMS, batches.alone(DOCS))
                for longest in (1, 3))
  assert one['loss'].total != other['loss'].total


@pytest.mark.slow
def test_the_objective_counts_what_it_predicted():
  objective = jax.jit(permutation.PermutationLM(0.5).build(MODEL))
  batch = batches.packed(DOCS, 12)
  got = objective(PARAMS, batch)
  order, predicted = jax.jit(permutation.draw)(jax.random.key(0), batch, 0.5)
  logits = run(batch['inputs'], batch['positions'], order, batch['segments'])
  nll = -np.take_along_axis(
      log_softmax(logits, axis=-1), batch['inputs'][..., None], -1)[..., 0]
  np.testing.assert_allclose(
      got['loss'].total, np.sum(nll * predicted), rtol=1e-4)
  assert got['loss'].weight == predicted.sum() > 0
  assert got['predicted'].weight == 12  # 16 targets; four end documents.
  again, other = (objective(PARAMS, batch, jax.random.key(n)) for n in (1, 2))
  assert again['loss'].total != other['loss'].total


def test_a_model_of_one_stream_is_refused_with_the_choices():
  model = decoder.DecoderConfig(vocab_size=VOCAB).build()
  for method in ('build', 'scores'):
    with pytest.raises(errors.InputError, match='kind=XLNetConfig'):
      getattr(permutation.PermutationLM(), method)(model)
  with pytest.raises(errors.InputError, match='predict .* got 0'):
    permutation.PermutationLM(predict=0)
  for field in ('orders', 'longest'):
    with pytest.raises(errors.InputError, match=f'{field} .* got 0'):
      permutation.PermutationLM(**{field: 0})
