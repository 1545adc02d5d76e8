"""Readings of the two ends of a model: embeddings and logits, and its depth."""
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.core import trees
from lmjax.interop.audit import layers
from lmjax.interop.audit import numbers
from lmjax.models import parts
from lmjax.models import xlnet

_SOFTCAP = 30.0  # Gemma 2's.


def _embed(part, config, length):
  del length
  scale = part.multiplier(config.width)
  for other in numbers.others(scale, (
      1.0, config.width ** 0.5, scale * 2, scale / 2)):
    yield 'scale', dataclasses.replace(part, scale=other)


def _head(part, config, length):
  del length
  scale = part.multiplier(config.width)
  for other in numbers.others(scale, (
      1.0, config.width ** -0.5, scale * 2, scale / 2)):
    yield 'scale', dataclasses.replace(part, scale=other)
  for softcap in numbers.others(part.softcap, (
      (_SOFTCAP,) if part.softcap is None
      else (None, part.softcap * 2, part.softcap / 2))):
    yield 'softcap', dataclasses.replace(part, softcap=softcap)


def _token_head(part, config, length):
  yield from _head(part, config, length)
  yield from layers.activations(part, config, length)


def _xlnet(part, config, length):
  yield from layers.activations(part, config, length)
  for epsilon in numbers.others(part.epsilon, layers.EPSILONS):
    yield 'epsilon', dataclasses.replace(part, epsilon=epsilon)


READINGS = {
    parts.Embed: _embed, parts.TypedEmbed: _embed, parts.Head: _head,
    parts.TokenHead: _token_head, xlnet.XLNetConfig: _xlnet}


def _tied(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """The embeddings as the output layer, although there is one in the file."""
  for field, name in (('head', 'head'), ('tokens', 'tokens')):
    head = getattr(config, field, None)
    if not isinstance(head, parts.Head) or head.tied:
      continue
    leaves = dict(trees.items(params))
    kernel_DV = leaves.pop(f'{name}/kernel')
    if kernel_DV.shape[::-1] == leaves['embed/embedding'].shape:
      yield f'{field}.tied', 'True', dataclasses.replace(
          config, **{field: dataclasses.replace(head, tied=True)}
      ), trees.nested(leaves.items())


def _depth(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Other numbers of layers, where all layers share their parameters."""
  if getattr(config, 'shared_layers', False):
    count = config.num_layers
    for other in numbers.others(count, (count - 1, count + 1, count * 2,
                                        count // 2)):
      if other >= 1:
        yield 'num_layers', str(other), dataclasses.replace(
            config, num_layers=other), params


WHOLE = (_tied, _depth)
