"""A mixture of experts: many MLPs, of which each token uses a few."""
from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import placement
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.core import trees
from lmjax.nn import kernels
from lmjax.nn import layers
from lmjax.nn.mixture import grouped
from lmjax.nn.mixture import routing


@dataclasses.dataclass(frozen=True)
class MixtureOfExperts(layers.MLPConfig):
  """E feed-forward networks, and a router that sends each token to a few.

  It takes the place of a block's MLP. Padding (segment 0) goes to no expert.
  Evaluation and decoding drop no token, so there no token depends on others.
  Training drops no token either, unless `capacity_factor` is given.

  Attributes:
    num_experts: Number of experts E; each has the network that `hidden`,
      `activation`, `gated`, `bias` and `dropout` describe.
    top_k: Number of experts that each token goes to.
    normalize: Whether the gates of a token's experts sum to 1, as in Mixtral.
      This must be False with top_k=1, or the router would learn nothing from
      the loss.
    capacity_factor: Capacity of an expert in training, as a multiple of its
      share of a row's choices under even routing; None for no limit. Choices
      beyond the capacity, from later tokens, are dropped.
    balance: Weight of each layer's load-balancing loss. The loss is averaged
      over the tokens of a row, then over rows with their weights in the
      objective, so it does not depend on how a batch is divided.
    router_z: Weight of the router's z-loss, averaged in the same way.

  References:
    Shazeer et al., arXiv:1701.06538, section 2; Fedus et al., Switch
    Transformers, arXiv:2101.03961, section 2; Zoph et al., ST-MoE,
    arXiv:2202.08906, eq. 5-6; Jiang et al., Mixtral, arXiv:2401.04088.
  """
  num_experts: ranges.Count = 8
  top_k: ranges.Count = 2
  normalize: bool = True
  capacity_factor: ranges.Positive | None = None
  balance: ranges.NonNegative = 0.01
  router_z: ranges.NonNegative = 0.001

  @property
  def mixture(self) -> 'MixtureOfExperts':
    return self

  def __post_init__(self):
    super().__post_init__()
    if self.top_k > self.num_experts:
      raise errors.InputError(
          f'mlp.top_k should be at most mlp.num_experts = '
          f'{self.num_experts}; got {self.top_k}.')
    if self.top_k == 1 and self.normalize:
      raise errors.InputError(
          'With mlp.top_k=1 a normalized gate is always 1, and the router '
          'learns nothing from the loss: set mlp.normalize=False.')

  def build(self, policy: layers.Policy, name: str | None = None
            ) -> nn.Module:
    return Mixture(self, policy, name=name)


class Mixture(nn.Module):
  """Routes tokens to experts and sums the experts' outputs.

  Parameters: `router/kernel` [D, E], and `experts/in`, `experts/gate` and
  `experts/out`, whose leading axis is the expert.

  In training it sows `losses/auxiliary`, each row's addition to the loss, and
  `metrics/...`, each row's metrics; `objectives.auxiliary` sums both. Training
  with an objective that does not collect the losses raises InputError.

  Attributes:
    axis_name: If given, a mapped axis over whose devices the experts are
      divided; each device holds E / devices of `experts/...`: see
      `routing.exchanged`. Initialise the module without it, then set it with
      `clone(axis_name=...)`.
  """
  config: MixtureOfExperts
  policy: layers.Policy
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x_BTD: jax.Array, train: bool = False,
               segments_BT: jax.Array | None = None) -> jax.Array:
    config = self.config
    d = shapes.bind(x_BTD=x_BTD)
    real_BT = jnp.ones((d.B, d.T), bool) if segments_BT is None else (
        jnp.broadcast_to(segments_BT > 0, (d.B, d.T)))

    float32 = dataclasses.replace(self.policy, dtype='float32')
    logits_BTE = layers.Dense(
        config.num_experts, float32, use_bias=False, name='router')(x_BTD)
    weights = _Experts(config, self.policy, self._devices(), name='experts')(
        d.D)
    key = self.make_rng('dropout') if train and config.dropout else None
    room = routing.room(d.T, config.top_k, config.num_experts,
                        config.capacity_factor if train else None)
    mix = functools.partial(_mixed, config, room, key)
    mix = (functools.partial(mix, self.axis_name)
           if placement.current() is None else _on_mesh(config, d.B, mix))
    y_BTD, sown = mix(
        weights, x_BTD.astype(self.policy.dtype), logits_BTE, real_BT,
        # Dropout depends on token and choice, not on where they are sent.
        None if key is None else _numbers(d.B, d.T))
    self._sow(train, **sown)
    return y_BTD

  def _devices(self) -> int:
    """Returns the number of devices that share the experts."""
    if self.axis_name is None:
      return 1
    count = jax.lax.axis_size(self.axis_name)
    if self.config.num_experts % count:
      raise errors.InputError(
          f'{self.config.num_experts} experts do not divide over the {count} '
          f'devices of axis {self.axis_name!r}; set mlp.num_experts to a '
          f'multiple of {count}.')
    return count

  def _sow(self, train, dropped, balance, router_z):
    config = self.config
    if train and (config.balance or config.router_z) and (
        not self.is_mutable_collection('losses')):
      raise errors.InputError(
          'This objective would leave out the losses of the mixture of '
          'experts, which keep its router balanced. Choose '
          '--config.objective.kind=Causal, or train without them: '
          '--config.model.block.mlp.balance=0 and '
          '--config.model.block.mlp.router_z=0.')
    self.sow('losses', 'auxiliary',
             config.balance * balance + config.router_z * router_z)
    for name, values_B in dict(
        balance=balance, router_z=router_z, dropped=dropped).items():
      self.sow('metrics', name, values_B)


class _Experts(nn.Module):
  """The parameters of one device's share of the experts."""
  config: MixtureOfExperts
  policy: layers.Policy
  devices: int

  @nn.compact
  def __call__(self, width: int) -> dict[str, Any]:
    """Returns {name: (kernel, bias)}."""
    config, std = self.config, self.policy.residual_std
    count = config.num_experts // self.devices
    sizes = {'in': (width, config.hidden, None)} | (
        {'gate': (width, config.hidden, None)} if config.gated else {}) | {
            'out': (config.hidden, width, std)}
    return {name: _Weights((count, rows, columns), self.policy, config.bias,
                           init_std, name=name)()
            for name, (rows, columns, init_std) in sizes.items()}


class _Weights(nn.Module):
  """A kernel and optionally a bias for each expert, in the compute dtype."""
  shape: tuple[int, int, int]
  policy: layers.Policy
  use_bias: bool
  init_std: float | None

  @nn.compact
  def __call__(self) -> tuple[jax.Array, jax.Array | None]:
    # A `Kernel` becomes an array, since grouped products take only arrays.
    kernel_EDF = kernels.array(kernels.parameter(
        self, 'kernel', self.policy.initializer(self.init_std), self.shape),
                               self.policy.dtype)
    bias_EF = self.param(
        'bias', nn.initializers.zeros, (self.shape[0], self.shape[2])
        ) if self.use_bias else None
    return kernel_EDF, (
        None if bias_EF is None else bias_EF.astype(self.policy.dtype))


def _mixed(config: MixtureOfExperts, room: int, key: jax.Array | None,
           axis_name: str | None, weights: Any, x_BTD: jax.Array,
           logits_BTE: jax.Array, real_BT: jax.Array,
           number_BT: jax.Array | None
           ) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Returns the experts' sum for each token, and each row's losses and metrics.

  Args:
    config: The config of the mixture.
    room: The number of a row's tokens that an expert takes.
    key: Dropout key; None for no dropout.
    axis_name: The axis over whose devices the experts are divided, or None.
    weights: Parameters of this device's experts.
    x_BTD: Hidden states of the tokens.
    logits_BTE: Logits of the router.
    real_BT: False for padding.
    number_BT: The number of each token in the whole batch, for dropout.
  """
  routes = routing.route(logits_BTE, real_BT, config.top_k, config.normalize)
  network = functools.partial(_network, config, weights, key)
  dropped_B = jnp.zeros(len(x_BTD))
  if axis_name is None and room == x_BTD.shape[1]:
    y_BTD = routing.dropless(
        network, x_BTD, routes, config.num_experts, number_BT)
  else:
    if axis_name is not None:
      network = routing.exchanged(network, axis_name)
    y_BTD, dropped_B = routing.with_room(
        network, x_BTD, routes, config.num_experts, room, number_BT)
  return y_BTD, dict(
      dropped=dropped_B,
      balance=routing.balance_loss(logits_BTE, routes, real_BT),
      router_z=routing.router_z_loss(logits_BTE, real_BT))


def _on_mesh(config: MixtureOfExperts, batch: int, mix: Callable[..., Any]
             ) -> Callable[..., Any]:
  """Returns `mix` with rows, experts and hidden units divided over devices.

  A row's tokens compete for the experts' room, so each row is whole on one
  device here.
  """
  along = placement.axes('experts', config.num_experts)
  hidden = placement.axes('hidden', config.hidden)
  rows = placement.axes('whole_rows', batch) or placement.axes('rows', batch)
  spec, divided = jax.sharding.PartitionSpec, hidden or None
  columns = spec(along, None, divided), spec(along, divided)
  lies = {'in': columns, 'gate': columns,
          'out': (spec(along, divided), spec(along))}
  names = ('in', 'gate', 'out') if config.gated else ('in', 'out')

  def on_device(weights, x_BTD, *rest):
    kernel_EFD, bias_ED = weights['out']
    if bias_ED is not None:  # The devices' shares of the bias are summed.
      bias_ED /= placement.count('hidden') if hidden else 1
    with draws.divided(hidden=hidden):
      y_BTD, sown = mix(*(along or (None,)), weights | {
          'out': (kernel_EFD, bias_ED)}, x_BTD, *rest)
    return jax.lax.psum(y_BTD, hidden), sown

  return placement.mapped(
      on_device, ({name: (lies[name][0], lies[name][1] if config.bias else None)
                   for name in names}, *(spec(rows),) * 4),
      (spec(rows), spec(rows)))


def _numbers(rows, length):
  """Returns the number of each token in the whole batch, [rows, length]."""
  return draws.here('rows', rows).index_N[:, None] * length + jnp.arange(
      length, dtype=jnp.uint32)[None]


def _network(config: MixtureOfExperts, weights: Any, key: jax.Array | None,
             x: jax.Array, number: jax.Array | None = None, *,
             sizes_E: jax.Array | None = None) -> jax.Array:
  """Applies each expert to its tokens.

  Args:
    config: The config of the mixture.
    weights: {name: (kernel, bias)}.
    key: Dropout key; None for no dropout.
    x: `x_ERD`, R tokens for each expert; or `x_MD`, tokens sorted by expert,
      if `sizes_E` is given.
    number: `number_ER` or `number_M`: the number of each choice in the batch,
      for dropout.
    sizes_E: The number of sorted tokens of each expert.
  """
  def dense(name, x):
    kernel_EDF, bias_EF = weights[name]
    if sizes_E is None:
      y = jnp.einsum('ERD,EDF->ERF', x, kernel_EDF)
      return y if bias_EF is None else y + bias_EF[:, None]
    y = grouped.product(x, kernel_EDF, sizes_E)
    return y if bias_EF is None else (
        y + bias_EF[grouped.group_of(sizes_E, len(x))])

  h = layers.ACTIVATIONS[config.activation](dense('in', x))
  if config.gated:
    h *= dense('gate', x)
  if key is not None:
    choices = draws.Places(number.reshape(-1), number.size)
    with draws.divided(choices=choices):
      keep = draws.bernoulli(
          key, 1 - config.dropout, (number.size, h.shape[-1]),
          ('choices', 'hidden')).reshape(h.shape)
    h = jnp.where(keep, h / (1 - config.dropout), 0)
  return dense('out', h)


def active_parameters(params: Any, config: MixtureOfExperts) -> int:
  """Returns the number of a model's parameters that each token uses.

  Args:
    params: The model's parameters or their shapes.
    config: The config of the model's mixture.
  """
  held = sum(trees.count(leaf) for path, leaf in trees.items(params)
             if '/experts/' in path)
  return trees.count(params) - held + held * config.top_k // config.num_experts
