"""Calls models that read both ways, and checks that a model does."""
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.nn import masks
from lmjax.nn import modules
from lmjax.nn import readout


def check(model: nn.Module, what: str) -> None:
  """Checks that each token of the model sees the tokens on both sides of it.

  Args:
    model: Any module with a `config`.
    what: Name of the objective, the subject of the error's sentence.

  Raises:
    InputError: If the model lacks the trait `both_ways`, or reads a second
      text (`reads_source`).
  """
  modules.check(model)
  if model.config.traits.reads_source:
    raise errors.InputError(
        f'{what} needs a model of one text, and {type(model).__name__} has an '
        'encoder and a decoder: choose --config.model.kind=EncoderConfig; for '
        'this model, choose --config.objective.kind=Seq2Seq with a '
        '--config.data.corruption.')
  if not model.config.traits.both_ways:
    raise errors.InputError(
        f'{what} needs a model that reads both ways, and '
        f'{type(model).__name__} as configured does not: choose '
        '--config.model.kind=EncoderConfig, or DecoderConfig with '
        '--config.model.causal=False; for this model, choose '
        '--config.objective.kind=Causal.')


def check_head(model: nn.Module, head: str, what: str) -> None:
  """Checks that the model has a head of this name in `Traits.heads`.

  Raises:
    InputError: If it has none.
  """
  if head not in model.config.traits.heads:
    raise errors.InputError(
        f'{what} needs the head model.{head}, which is off; leave '
        f'--config.model.{head}.kind at its default.')


def check_tokenizer(tokenizer: Any, what: str) -> None:
  """Checks that there is a tokenizer to take special ids from.

  Raises:
    InputError: If the tokenizer is None.
  """
  if tokenizer is None:
    raise errors.InputError(
        f'{what} needs the tokenizer, for its special ids: '
        '`build(model, tokenizer)`.')


def hidden(model: nn.Module, params: Any, batch: Mapping[str, jax.Array],
           inputs_BT: jax.Array | None = None, *,
           rng: jax.Array | None = None, method: str = 'hidden') -> jax.Array:
  """Returns hidden states, `x_BTD`; tokens see all others of their segment.

  Args:
    model: A module with the interface of `models.encoder.Encoder`.
    params: Its parameters.
    batch: `inputs`, `positions` and `segments`, optionally `types`, [B, T].
    inputs_BT: The ids to read; None reads `batch['inputs']`.
    rng: Key for dropout; None evaluates, without dropout.
    method: The method of the model that returns hidden states.
  """
  x_BTD, _ = model.apply(
      {'params': params}, batch['inputs'] if inputs_BT is None else inputs_BT,
      masks.make(batch['positions'], batch['segments'], causal=False),
      **readout.typed(model, batch.get('types')), train=rng is not None,
      rngs=None if rng is None else {'dropout': rng}, method=method)
  return x_BTD


def head(model: nn.Module, params: Any, x: jax.Array, method: str) -> jax.Array:
  """Returns the output of one head of the model for hidden states."""
  return model.apply({'params': params}, x, method=method)
