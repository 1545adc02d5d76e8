"""Readings of positions: wavelengths, pairs of dimensions, offsets, kinds."""
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.interop.audit import numbers
from lmjax.nn import positions
from lmjax.nn import rotary

_FACTORS = (1 / 50, 1 / 10, 1 / 5, 1 / 2, 2, 5, 10, 50)
_FRACTIONS = (1.0, 0.75, 0.5, 0.4, 0.25)
_SCALINGS = (
    rotary.LinearScaling(2.0), rotary.LinearScaling(4.0),
    rotary.LinearScaling(8.0), rotary.NTKScaling(4.0), rotary.YarnScaling(),
    rotary.Llama3Scaling())
_OFFSETS = (0, 1, 2)  # 2 is for RoBERTa, OPT and BART.
_KINDS = (  # Kinds that have no parameters.
    positions.NoPositions(), positions.Rotary(), positions.Alibi(),
    positions.Sinusoidal())


def _rotary(part, config, length):
  del length
  for factor in _FACTORS:
    yield 'theta', dataclasses.replace(part, theta=part.theta * factor)
  size = config.block.mixer.size(config.width)
  for fraction in numbers.others(part.fraction, (
      *_FRACTIONS, part.fraction / 2, min(1.0, part.fraction * 2))):
    turned = int(size * fraction)
    if turned and turned % 2 == 0 and turned != int(size * part.fraction):
      yield 'fraction', dataclasses.replace(part, fraction=fraction)
  yield 'interleaved', dataclasses.replace(
      part, interleaved=not part.interleaved)
  turned = int(size * part.fraction)
  for scaling in _scalings(part.scaling):
    # The base of NTK's wavelengths needs two pairs of dimensions.
    if turned > 2 or not isinstance(scaling, rotary.NTKScaling):
      yield 'scaling', dataclasses.replace(part, scaling=scaling)


def _scalings(scaling):
  """Yields other ways to extend the context than `scaling`."""
  if scaling is not None:
    yield None
    for factor in (scaling.factor / 2, scaling.factor * 2):
      yield dataclasses.replace(scaling, factor=factor)
  for other in _SCALINGS:
    if type(other) is not type(scaling):
      yield other if scaling is None else dataclasses.replace(
          other, factor=scaling.factor)


def _sinusoidal(part, config, length):
  del config, length
  for factor in _FACTORS:
    yield 'theta', dataclasses.replace(part, theta=part.theta * factor)


def _relative(part, config, length):
  del config, length
  for distance in (part.max_distance // 2, part.max_distance * 2):
    if distance > part.num_buckets // 2:
      yield 'max_distance', dataclasses.replace(part, max_distance=distance)


READINGS = {
    positions.Rotary: _rotary, positions.Sinusoidal: _sinusoidal,
    positions.Relative: _relative}


def _offset(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Other rows of learned positions for the first token."""
  learned = _positions(config)
  if not isinstance(learned, positions.Learned):
    return
  for offset in _OFFSETS:
    if offset != learned.offset:
      yield 'positions.offset', str(offset), dataclasses.replace(
          config, positions=positions.Learned(offset),
          # The table has `context + offset` rows.
          context=config.context + learned.offset - offset), params


def _kind(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Other kinds of positions, where there are no parameters of positions."""
  current = _positions(config)
  if type(current) not in map(type, _KINDS):
    return
  size = config.block.mixer.size(config.width)
  for kind in _KINDS:
    if type(kind) is type(current) or (
        isinstance(kind, positions.Rotary) and size % 2):
      continue
    changed = dataclasses.replace(config, positions=kind)
    yield 'positions', type(kind).__name__, changed, params


def _positions(config):
  """Returns the positions of a Transformer, or None for other models."""
  return config.positions if config.traits.blocks and (
      config.traits.attends) else None


WHOLE = (_offset, _kind)
