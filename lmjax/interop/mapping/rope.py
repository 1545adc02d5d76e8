"""Rotary positions in a `config.json`, in the old form and in the new one.

Until transformers 5 there were `rope_theta` and `rope_scaling`; since then
`rope_parameters`, an object, has both. Files with either form are read, and
both are written.
"""
from collections.abc import Mapping
import math
from typing import Any, TypeVar

from lmjax.core import errors
from lmjax.interop.mapping import fields as fields_lib
from lmjax.nn import positions
from lmjax.nn import rotary

T = TypeVar('T')
_NAMES = ('rope_type', 'type')  # The second is of older files.


def read(fields: fields_lib.Fields, *, theta: float = 10_000.0,
         layers: str | None = None, fraction: float | None = None,
         renamed: Mapping[str, str] | None = None) -> positions.Rotary:
  """Returns the rotary positions that a config describes.

  Args:
    fields: The fields of the config.
    theta: The base of the wavelengths if the config does not say it.
    layers: The kind of layers whose positions to return, such as
      'full_attention', if `rope_parameters` has an object for each kind.
    fraction: The rotated fraction of a head; None takes
      `partial_rotary_factor`, which is 1 by default.
    renamed: Types of scaling that the family calls by another name, with the
      usual name of each.
  """
  given = fields.take('rope_parameters', {}, dict)
  if layers is not None and layers in given:
    given = given[layers] or {}
  inner = fields_lib.Fields(given, 'config.json: rope_parameters')
  old = fields_lib.Fields(
      fields.take('rope_scaling', {}, dict), 'config.json: rope_scaling')
  old_theta = fields.number('rope_theta', theta)
  found_theta = inner.number('rope_theta', old_theta)
  if fields.has('rope_theta') and found_theta != old_theta:
    raise errors.InputError(
        f'config.json: rope_theta is {old_theta}, but '
        f'rope_parameters.rope_theta is {found_theta}; remove the wrong one.')
  part = inner.number(
      'partial_rotary_factor', fields.number('partial_rotary_factor', 1.0))
  sizes = (fields.whole('max_position_embeddings', 2048),
           fields.whole('original_max_position_embeddings', None))
  scaling = _scaling(inner, *sizes, renamed or {})
  if old.has('rope_type') or old.has('type'):
    old_scaling = _scaling(old, *sizes, renamed or {})
    if inner.has('rope_type') and scaling != old_scaling:
      raise errors.InputError(
          'config.json: rope_scaling and rope_parameters describe different '
          'scalings; remove the wrong one.')
    scaling = old_scaling
  old.finish()
  inner.finish()
  return positions.Rotary(
      theta=found_theta, scaling=scaling,
      fraction=part if fraction is None else fraction)


def write(found: positions.Rotary) -> dict[str, Any]:
  """Returns the fields for rotary positions, in both forms."""
  scaling = _fields(found.scaling)
  part = {} if found.fraction == 1.0 else {
      'partial_rotary_factor': found.fraction}
  return {
      'rope_theta': found.theta,
      'rope_scaling': scaling,
      'rope_parameters': {
          'rope_type': 'default', **(scaling or {}),
          'rope_theta': found.theta, **part},
      **part}


def _scaling(fields: fields_lib.Fields, context: int, original: int | None,
             renamed: Mapping[str, str]) -> rotary.Scaling | None:
  """Returns the scaling that an object describes; None for no scaling.

  Args:
    fields: The fields of the object.
    context: The field `max_position_embeddings` outside of it.
    original: The field `original_max_position_embeddings` outside of it.
    renamed: See `read`.
  """
  kind = next((fields.take(name) for name in _NAMES if fields.has(name)),
              'default')
  for name in _NAMES:
    fields.expect(name, kind)
  kind = renamed.get(kind, kind)
  if original is not None:
    fields.expect('original_max_position_embeddings', original, None)
    fields.default(original_max_position_embeddings=original)
  if kind == 'default':
    return None
  if kind == 'dynamic':
    # It changes texts beyond the context only, and those are refused anyway.
    fields.number('factor')
    fields.expect('original_max_position_embeddings', context, None)
    return None
  if kind == 'linear':
    return rotary.LinearScaling(fields.number('factor'))
  if kind == 'llama3':
    return rotary.Llama3Scaling(
        fields.number('factor'), fields.number('low_freq_factor'),
        fields.number('high_freq_factor'),
        fields.whole('original_max_position_embeddings'))
  if kind == 'yarn':
    fields.expect('truncate', True)
    for name in ('mscale', 'mscale_all_dim'):
      fields.expect(name, None)
    return _sharpened(fields, rotary.YarnScaling(
        fields.number('factor'),
        fields.whole('original_max_position_embeddings', context),
        fields.number('beta_fast', 32.0), fields.number('beta_slow', 1.0)))
  if kind == 'longrope':
    original = fields.whole('original_max_position_embeddings', context)
    return _sharpened(fields, rotary.LongRopeScaling(
        _factors(fields, 'short_factor'), _factors(fields, 'long_factor'),
        fields.number('factor', context / original), original))
  raise errors.InputError(
      f'config.json: the rotary positions are of type {kind!r}, but those that '
      'are read are default, dynamic, linear, llama3, longrope and yarn.')


def _sharpened(fields: fields_lib.Fields, scaling: T) -> T:
  """Returns a scaling, after checking what it multiplies the attention by."""
  usual = scaling.magnitude()
  given = fields.number('attention_factor', usual)
  if not math.isclose(given, usual, rel_tol=1e-6):  # It may be rounded.
    fields.expect('attention_factor', usual, None)
  return scaling


def _factors(fields: fields_lib.Fields, name: str) -> tuple[float, ...]:
  """Returns a field with a list of numbers."""
  found = fields.take(name, kind=list)
  if not all(isinstance(each, (int, float)) for each in found):
    raise errors.InputError(
        f'config.json: {name} should be a list of numbers; got {found}.')
  return tuple(map(float, found))


def _fields(scaling: rotary.Scaling | None) -> dict[str, Any] | None:
  """Returns the object that describes a scaling."""
  match scaling:
    case None:
      return None
    case rotary.LinearScaling():
      return {'rope_type': 'linear', 'factor': scaling.factor}
    case rotary.Llama3Scaling():
      return {'rope_type': 'llama3', 'factor': scaling.factor,
              'low_freq_factor': scaling.low_factor,
              'high_freq_factor': scaling.high_factor,
              'original_max_position_embeddings': scaling.original_context}
    case rotary.YarnScaling():
      return {'rope_type': 'yarn', 'factor': scaling.factor,
              'beta_fast': scaling.fast_turns, 'beta_slow': scaling.slow_turns,
              'original_max_position_embeddings': scaling.original_context}
    case rotary.LongRopeScaling():
      return {'rope_type': 'longrope', 'factor': scaling.factor,
              'short_factor': list(scaling.short),
              'long_factor': list(scaling.long),
              'original_max_position_embeddings': scaling.original_context}
  raise errors.InputError(
      f'A config.json has no form for {type(scaling).__name__} in '
      'model.positions.')
