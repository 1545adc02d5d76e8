"""The training state, and one update of it."""
from collections.abc import Callable, Mapping
import functools
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import metrics as metrics_lib
from lmjax.training import averaging
from lmjax.training import guard as guard_lib

Mean = metrics_lib.Mean
# objective(params, batch, rng=key or None) -> {'loss': Mean, ...}
Objective = Callable[..., dict[str, Mean]]


@struct.dataclass
class TrainState:
  """Everything an update reads and writes.

  Attributes:
    step: Number of updates so far, int32.
    params: The parameters.
    opt_state: The state of the optimizer.
    rng: Typed key, which never changes; each step folds its number into it.
    ema: Exponential moving average of the parameters, or None.
    averaged: None, or the number of parameter trees of which `ema` is the equal
      average, see `averaging`.
    carry: Value that the objective passes from batch to batch, such as the
      states of a recurrent model, or None.
    losses: Recent losses if the guard looks for spikes, or None.
  """
  step: jax.Array
  params: Any
  opt_state: Any
  rng: jax.Array
  ema: Any = None
  averaged: jax.Array | None = None
  carry: Any = None
  losses: guard_lib.Losses | None = None


def init_state(
    params: Any, optimizer: optax.GradientTransformation, rng: jax.Array | int,
    ema: bool = False, carry: Any = None, equal: bool = False,
    guard: guard_lib.Guard = guard_lib.Guard(),
) -> TrainState:
  """Returns the state before the first step.

  The parameters are copied, since a compiled step reuses the state's memory.

  Args:
    params: Parameter tree.
    optimizer: Any optax transformation.
    rng: A key (`jax.random.key(0)`) or a seed, for dropout and other noise.
    ema: Whether to keep a moving average of the parameters.
    carry: Initial carry of an objective that has one: see `train_step`.
    equal: Whether to keep an equal average, which the `average` of `loop.fit`
      starts.
    guard: The guard that `train_step` will get.

  Raises:
    InputError: If the optimizer or the key is of another type.
  """
  if isinstance(rng, int):
    rng = jax.random.key(rng)
  elif not jnp.issubdtype(rng.dtype, jax.dtypes.prng_key):
    raise errors.InputError(
        'rng should be a typed key, from jax.random.key(seed), or a seed; got '
        f'an array of {rng.dtype}.')
  check_optimizer(optimizer)
  copy = functools.partial(jax.tree.map, jnp.array)
  params = copy(params)
  return TrainState(
      step=jnp.zeros([], jnp.int32), params=params,
      opt_state=optimizer.init(params), rng=jnp.copy(rng),
      ema=copy(params) if ema or equal else None, carry=copy(carry),
      averaged=jnp.int32(averaging.WAITING) if equal else None,
      losses=guard.memory())


def train_step(
    state: TrainState, batch: Mapping[str, jax.Array], *, objective: Objective,
    optimizer: optax.GradientTransformation, axis_name: str | None = None,
    microbatches: int = 1, ema_decay: float | None = None,
    guard: guard_lib.Guard = guard_lib.Guard(),
) -> tuple[TrainState, dict[str, Mean]]:
  """One update: differentiates the objective's loss and applies the optimizer.

  Totals and weights are summed first and divided once, so one device, many
  devices and microbatches give the same update, however tokens are distributed
  over them. If the guard finds a step bad, only the step count and the recent
  losses change.

  Args:
    state: Parameters, optimizer state and key.
    batch: Arrays whose first axis is the row.
    objective: `objective(params, batch, rng=key)` -> dict of `Mean`; the entry
      'loss' is differentiated. All devices and microbatches get the same key;
      `core.draws` draws the same numbers for a row as one device would. If the
      state has a carry, the objective is called with `carry=...` and returns
      (the dict, the carry after the batch); gradients do not flow into the
      carry.
    optimizer: An optax transformation.
    axis_name: The mapped axis if each device holds a share of the batch.
    microbatches: Parts of the batch that are processed one after another, so
      that only one part's activations are in memory.
    ema_decay: Decay rate of the moving average; None leaves it unchanged.
    guard: Decides whether a step is bad.

  Returns:
    The next state, and the objective's metrics over the whole batch with
    `grad_norm`, `tokens` (the loss's weight) and `skipped` (1 for a bad step)
    added.

  Raises:
    InputError: If rows do not divide into microbatches, the objective does not
      return a dict of means, or the state has a carry and the batch is divided
      over devices or microbatches.
  """
  gradient = _gradient(state, objective, axis_name, microbatches)
  with draws.divided(rows=axis_name):  # The same draws as on one device.
    sums = gradient(state.params, batch)
  grads, metrics, carry = _means(*sums, axis_name)
  weight = metrics['loss'].weight
  grad_norm = optax.tree.norm(grads)
  good, losses = guard.judge(
      metrics['loss'].total / _divisor(weight), grad_norm, state.losses)

  def update():
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema, averaged = state.ema, state.averaged
    if averaged is not None:
      ema, averaged = averaging.update(ema, params, averaged)
    elif ema is not None and ema_decay is not None:
      ema = optax.incremental_update(params, ema, 1 - ema_decay)
    return dict(params=params, opt_state=opt_state, ema=ema, averaged=averaged,
                carry=carry)

  old = {name: getattr(state, name) for name in (
      'params', 'opt_state', 'ema', 'averaged', 'carry')}
  state = state.replace(
      step=state.step + 1, losses=losses,
      **guard_lib.unless_bad(good, update, old))
  return state, metrics | {
      'grad_norm': Mean.of(grad_norm), 'tokens': Mean.of(weight),
      'skipped': Mean.of(jnp.logical_not(good))}


def mean_gradient(
    state: TrainState, batch: Mapping[str, jax.Array], *, objective: Objective,
    microbatches: int = 1,
) -> tuple[Any, dict[str, Mean], Any]:
  """Returns the gradient of the mean loss, the metrics and the next carry.

  The arguments are those of `train_step`.
  """
  gradient = _gradient(state, objective, None, microbatches)
  return _means(*gradient(state.params, batch), None)


def _gradient(state, objective, axis_name, microbatches):
  """Returns `gradient(params, batch)`, of sums: see `_means`."""
  rng = jax.random.fold_in(state.rng, state.step)
  if state.carry is not None and (axis_name is not None or microbatches > 1):
    raise errors.InputError(
        'A carried state belongs to the rows of whole batches, one after '
        'another on one device; with it, set training.parallel=jit and '
        'training.microbatches=1.')

  def total_loss(params, batch):
    if state.carry is None:
      metrics, carry = objective(params, batch, rng=rng), None
    else:
      metrics, carry = objective(
          params, batch, rng=rng, carry=jax.lax.stop_gradient(state.carry))
    _check_metrics(metrics)
    return metrics['loss'].total, (metrics, carry)

  return _in_parts(jax.grad(total_loss, has_aux=True), microbatches)


def _means(grads, aux, axis_name):
  """Returns the gradient of the mean loss, the metrics and the carry."""
  grads, metrics = _as_float32((grads, aux[0]))
  if axis_name is not None:  # Each device holds a share of the sums.
    grads, metrics = jax.lax.psum((grads, metrics), axis_name)
  divisor = _divisor(metrics['loss'].weight)
  return jax.tree.map(lambda g: g / divisor, grads), metrics, aux[1]


def check_optimizer(optimizer: Any) -> None:
  """Raises InputError unless an optimizer is an optax transformation."""
  if not (hasattr(optimizer, 'init') and hasattr(optimizer, 'update')):
    raise errors.InputError(
        'optimizer should be an optax transformation, such as '
        'optax.adamw(1e-3), or what the `build(params, steps)` of an '
        f"optimizer's config returns; got {type(optimizer).__name__}.")


def _check_metrics(metrics):
  """Raises InputError unless an objective has returned a dict of means."""
  found = _named(metrics)
  if isinstance(metrics, Mapping):
    wrong = [name for name, mean in metrics.items()
             if not isinstance(mean, Mean)]
    if not wrong and 'loss' in metrics:
      return
    found = (f'{_named(metrics[wrong[0]])} as {wrong[0]!r}'
             if wrong else f'only {sorted(metrics)}')
  raise errors.InputError(
      "The objective should return a dict of metrics.Mean with a 'loss', such "
      f"as {{'loss': metrics.Mean.of(losses_BT, weights_BT)}}; got {found}.")


def _named(value):
  """Returns what an object is, for messages."""
  if isinstance(value, jax.Array):
    return f'an array of shape {value.shape}'
  return f'a {type(value).__name__}'


def _divisor(weight):
  return jnp.maximum(weight, 1e-9)  # The weight is 0 if all is padding.


def _as_float32(tree):
  return jax.tree.map(functools.partial(jnp.asarray, dtype=jnp.float32), tree)


def _in_parts(gradient, parts):
  """Returns `gradient(params, batch)` computed as a sum over microbatches."""
  if parts == 1:
    return gradient

  def summed(params, batch):
    rows = jax.tree.leaves(batch)[0].shape[0]
    if parts < 1 or rows % parts:
      choices = [m for m in range(1, rows + 1) if rows % m == 0]
      raise errors.InputError(
          f'{rows} rows a device do not divide into {parts} microbatches; '
          f'microbatches can be one of {choices}.')
    # Every part has rows of all devices, if devices divide the rows.
    pieces = jax.tree.map(
        lambda x: x.reshape(rows // parts, parts, *x.shape[1:]).swapaxes(0, 1),
        batch)

    def add(sums, piece):
      index, batch = piece
      with draws.every(parts, index):
        new = _as_float32(gradient(params, batch))
      return jax.tree.map(jnp.add, sums, new), None

    first = jax.tree.map(lambda x: x[0], pieces)
    zeros = jax.tree.map(
        lambda x: jnp.zeros(x.shape, jnp.float32),
        jax.eval_shape(gradient, params, first))
    return jax.lax.scan(add, zeros, (jnp.arange(parts), pieces))[0]
  return summed
