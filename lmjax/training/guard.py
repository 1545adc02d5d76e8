"""Guarded updates: a step whose numbers are bad changes nothing.

A NaN or infinite loss or gradient, or a loss far above the recent ones where
that is asked for, leaves parameters and optimizer state as they were, bit by
bit; the step is counted and the run goes on with the next batch.
"""
from collections.abc import Callable
import dataclasses
import math
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Spike:
  """Which finite losses are too far above the recent ones.

  Attributes:
    threshold: A loss is a spike where it lies more than so many standard
      deviations above the median of the window; deviations are taken from the
      median absolute deviation, which a few spikes do not move.
    window: How many losses of the past count. Spikes count too, so that a level
      that the loss has reached for good becomes the usual one; what is not
      finite never does.
    at_least: How many losses must have been seen before one is a spike.
  """
  threshold: float = 6.0
  window: int = 64
  at_least: int = 16

  def __post_init__(self):
    if not self.threshold > 0:
      raise errors.InputError(
          f'Spike.threshold should be above 0; got {self.threshold}.')
    if not 2 <= self.at_least <= self.window:
      raise errors.InputError(
          'Spike needs 2 <= at_least <= window; got at_least='
          f'{self.at_least}, window={self.window}.')

  def memory(self) -> 'Losses':
    """Returns what is remembered before the first step."""
    return Losses(jnp.full((self.window,), jnp.nan), jnp.int32(0))

  def judge(self, loss: jax.Array, memory: 'Losses'
            ) -> tuple[jax.Array, 'Losses']:
    """Returns whether a finite loss is a spike, and the memory with it."""
    # NaN marks the places that are still empty; the scale 1.4826 makes the
    # median absolute deviation that of a normal distribution.
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
  """The last finite losses.

  Attributes:
    losses: float32 [window], the oldest overwritten first; NaN where none yet.
    seen: int32, how many there have been.
  """
  losses: jax.Array
  seen: jax.Array


@dataclasses.dataclass(frozen=True)
class Guard:
  """When an update is left out, and when that has happened too often.

  Attributes:
    max_bad_steps: Bad steps one after another that end the run.
    spike: Which finite losses are bad as well; None: none.
  """
  max_bad_steps: int = 5
  spike: Spike | None = None

  def __post_init__(self):
    if self.max_bad_steps < 1:
      raise errors.InputError(
          'guard.max_bad_steps should be at least 1; got '
          f'{self.max_bad_steps}.')

  def memory(self) -> Losses | None:
    """Returns what a state remembers for it."""
    return self.spike and self.spike.memory()

  def judge(self, loss: jax.Array, grad_norm: jax.Array,
            memory: Losses | None) -> tuple[jax.Array, Losses | None]:
    """Returns whether a step is good, and the memory after it."""
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
  """Returns the tree `update()` after a good step, else `old`, bit by bit.

  On a CPU by a conditional: a selection of leaves reads every old array once
  more and keeps some of them alive, which costs 2% of a small model's step and
  the memory of its parameters twice. Elsewhere by that selection, which is part
  of the update's own passes over the arrays: of a conditional a GPU writes all
  results beside the state, as large as that, after it has waited for the host
  to see which branch it is.
  """
  return jax.lax.platform_dependent(
      cpu=lambda: jax.lax.cond(good, update, lambda: old),
      default=lambda: _selected(good, update, old))


def _selected(good, update, old):
  return jax.tree.map(
      lambda new, old: jax.lax.select(
          jnp.broadcast_to(good, new.shape), new, old), update(), old)


def reason(loss: float, grad_norm: float) -> str:
  """Returns what was wrong with a step that was left out."""
  for name, value in ('loss', loss), ('gradient norm', grad_norm):
    if not math.isfinite(value):
      return f'its {name} is {value:g}'
  return f'its loss {loss:g} is a spike'
