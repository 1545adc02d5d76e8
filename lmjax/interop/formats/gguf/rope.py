"""Rotary positions in a GGUF file: values, and tensors of factors.

Llama 3's scaling and LongRoPE are stored as the factor by which the wavelength
of each pair of dimensions is longer.
"""
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats.gguf import keys as keys_lib

LLAMA3 = 'rope_freqs.weight'
LONG, SHORT = 'rope_factors_long.weight', 'rope_factors_short.weight'
TENSORS = LLAMA3, LONG, SHORT
_THETA = 10_000.0  # What llama.cpp takes if a file does not say it.
_LOW, _HIGH, _CONTEXT = 1.0, 4.0, 8192  # Of all published Llama 3 models.


def read(keys: keys_lib.Keys, tensors: tensors_lib.Tensors, size: int
         ) -> dict[str, Any]:
  """Returns the fields `rope_theta` and `rope_scaling` of a config.json.

  Args:
    keys: The values of the architecture.
    tensors: The tensors of the file.
    size: The number of rotated dimensions of a head.
  """
  theta = keys.take('rope.freq_base', 'real', _THETA)
  original = keys.take('rope.scaling.original_context_length', 'whole')
  factor = keys.take(
      'rope.scaling.factor', 'real', keys.take('rope.scale_linear', 'real'))
  kind = keys.take(  # As llama.cpp, which takes a factor alone for linear.
      'rope.scaling.type', 'text', 'none' if factor is None else 'linear')
  keys.take('rope.scaling.finetuned', 'truth')
  if LLAMA3 in tensors:
    if factor is not None and kind != 'none':
      raise ValueError(
          f'its rotary positions are scaled by {LLAMA3} and by a factor of '
          f'{factor:g} on top, for which a config.json has no form')
    scaling = _llama3(tensors[LLAMA3].read(), theta, size)
  elif LONG in tensors or SHORT in tensors:
    scaling = _long(tensors, size)  # Most files do not say the type.
    keys.take('rope.scaling.attn_factor', 'real')  # Follows from the contexts.
  elif kind == 'linear':
    scaling = {'rope_type': kind, 'factor': _need(factor)}
  elif kind == 'yarn':
    scaling = {'rope_type': kind, 'factor': _need(factor)}
    if original is not None:
      scaling['original_max_position_embeddings'] = original
    for key, field in ('yarn_beta_fast', 'beta_fast'), (
        'yarn_beta_slow', 'beta_slow'):
      if (found := keys.take(f'rope.scaling.{key}', 'real')) is not None:
        scaling[field] = found
  elif kind == 'none':
    scaling = None
  else:
    raise ValueError(f'its rotary positions have the unknown scaling {kind!r}')
  fields = {'rope_theta': theta, 'rope_scaling': scaling}
  if original is not None and LONG in tensors:
    fields['original_max_position_embeddings'] = original
  return fields


def write(config: Mapping[str, Any], size: int
          ) -> tuple[dict[str, tuple[str, Any]], dict[str, np.ndarray]]:
  """Returns the values, as (kind, value) by key, and the tensors of factors.

  Args:
    config: A config.json, in the old form or in that of transformers 5.
    size: The number of rotated dimensions of a head.
  """
  new = parameters(config)
  theta = new.get('rope_theta', config.get(
      'rope_theta', config.get('rotary_emb_base', _THETA)))
  scaling = config.get('rope_scaling') or new
  kind = scaling.get('rope_type', scaling.get('type', 'default'))
  values = {'rope.freq_base': ('real', theta)}
  original = scaling.get('original_max_position_embeddings',
                         config.get('original_max_position_embeddings'))
  if kind in ('linear', 'yarn'):
    values['rope.scaling.type'] = 'text', kind
    values['rope.scaling.factor'] = 'real', scaling['factor']
  elif kind not in ('default', 'llama3', 'longrope', 'su'):
    raise ValueError(f'rotary positions of type {kind!r} have no form in GGUF')
  if kind in ('yarn', 'longrope', 'su') and original is not None:
    values['rope.scaling.original_context_length'] = 'whole', original
  for key, field in ('yarn_beta_fast', 'beta_fast'), (
      'yarn_beta_slow', 'beta_slow'):
    if kind == 'yarn' and field in scaling:
      values[f'rope.scaling.{key}'] = 'real', scaling[field]
  if kind == 'llama3':
    return values, {LLAMA3: _factors(
        theta, size, scaling['factor'], scaling['low_freq_factor'],
        scaling['high_freq_factor'], original)}
  if kind in ('longrope', 'su'):
    values['rope.scaling.type'] = 'text', 'longrope'
    if original and config['max_position_embeddings'] > original:
      values['rope.scaling.attn_factor'] = 'real', np.sqrt(
          1 + np.log(config['max_position_embeddings'] / original)
          / np.log(original))
    return values, {
        LONG: np.asarray(scaling['long_factor'], np.float32),
        SHORT: np.asarray(scaling['short_factor'], np.float32)}
  return values, {}


def parameters(config: Mapping[str, Any], layers: str = 'full_attention'
               ) -> Mapping[str, Any]:
  """Returns the field `rope_parameters`, or its part for a kind of layers."""
  found = config.get('rope_parameters') or {}
  return found.get(layers) or found


def _need(factor: float | None) -> float:
  if factor is None:
    raise ValueError('its rotary positions are scaled, but by no factor')
  return factor


def _llama3(found: np.ndarray, theta: float, size: int
            ) -> dict[str, Any] | None:
  """Returns the scaling whose factors were found; None if all are one."""
  if found.shape != (size // 2,):
    raise ValueError(
        f'{LLAMA3} should have the shape {(size // 2,)}, but has {found.shape}')
  factor = float(found.max())
  if np.array_equal(found, np.ones_like(found)):
    return None
  expected = _factors(theta, size, factor, _LOW, _HIGH, _CONTEXT)
  if not np.allclose(found, expected, rtol=1e-4, atol=0):
    raise ValueError(
        f'{LLAMA3} is not the scaling of Llama 3 by {factor:g} with factors '
        f'{_LOW:g} and {_HIGH:g} of a context of {_CONTEXT}; pair '
        f'{np.abs(found - expected).argmax()} differs most')
  return {'rope_type': 'llama3', 'factor': factor, 'low_freq_factor': _LOW,
          'high_freq_factor': _HIGH,
          'original_max_position_embeddings': _CONTEXT}


def _factors(theta, size, factor, low, high, context) -> np.ndarray:
  """Returns the factors of Llama 3's scaling, for each pair of dimensions."""
  turns = context / (2 * np.pi) * theta ** (-np.arange(0, size, 2) / size)
  smooth = np.clip((turns - low) / (high - low), 0, 1)
  return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def _long(tensors, size) -> dict[str, Any]:
  """Returns LongRoPE's scaling."""
  scaling = {'rope_type': 'longrope'}
  for name, field in (LONG, 'long_factor'), (SHORT, 'short_factor'):
    if name not in tensors or tensors[name].shape != (size // 2,):
      raise ValueError(
          f'it should have the tensors {LONG} and {SHORT} of the shape '
          f'{(size // 2,)}')
    scaling[field] = [float(str(each)) for each in tensors[name].read()]
  return scaling
