"""Guarded updates: a bad step leaves parameters and optimizer state unchanged.

A step is bad if its loss or gradient is NaN or infinite or, with `Spike`, if
its loss is far above the recent ones. Its update is skipped, so that parameters
and optimizer state stay the same bit for bit; the step is counted, and the run
continues with the next batch.
"""
from collections.abc import Callable
import dataclasses
import math
from typing import Annotated, Any

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Spike:
  """Decides which finite losses are spikes, far above the recent losses.

  Attributes:
    threshold: Standard deviations above the median of the window at which a
      loss becomes a spike. The deviation is estimated from the median absolute
      deviation, which a few spikes hardly change.
    window: Number of recent losses to compare with. It includes spikes, so that
      a lasting new level of the loss becomes normal, but no loss that is not
      finite.
    at_least: Number of losses that must have been seen before one is a spike.
  """
  threshold: ranges.Positive = 6.0
  window: ranges.Count = 64
  at_least: Annotated[int, ranges.Range(2)] = 16

  def __post_init__(self):
    if self.at_least > self.window:
      raise errors.InputError(
          'Spike needs at_least <= window; got at_least='
          f'{self.at_least}, window={self.window}.')

  def memory(self) -> 'Losses':
    """Returns the empty memory before the first step."""
    return Losses(jnp.full((self.window,), jnp.nan), jnp.int32(0))

  def judge(self, loss: jax.Array, memory: 'Losses'
            ) -> tuple[jax.Array, 'Losses']:
    """Returns whether a loss is a spike, and the memory with the loss added."""
    # NaN marks empty places. The factor 1.4826 turns the median absolute
    # deviation of a normal distribution into its standard deviation.
    median = jnp.nanmedian(memory.losses)
    spread = 1.4826 * jnp.nanmedian(jnp.abs(memory.losses - median))
    least = 1e-3 * jnp.abs(median)
    limit = median + self.threshold * jnp.maximum(spread, least)
    is_spike = (memory.seen >= self.at_least) & (loss > limit)
    place = memory.seen % self.window
    kept = memory.losses.at[place].set(loss)
    finite = jnp.isfinite(loss)
    return is_spike, Losses(
        jnp.where(finite, kept, memory.losses), memory.seen + finite)


@struct.dataclass
class Losses:
  """The most recent finite losses.

  Attributes:
    losses: float32 [window], a ring buffer; NaN marks empty places.
    seen: int32, the number of finite losses so far.
  """
  losses: jax.Array
  seen: jax.Array


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Guard:
  """Decides which updates are skipped and how many skips end the run.

  Attributes:
    max_bad_steps: Number of consecutive bad steps that end the run.
    spike: Rule that makes large finite losses bad too; None accepts them.
  """
  max_bad_steps: ranges.Count = 5
  spike: Spike | None = None

  def memory(self) -> Losses | None:
    """Returns the initial memory for the training state, or None."""
    return self.spike and self.spike.memory()

  def judge(self, loss: jax.Array, grad_norm: jax.Array,
            memory: Losses | None) -> tuple[jax.Array, Losses | None]:
    """Returns whether a step is good, and the updated memory."""
    good = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    if self.spike is None:
      return good, memory
    if memory is None:
      raise errors.InputError(
          'guard.spike needs a memory of losses: pass the guard to init_state.')
    is_spike, memory = self.spike.judge(
        jnp.where(good, loss, jnp.nan), memory)
    return good & ~is_spike, memory


def unless_bad(good: jax.Array, update: Callable[[], Any], old: Any) -> Any:
  """Returns the tree `update()` after a good step, otherwise exactly `old`.

  On a CPU it uses a conditional. Selecting leaf by leaf would read every old
  array once more and keep some of them alive, which costs 2% of a small model's
  step and twice the memory of its parameters. On other platforms it selects
  leaf by leaf, which XLA fuses with the update's passes over the arrays. A
  conditional would make a GPU wait until the host has read the branch, and
  write the results beside the state, into as much memory again.
  """
  return jax.lax.platform_dependent(
      cpu=lambda: jax.lax.cond(good, update, lambda: old),
      default=lambda: _selected(good, update, old))


def _selected(good, update, old):
  return jax.tree.map(
      lambda new, old: jax.lax.select(
          jnp.broadcast_to(good, new.shape), new, old), update(), old)


def reason(loss: float, grad_norm: float) -> str:
  """Returns why a step with this loss and gradient norm is bad."""
  for name, value in ('loss', loss), ('gradient norm', grad_norm):
    if not math.isfinite(value):
      return f'its {name} is {value:g}'
  return f'its loss {loss:g} is a spike'
