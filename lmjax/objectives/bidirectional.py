"""Calling models that read both ways, and refusing those that do not."""
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.nn import masks
from lmjax.nn import readout


def check(model: nn.Module, what: str) -> None:
  """Refuses a model in which no token sees what comes after it.

  Args:
    model: Any module with a `config`.
    what: The objective, as the subject of a sentence.

  Raises:
    InputError: If the model has no trait `both_ways`, or it reads another text
      as well.
  """
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
  """Refuses a model without the head of this name, of `Traits.heads`.

  Raises:
    InputError: If it has none.
  """
  if head not in model.config.traits.heads:
    raise errors.InputError(
        f'{what} needs the head model.{head}, which is off; leave '
        f'--config.model.{head}.kind at its default.')


def check_tokenizer(tokenizer: Any, what: str) -> None:
  """Refuses None, where special ids are needed.

  Raises:
    InputError: If there is no tokenizer.
  """
  if tokenizer is None:
    raise errors.InputError(
        f'{what} needs the tokenizer, for its special ids: '
        '`build(model, tokenizer)`.')


def hidden(model: nn.Module, params: Any, batch: Mapping[str, jax.Array],
           inputs_BT: jax.Array | None = None, *,
           rng: jax.Array | None = None, method: str = 'hidden') -> jax.Array:
  """Returns `x_BTD`, each token having seen all others of its segment.

  Args:
    model: A module that `models.encoder.Encoder` can stand for.
    params: Its parameters.
    batch: `inputs`, `positions`, `segments`; `types`, where there are.
    inputs_BT: What to read instead of `batch['inputs']`.
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
  """Returns what one head of the model makes of hidden states."""
  return model.apply({'params': params}, x, method=method)
