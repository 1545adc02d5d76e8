"""Optimizers as frozen dataclasses that build optax transformations.

Each names its own rule and parameters; learning rate, schedule, clipping,
weight decay and freezing are the same for all. Decay and freezing go by
patterns on parameter paths (see `rules`). Any other optax transformation can
be handed to `loop.fit` in their place.
"""
import dataclasses
from typing import Any, Literal

import jax
import optax

from lmjax.core import errors
from lmjax.core import trees
from lmjax.training import moments
from lmjax.training import rules
from lmjax.training import schedules


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Optimizer:
  """What all optimizers share.

  Attributes:
    learning_rate: The peak of the schedule.
    schedule: The shape of the learning rate over the run.
    clip_norm: Largest global norm of the gradient of what trains; None = off.
    weight_decay: Times the multiplier that `decay` gives a parameter.
    decay: Pairs (pattern, multiplier): the first that meets a path counts.
    freeze: Patterns of parameters that do not train.
    moments: What is kept of each parameter; bfloat16 halves its memory, see
      `moments`.
  """
  learning_rate: float = 1e-3
  schedule: schedules.Schedule = schedules.Constant()
  clip_norm: float | None = 1.0
  weight_decay: float = 0.0
  decay: tuple[tuple[str, float], ...] = rules.DECAY
  freeze: tuple[str, ...] = ()
  moments: Literal['float32', 'bfloat16'] = 'float32'

  def __post_init__(self):
    name = type(self).__name__
    if not self.learning_rate > 0:
      raise errors.InputError(
          f'{name}.learning_rate should be above 0; got {self.learning_rate}.')
    if self.weight_decay < 0:
      raise errors.InputError(
          f'{name}.weight_decay should not be negative; got '
          f'{self.weight_decay}.')
    if self.clip_norm is not None and not self.clip_norm > 0:
      raise errors.InputError(
          f'{name}.clip_norm should be above 0, or none for no clipping; got '
          f'{self.clip_norm}.')
    if not all(isinstance(r, tuple) and len(r) == 2 for r in self.decay):
      raise errors.InputError(
          f'{name}.decay should hold pairs (pattern, multiplier), such as '
          f'(("kernel$", 1.0), (".*", 0.0)); got {self.decay}.')
    if self.moments not in ('float32', 'bfloat16'):
      raise errors.InputError(
          f'{name}.moments should be float32 or bfloat16; got '
          f'{self.moments!r}.')

  def build(self, params: Any, steps: int) -> optax.GradientTransformation:
    """Returns the optax transformation.

    Args:
      params: The parameters or their shapes; only paths and ranks are read.
      steps: Length of the run, over which the schedule stretches.

    Raises:
      InputError: If a pattern meets no parameter, or the schedule does not fit
        the run.
    """
    decay = rules.decay(params, self.weight_decay, self.decay)
    clip = (optax.identity() if self.clip_norm is None
            else optax.clip_by_global_norm(self.clip_norm))
    rate, rule = self.rate(steps), self.rule(decay)
    if self.moments == 'bfloat16':
      rule = moments.in_bfloat16(rule)
    optimizer = optax.chain(
        clip, rule, optax.scale_by_learning_rate(rate))
    return rules.train_only_unfrozen(optimizer, params, self.freeze)

  def rate(self, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step."""
    return self.schedule.build(self.learning_rate, steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(_Optimizer):
  """Adam with decoupled weight decay.

  References:
    Loshchilov and Hutter, Decoupled Weight Decay Regularization,
    arXiv:1711.05101, algorithm 2.
  """
  b1: float = 0.9
  b2: float = 0.95
  eps: float = 1e-8
  weight_decay: float = 0.1

  def rule(self, decay):
    return optax.chain(
        optax.scale_by_adam(self.b1, self.b2, self.eps), decay)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(_Optimizer):
  """Adam; weight decay, if any, is added to the gradient (L2).

  References:
    Kingma and Ba, Adam, arXiv:1412.6980, algorithm 1.
  """
  b1: float = 0.9
  b2: float = 0.999
  eps: float = 1e-8

  def rule(self, decay):
    return optax.chain(
        decay, optax.scale_by_adam(self.b1, self.b2, self.eps))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD(_Optimizer):
  """Gradient descent with (Nesterov) momentum; decay is added to the gradient.

  References:
    Sutskever et al., On the importance of initialization and momentum, 2013.
  """
  learning_rate: float = 0.1
  momentum: float = 0.9
  nesterov: bool = False

  def rule(self, decay):
    return optax.chain(
        decay, optax.trace(self.momentum, self.nesterov) if self.momentum
        else optax.identity())


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSProp(_Optimizer):
  """Gradients over a running root mean square; decay is added to the gradient.

  References:
    Tieleman and Hinton, Coursera: Neural networks for machine learning,
    lecture 6.5, 2012.
  """
  b2: float = 0.99
  eps: float = 1e-8
  momentum: float = 0.0

  def rule(self, decay):
    return optax.chain(
        decay, optax.scale_by_rms(self.b2, self.eps),
        optax.trace(self.momentum) if self.momentum else optax.identity())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adafactor(_Optimizer):
  """Second moments kept as row and column means; sublinear memory.

  References:
    Shazeer and Stern, Adafactor, arXiv:1804.04235, algorithm 4.

  Attributes:
    decay_power: The second moment forgets as 1 - step^-decay_power.
    clip_update: Largest root mean square of one parameter's update.
    min_factored: Smaller axes are not factored.
    scale_by_size: Multiplies updates by the parameter's root mean square.
  """
  learning_rate: float = 1e-2
  decay_power: float = 0.8
  clip_update: float = 1.0
  min_factored: int = 128
  scale_by_size: bool = True

  def rule(self, decay):
    return optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=self.decay_power,
            min_dim_size_to_factor=self.min_factored),
        optax.clip_by_block_rms(self.clip_update),
        optax.scale_by_param_block_rms() if self.scale_by_size
        else optax.identity(),
        decay)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(_Optimizer):
  """The sign of an interpolated momentum, with decoupled weight decay.

  References:
    Chen et al., Symbolic Discovery of Optimization Algorithms,
    arXiv:2302.06675, algorithm 2.
  """
  learning_rate: float = 1e-4
  b1: float = 0.9
  b2: float = 0.99
  weight_decay: float = 1.0

  def rule(self, decay):
    return optax.chain(optax.scale_by_lion(self.b1, self.b2), decay)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Muon(_Optimizer):
  """Orthogonalised momentum for hidden matrices, Adam for everything else.

  Updates are scaled to the root mean square that Adam's have, so that one
  learning rate and weight decay serve both.

  References:
    Jordan et al., Muon: an optimizer for hidden layers in neural networks,
    2024; Liu et al., Muon is Scalable for LLM Training, arXiv:2502.16982,
    eq. 4.

  Attributes:
    hidden: Pattern of the matrices that are orthogonalised, over their last two
      axes; earlier axes (scanned layers) are a batch of matrices.
    rms: Root mean square of an orthogonalised update.
  """
  momentum: float = 0.95
  iterations: int = 5
  rms: float = 0.2
  b1: float = 0.9
  b2: float = 0.95
  eps: float = 1e-8
  weight_decay: float = 0.1
  hidden: str = r'(^|/)(layers|layer_\d+)/.*kernel$'

  def rule(self, decay):
    def labels(params):
      matched = trees.match(params, [(self.hidden, 'muon'), ('.*', 'adam')])
      return jax.tree.map(
          lambda label, p: label if p.ndim > 1 else 'adam', matched, params)

    return optax.chain(
        optax.partition({
            'muon': optax.chain(self._orthogonalise(), self._rescale()),
            'adam': optax.scale_by_adam(self.b1, self.b2, self.eps),
        }, labels), decay)

  def _orthogonalise(self):
    axes = optax.contrib.MuonDimensionNumbers(
        reduction_axis=-2, output_axis=-1)
    return optax.contrib.scale_by_muon(
        beta=self.momentum, ns_steps=self.iterations,
        weight_dimension_numbers=lambda updates: jax.tree.map(
            lambda _: axes, updates))

  def _rescale(self):  # An orthogonal [n, m] has RMS 1 / sqrt(max(n, m)).
    return optax.stateless(lambda updates, params: jax.tree.map(
        lambda u: u * (self.rms * max(u.shape[-2:]) ** 0.5), updates))


Optimizer = AdamW | Adam | SGD | RMSProp | Adafactor | Lion | Muon
