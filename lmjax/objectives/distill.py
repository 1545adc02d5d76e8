"""Knowledge distillation: a student learns a teacher's distributions."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import temperature as temperature_lib
from lmjax.objectives import lm
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
# teacher(batch) -> (logits_BTV, hidden states x_BTE or None).
Teacher = Callable[[Batch], tuple[jax.Array, jax.Array | None]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Distillation:
  """Next-token prediction of the text and of a teacher's distributions.

  The loss of a token is

    (1 - weight) nll + weight tau^2 KL(teacher^(1 / tau) || student^(1 / tau))
    + hidden_weight mean over dimensions of (W x_student - x_teacher)^2,

  where ^(1 / tau) divides logits by the temperature.

  Attributes:
    temperature: tau; a higher one gives unlikely tokens more influence.
    weight: Weight of the teacher's distributions; 1 ignores the text's tokens.
    hidden_weight: Weight of the distance between the last hidden states; 0 has
      none. If their widths differ, W is a parameter: wrap the student in
      `Mapped`.

  References:
    Hinton et al., Distilling the Knowledge in a Neural Network,
    arXiv:1503.02531, section 2; Jiao et al., TinyBERT, arXiv:1909.10351, eq. 8
    (hidden states).
  """
  temperature: ranges.Positive = 2.0
  weight: ranges.Share = 0.5
  hidden_weight: ranges.NonNegative = 0.0

  likelihood = 'exact'  # Kind of `scores`.

  def build(self, model: nn.Module, tokenizer: Any = None, *,
            teacher: Teacher | None = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    Args:
      model: The student.
      tokenizer: Not used; the teacher must have the same token ids.
      teacher: Maps a batch to logits, and hidden states or None; see
        `teacher_of`. No gradient flows into it.

    Raises:
      InputError: If there is no teacher, or the student is not causal.
    """
    del tokenizer
    lm.check_causal(model)
    if teacher is None:
      raise errors.InputError(
          'Distillation needs a teacher: build(model, '
          'teacher=distill.teacher_of(teacher_model, teacher_params)).')
    return functools.partial(self._objective, model, teacher)

  def _objective(self, model, teacher, params, batch, rng=None):
    x_BTD, _ = model.apply(
        {'params': params}, batch['inputs'],
        masks.make(batch['positions'], batch['segments']),
        train=rng is not None, rngs=None if rng is None else {'dropout': rng},
        method='hidden')
    logits_BTV = model.apply({'params': params}, x_BTD, method='logits')
    taught_BTV, taught_BTE = jax.lax.stop_gradient(teacher(batch))
    nll_BT, _ = losses.cross_entropy(logits_BTV, batch['targets'])
    kl_BT = divergence(taught_BTV, logits_BTV, self.temperature)
    loss_BT = ((1 - self.weight) * nll_BT
               + self.weight * self.temperature**2 * kl_BT)
    weights_BT = batch['weights']
    correct_BT = losses.is_best(logits_BTV, batch['targets'])
    agree_BT = jnp.argmax(logits_BTV, -1) == jnp.argmax(taught_BTV, -1)
    out = {
        'nll': metrics.Mean.of(nll_BT, weights_BT),
        'accuracy': metrics.Mean.of(correct_BT, weights_BT),
        'kl': metrics.Mean.of(kl_BT, weights_BT),
        'agreement': metrics.Mean.of(agree_BT, weights_BT)}
    if self.hidden_weight:
      distance_BT = _distance(model, params, x_BTD, taught_BTE)
      loss_BT += self.hidden_weight * distance_BT
      out['distance'] = metrics.Mean.of(distance_BT, weights_BT)
    return {'loss': metrics.Mean.of(loss_BT, weights_BT)} | out

  def scores(self, model: nn.Module, tokenizer: Any = None) -> lm.Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`."""
    del tokenizer
    lm.check_causal(model)
    return functools.partial(lm.token_scores, model)


def teacher_of(model: nn.Module, params: Any) -> Teacher:
  """Returns a function of a batch that runs a causal model without dropout."""
  lm.check_causal(model)

  def teacher(batch):
    x_BTD, _ = model.apply(
        {'params': params}, batch['inputs'],
        masks.make(batch['positions'], batch['segments']), method='hidden')
    return model.apply({'params': params}, x_BTD, method='logits'), x_BTD
  return teacher


def divergence(teacher_BTV: jax.Array, student_BTV: jax.Array,
               temperature: float) -> jax.Array:
  """Returns KL(teacher || student) in nats at a temperature, `kl_BT`."""
  shapes.bind(teacher_BTV=teacher_BTV, student_BTV=student_BTV)
  log_p, log_q = (
      jax.nn.log_softmax(temperature_lib.scaled(x, temperature))
      for x in (teacher_BTV, student_BTV))
  # Where the teacher's probability is 0, 0 log 0 is 0.
  return jnp.sum(
      jnp.where(log_p > -jnp.inf, jnp.exp(log_p) * (log_p - log_q), 0), -1)


class Mapped(nn.Module):
  """A student with a linear map from its width to its teacher's.

  Its parameters are the student's and `teacher/kernel`; without
  `teacher/kernel` they are parameters of the student alone.

  Attributes:
    student: A module such as `models.decoder.Decoder`.
    width: Width of the teacher's hidden states.
  """
  student: nn.Module
  width: int

  @property
  def config(self) -> Any:
    return self.student.config

  def setup(self):
    self.teacher = layers.Dense(
        self.width, layers.Policy(), False,
        init_std=self.student.config.width**-0.5)
    nn.share_scope(self, self.student)

  def __call__(self, inputs_BT, mask=None, **options):
    """Returns the student's logits and cache."""
    x_BTD, cache = self.student.hidden(inputs_BT, mask, **options)
    if self.is_initializing():
      self.mapped(x_BTD)
    return self.student.logits(x_BTD), cache

  def hidden(self, inputs_BT, mask=None, **options):
    """Returns the student's hidden states, `x_BTD`, and cache."""
    return self.student.hidden(inputs_BT, mask, **options)

  def logits(self, x_BTD):
    """Returns the student's `logits_BTV`."""
    return self.student.logits(x_BTD)

  def empty_cache(self, batch, length):
    """Returns the student's cache."""
    return self.student.empty_cache(batch, length)

  def mapped(self, x_BTD: jax.Array) -> jax.Array:
    """Returns hidden states mapped to the teacher's width, `x_BTE`."""
    return self.teacher(x_BTD).astype(jnp.float32)


def _distance(model, params, x_BTD, taught_BTE) -> jax.Array:
  if taught_BTE is None:
    raise errors.InputError(
        'objective.hidden_weight needs a teacher that also returns its hidden '
        'states; set it to 0, or see distill.teacher_of.')
  if isinstance(model, Mapped):
    x_BTD = model.apply({'params': params}, x_BTD, method='mapped')
  if x_BTD.shape != taught_BTE.shape:
    raise errors.InputError(
        f'The student is {x_BTD.shape[-1]} wide and the teacher '
        f'{taught_BTE.shape[-1]}; wrap the student: '
        f'distill.Mapped(model, {taught_BTE.shape[-1]}).')
  return jnp.mean(jnp.square(
      x_BTD.astype(jnp.float32) - taught_BTE.astype(jnp.float32)), axis=-1)
