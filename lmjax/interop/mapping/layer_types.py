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


def every(period: int, count: int) -> list[str]:
  """Returns types of layers of which the last of each period is full."""
  return [SLIDING if (i + 1) % period else FULL for i in range(count)]


def local_global(config: decoder.DecoderConfig, types: Sequence[str],
                 window: int, period: int,
                 local_positions: pattern.OwnPositions | None = None
                 ) -> decoder.DecoderConfig:
  """Returns a config with the pattern `LocalGlobal`, if the types follow it.

  Args:
    config: A config in which all layers see all tokens.
    types: The type of each layer.
    window: The window of layers with sliding attention.
    period: The usual number of layers of which one is full.
    local_positions: The positions of layers with sliding attention; None means
      as in the model.

  Raises:
    InputError: As in `windowed`.
  """
  for size in (period, *range(2, len(types) + 1)):
    if SLIDING in types and list(types) == every(size, config.num_layers):
      return dataclasses.replace(config, pattern=pattern.LocalGlobal(
          window=window, every=size, local_positions=local_positions))
  return windowed(config, types, window, local_positions)


def windowed(config: decoder.DecoderConfig, types: Sequence[str], window: int,
             local_positions: pattern.OwnPositions | None = None
             ) -> decoder.DecoderConfig:
  """Returns a config whose layers see all tokens or a window.

  Args:
    config: A config in which all layers see all tokens.
    types: The type of each layer.
    window: The window of layers with sliding attention.
    local_positions: The positions of these layers; None means as in the model.

  Raises:
    InputError: If there is another type, or not one for each layer.
  """
  if len(types) != config.num_layers or not set(types) <= {FULL, SLIDING}:
    raise errors.InputError(
        f'config.json: layer_types should have {FULL!r} or {SLIDING!r} for '
        f'each of the {config.num_layers} layers; got {list(types)!r}.')
  mixer = dataclasses.replace(config.block.mixer, window=window)
  local = dataclasses.replace(config.block, mixer=mixer)
  layers = {FULL: pattern.Layer(),
            SLIDING: pattern.Layer(local, local_positions)}
  if set(types) == {SLIDING}:  # One layer has to have the model's block.
    config = dataclasses.replace(config, block=local)
    layers[SLIDING] = pattern.Layer(positions=local_positions)
  return dataclasses.replace(
      config, pattern=repeated([layers[each] for each in types]))


def repeated(layers: Sequence[pattern.Layer]) -> pattern.Periodic | None:
  """Returns the shortest pattern with these layers; None if it needs none."""
  if set(layers) == {pattern.Layer()}:
    return None
  first, period = _shortest(tuple(layers))
  return pattern.Periodic(period, first)


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
