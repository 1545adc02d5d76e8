"""Distillation by its formulas, and what a student needs for it."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.objectives import distill
from lmjax.objectives import lm
from lmjax.testing import batches
from lmjax.testing import hot

CONFIG = decoder.DecoderConfig(
    vocab_size=7, context=12, width=8, num_layers=1,
    block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(12)))
BATCH = batches.packed(batches.documents([5, 1, 3], 7), 11)


def made(config, wrap=lambda model: model, seed=0):
  model = wrap(config.build())
  params = hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'],
                          seed, std=0.4)
  return model, params


@pytest.fixture(scope='module')
def teacher():
  return distill.teacher_of(
      *made(dataclasses.replace(CONFIG, width=12), seed=1))


@pytest.mark.slow
def test_all_numbers_by_their_formulas(teacher):
  model, params = made(CONFIG, lambda model: distill.Mapped(model, 12))
  objective = distill.Distillation(3.0, 0.7, 0.1).build(model, teacher=teacher)
  got = jax.jit(objective)(params, BATCH)
  taught, taught_x = jax.jit(teacher)(BATCH)
  student = distill.teacher_of(
      CONFIG.build(), {k: v for k, v in params.items() if k != 'teacher'})
  logits, x = jax.jit(student)(BATCH)
  taught, logits = np.float64(taught), np.float64(logits)
  def probabilities(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
  p, q = probabilities(taught / 3), probabilities(logits / 3)
  kl = (p * np.log(p / q)).sum(-1)
  nll = -np.log(np.take_along_axis(
      probabilities(logits), BATCH['targets'][..., None], -1))[..., 0]
  distance = np.mean(
      (x @ params['teacher']['kernel'] - taught_x) ** 2, axis=-1)
  loss = 0.3 * nll + 0.7 * 9 * kl + 0.1 * distance
  weights = BATCH['weights']
  for name, values in dict(
      loss=loss, nll=nll, kl=kl, distance=distance,
      agreement=p.argmax(-1) == q.argmax(-1)).items():
    np.testing.assert_allclose(
        got[name].total, (values * weights).sum(), rtol=1e-4)
    assert got[name].weight == 9


@pytest.mark.slow
def test_a_student_equal_to_its_teacher_has_no_gradient():
  model, params = made(CONFIG)
  objective = distill.Distillation(weight=1.0, hidden_weight=1.0).build(
      model, teacher=distill.teacher_of(model, params))
  def loss(params):
    return objective(params, BATCH)['loss'].total
  value, gradient = jax.jit(jax.value_and_grad(loss))(params)
  assert value == pytest.approx(0, abs=1e-5)
  for leaf in jax.tree.leaves(gradient):
    np.testing.assert_allclose(leaf, 0, atol=1e-4)


def test_the_map_is_the_only_parameter_beside_the_students():
  model, params = made(CONFIG, lambda model: distill.Mapped(model, 5))
  alone = {k: v for k, v in params.items() if k != 'teacher'}
  assert params['teacher']['kernel'].shape == (8, 5)
  got, _ = jax.jit(lm.Causal().scores(model))(params, BATCH)
  want, _ = jax.jit(distill.Distillation().scores(CONFIG.build()))(alone, BATCH)
  np.testing.assert_array_equal(got, want)
  assert model.empty_cache(1, 4).layers[0].k_BKSH.shape[2] == 4


def test_tokens_of_teacher_probability_0_cost_nothing():
  teacher = jnp.array([[[0.0, -jnp.inf]]])
  kl = distill.divergence(teacher, jnp.zeros((1, 1, 2)), 2.0)
  np.testing.assert_allclose(kl, np.log(2), rtol=1e-6)


def test_unusable_models_and_settings_are_refused(teacher):
  model, params = made(CONFIG)
  with pytest.raises(errors.InputError, match='teacher=distill.teacher_of'):
    distill.Distillation().build(model)
  both = dataclasses.replace(CONFIG, causal=False).build()
  with pytest.raises(errors.InputError, match='causal model'):
    distill.Distillation().build(both, teacher=teacher)
  objective = distill.Distillation(hidden_weight=1.0)
  with pytest.raises(errors.InputError, match=r'distill.Mapped\(model, 12\)'):
    jax.eval_shape(objective.build(model, teacher=teacher), params, BATCH)
  with pytest.raises(errors.InputError, match='returns its hidden states'):
    jax.eval_shape(objective.build(model, teacher=lambda batch: (
        teacher(batch)[0], None)), params, BATCH)
  for changes in (dict(temperature=0.0), dict(weight=2.0),
                  dict(hidden_weight=-1.0)):
    with pytest.raises(errors.InputError, match=next(iter(changes))):
      distill.Distillation(**changes)
