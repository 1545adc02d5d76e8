"""Each transform against its definition, written with a sort."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import transforms

rng = np.random.default_rng(0)
LOGITS_BV = (3 * rng.standard_normal((5, 211))).astype(np.float32)
COUNTS_BV = rng.integers(0, 2, LOGITS_BV.shape).astype(np.int32)


def apply(transform, logits_BV=LOGITS_BV):
  return np.asarray(transform(jnp.asarray(logits_BV), jnp.asarray(COUNTS_BV)))


def softmax(logits_BV):
  weights_BV = np.exp(np.float64(logits_BV) - logits_BV.max(-1, keepdims=True))
  return weights_BV / weights_BV.sum(-1, keepdims=True)


def leading(probs_V, order_V, share):
  """The shortest prefix of the order that reaches the share, by its sum."""
  kept, mass = set(), 0.0
  for token in order_V:
    if mass >= share:
      break
    kept.add(int(token))
    mass += probs_V[token]
  return kept


def kept(out_V):
  return set(np.flatnonzero(np.isfinite(out_V)).tolist())


@pytest.mark.parametrize('p', [1e-6, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_top_p_is_the_sorted_definition(p):
  out_BV = apply(transforms.TopP(p))
  for row, out_V, probs_V in zip(LOGITS_BV, out_BV, softmax(LOGITS_BV)):
    want = leading(probs_V, np.argsort(-row, kind='stable'), p)
    assert kept(out_V) == want
    np.testing.assert_array_equal(out_V[list(want)], row[list(want)])


@pytest.mark.parametrize('p', [0.2, 0.9])
def test_typical_p_is_the_sorted_definition(p):
  probs_BV = softmax(LOGITS_BV)
  for out_V, probs_V in zip(apply(transforms.TypicalP(p)), probs_BV):
    surprise_V = -np.log(probs_V)
    distance_V = np.abs(surprise_V - (probs_V * surprise_V).sum())
    assert kept(out_V) == leading(probs_V, np.argsort(distance_V), p)


def test_top_p_keeps_ties_and_keeps_all_at_one():
  tied_BV = np.array([[1.0, 1.0, 1.0, 0.0, -50.0]] * 5, np.float32)
  counts_BV = jnp.zeros(tied_BV.shape, jnp.int32)
  out_BV = transforms.TopP(0.01)(jnp.asarray(tied_BV), counts_BV)
  assert [kept(row) for row in out_BV] == [{0, 1, 2}] * 5
  assert np.isfinite(apply(transforms.TopP(1.0))).all()


def test_top_p_ignores_excluded_tokens():
  gone_BV = np.where(np.arange(211)[None] % 2 == 0, LOGITS_BV, -np.inf)
  for out_V, probs_V in zip(apply(transforms.TopP(0.9), gone_BV),
                            softmax(gone_BV)):
    assert kept(out_V) == leading(probs_V, np.argsort(-probs_V), 0.9)


@pytest.mark.parametrize('k', [1, 7, 211, 500])
def test_top_k_keeps_k_tokens(k):
  out_BV = apply(transforms.TopK(k))
  for row, out_V in zip(LOGITS_BV, out_BV):
    assert kept(out_V) == set(np.argsort(-row)[:k].tolist())


def test_min_p_compares_with_the_best():
  for out_V, probs_V in zip(apply(transforms.MinP(0.05)), softmax(LOGITS_BV)):
    assert kept(out_V) == set(
        np.flatnonzero(probs_V >= 0.05 * probs_V.max()).tolist())


def test_greedy_keeps_the_first_of_the_best():
  tied_BV = LOGITS_BV.copy()
  tied_BV[:, [4, 9]] = 99.0
  assert [kept(row) for row in apply(transforms.Greedy(), tied_BV)] == [{4}] * 5


def test_temperature_divides_the_distance_to_the_best():
  np.testing.assert_allclose(
      apply(transforms.Temperature(0.5)),
      2 * (LOGITS_BV - LOGITS_BV.max(-1, keepdims=True)), rtol=1e-6)


def test_known_excludes_ids_that_the_tokenizer_lacks():
  assert [kept(row) for row in apply(transforms.Known(7))] == [
      set(range(7))] * 5
  np.testing.assert_array_equal(apply(transforms.Known(211)), LOGITS_BV)


def test_without_excludes_ids():
  without = apply(transforms.Without((3, 210)))
  assert np.isneginf(without[:, [3, 210]]).all()
  np.testing.assert_array_equal(
      np.delete(without, [3, 210], 1), np.delete(LOGITS_BV, [3, 210], 1))


def test_repetition_penalty_lowers_positive_and_negative_logits():
  out_BV = apply(transforms.RepetitionPenalty(1.5))
  seen_BV = COUNTS_BV > 0
  np.testing.assert_array_equal(out_BV[~seen_BV], LOGITS_BV[~seen_BV])
  assert (out_BV[seen_BV] < LOGITS_BV[seen_BV]).all()
  positive = seen_BV & (LOGITS_BV > 0)
  np.testing.assert_allclose(out_BV[positive], LOGITS_BV[positive] / 1.5,
                             rtol=1e-6)


def test_count_penalty_falls_with_each_occurrence():
  counts_BV = np.array([[0, 1, 2, 5]], np.int32)
  logits_BV = np.array([[1.0, -2.0, 0.5, 3.0]], np.float32)
  np.testing.assert_allclose(
      transforms.CountPenalty(0.25, 0.5)(logits_BV, counts_BV),
      [[1.0, -2.75, -0.75, 0.25]], rtol=1e-6)
  np.testing.assert_allclose(
      transforms.CountPenalty(frequency=-1.0)(logits_BV, counts_BV),
      [[1.0, -1.0, 2.5, 8.0]], rtol=1e-6)


def test_no_transform_sorts_the_vocabulary():
  chain = transforms.Sampling(0.7, 5, 0.9, 0.9, 0.1, 1.2).build()

  def run(logits_BV, counts_BV):
    for transform in chain:
      logits_BV = transform(logits_BV, counts_BV)
    return logits_BV

  primitives = str(jax.make_jaxpr(run)(LOGITS_BV, COUNTS_BV))
  assert 'sort[' not in primitives
  assert 'top_k[' in primitives
  assert all((np.isfinite(row).sum() >= 1) for row in run(
      jnp.asarray(LOGITS_BV), jnp.asarray(COUNTS_BV)))


def test_sampling_builds_only_the_given_transforms():
  assert transforms.Sampling().build() == ()
  assert transforms.Sampling(temperature=0, top_k=5).build() == (
      transforms.Greedy(),)
  assert transforms.Sampling(
      temperature=0.5, top_k=5, top_p=0.9, repetition_penalty=1.1,
      frequency_penalty=0.2
  ).build() == (
      transforms.RepetitionPenalty(1.1), transforms.CountPenalty(0.0, 0.2),
      transforms.Temperature(0.5), transforms.TopK(5), transforms.TopP(0.9))
  assert transforms.Sampling(0, presence_penalty=1.0).build() == (
      transforms.CountPenalty(1.0), transforms.Greedy())


@pytest.mark.parametrize('field, value', [
    ('temperature', -1.0), ('temperature', float('nan')), ('top_k', 0),
    ('top_p', 0.0), ('top_p', 1.5), ('typical_p', 0.0), ('min_p', 2.0),
    ('repetition_penalty', 0.0), ('presence_penalty', float('inf')),
    ('frequency_penalty', float('nan'))])
def test_impossible_values_are_refused_by_name(field, value):
  with pytest.raises(errors.InputError, match=f'{field} should be .*{value}'):
    transforms.Sampling(**{field: value})


def test_best_is_argmax():
  logits = jax.random.randint(jax.random.key(0), (50, 7), 0, 4).astype(float)
  assert transforms.best(logits).tolist() == jnp.argmax(logits, -1).tolist()


@pytest.mark.parametrize('k', [1, 2, 5, 9])
def test_the_largest_are_found_without_a_sort(k):
  rows_BV = np.array([
      [-1.0, -0.0, 0.0, 3.0, 3.0, -np.inf, 1e-40, -1e30, 2.0],
      [-5.0, -4.0, -3.0, -3.0, -np.inf, -np.inf, -9.0, -1e38, -1e-38]],
      np.float32)
  got_BV = jax.jit(transforms.of_rank)(rows_BV, k)
  want_BV = transforms.TopK(k)(rows_BV, np.zeros((2, 9), np.int32))
  np.testing.assert_array_equal(got_BV, want_BV)


EXTREME_BV = np.array([
    [1e30, -1e30, 0.0, 9e29, -np.inf, 1.0],
    [-1e30, -2e30, -3e38, -1.5e30, -np.inf, -np.inf],
    [3e38, -3e38, 1e-39, 2e38, -np.inf, -1.0],
    [5.0, 4.0, 3.0, 2.0, -np.inf, 0.0],
    [-5.0, -6.0, -7.0, -8.0, -np.inf, -9.0]], np.float32)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('transform', [
    *map(transforms.Temperature, (1e-45, 1e-39, 1e-3, 1.0, 1e30, 3e38)),
    *map(transforms.TopP, (1e-45, 1e-6, 0.5, 1 - 1e-7)),
    *map(transforms.TypicalP, (1e-45, 1e-6, 0.5, 1 - 1e-7)),
    *map(transforms.MinP, (1e-45, 1e-6, 0.5, 1.0)),
    *map(transforms.RepetitionPenalty, (1e-45, 1e-39, 1.5, 1e30, 3e38)),
    *(transforms.CountPenalty(x, y) for x in (-3e38, 1e38) for y in (3e38, -1)),
    transforms.TopK(2), transforms.Greedy()], ids=str)
def test_extremes_give_no_nan_and_no_new_token(transform, dtype):
  logits_BV = jnp.asarray(EXTREME_BV, dtype)
  counts_BV = jnp.asarray([[2, 0, 1, 1, 3, 0]] * 5)
  out_BV = np.asarray(transform(logits_BV, counts_BV), np.float32)
  assert not np.isnan(out_BV).any() and (out_BV < np.inf).all()
  assert (out_BV[:, 4] == -np.inf).all()
  assert (out_BV > -np.inf).any(-1).all()
  assert not np.isnan(jax.nn.softmax(out_BV)).any()
  if isinstance(transform, (transforms.Temperature, transforms.TopK,
                            transforms.TopP, transforms.MinP)):
    assert (out_BV.argmax(-1) == 0).all()


@pytest.mark.parametrize('value', [1e-45, 1e-39, 1e-30])
def test_a_temperature_near_zero_is_greedy(value):
  p_BV = jax.nn.softmax(apply(transforms.Temperature(value)))
  np.testing.assert_array_equal(p_BV.argmax(-1), LOGITS_BV.argmax(-1))
  assert (p_BV.max(-1) == 1).all()
