"""Which layers of a `config.json` see only a window: lists of layer types.

A list such as ['full_attention', 'sliding_attention', ...] has one entry for
each layer. It becomes a pattern of layers, in the shortest way.
"""
from collections.abc import Sequence
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.nn import pattern

FULL, SLIDING = 'full_attention', 'sliding_attention'


def windowed(config: decoder.DecoderConfig, types: Sequence[str], window: int
             ) -> decoder.DecoderConfig:
  """Returns a config whose layers see all tokens or a window.

  Args:
    config: A config in which all layers see all tokens.
    types: The type of each layer.
    window: The window of layers with sliding attention.

  Raises:
    InputError: If there is another type, or not one for each layer.
  """
  if len(types) != config.num_layers or not set(types) <= {FULL, SLIDING}:
    raise errors.InputError(
        f'config.json: layer_types should have {FULL!r} or {SLIDING!r} for '
        f'each of the {config.num_layers} layers; got {list(types)!r}.')
  mixer = dataclasses.replace(config.block.mixer, window=window)
  local = dataclasses.replace(config.block, mixer=mixer)
  if set(types) == {SLIDING}:
    return dataclasses.replace(config, block=local)
  if set(types) == {FULL}:
    return config
  first, period = _shortest(tuple(types))
  layers = {FULL: pattern.Layer(), SLIDING: pattern.Layer(local)}
  return dataclasses.replace(config, pattern=pattern.Periodic(
      tuple(layers[each] for each in period),
      tuple(layers[each] for each in first)))


def written(config: decoder.DecoderConfig) -> tuple[list[str], int | None]:
  """Returns the types of the layers of a config, and the window of some.

  Raises:
    InputError: If layers have different windows.
  """
  windows = [layer.block.mixer.window for layer in config.arrangement.layers]
  sizes = sorted(set(windows) - {None})
  if len(sizes) > 1:
    raise errors.InputError(
        'A config.json has one window for all layers with sliding attention; '
        f'the model has the windows {", ".join(map(str, sizes))}.')
  return ([FULL if window is None else SLIDING for window in windows],
          sizes[0] if sizes else None)


def _shortest(types: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
  """Returns first layers and a period that repeats after them."""
  return min(
      ((types[:first], types[first:first + length])
       for first in range(len(types))
       for length in range(1, len(types) - first + 1)
       if all(types[place] == types[place - length]
              for place in range(first + length, len(types)))),
      key=lambda found: (len(found[0]) + len(found[1]), len(found[0])))
