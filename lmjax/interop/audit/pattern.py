"""Readings of patterns: which layers are local, and which have positions."""
import dataclasses

from lmjax.interop.audit import attention
from lmjax.nn import pattern


def _local_global(part, config, length):
  for window in attention.windows(part.window, length):
    yield 'window', dataclasses.replace(part, window=window or length)
  yield 'global_layer', dataclasses.replace(
      part, global_layer='last' if part.global_layer == 'first' else 'first')
  for every in (part.every - 1, part.every + 1, part.every * 2):
    if 2 <= every <= config.num_layers:
      yield 'every', dataclasses.replace(part, every=every)
  if part.local_positions is not None:
    yield 'local_positions', dataclasses.replace(part, local_positions=None)


def _periodic(part, config, length):
  del config, length
  if len(part.period) == 1 or any(
      layer.block is not None for layer in part.period):
    return  # Blocks of several kinds have their own parameters.
  for shift in range(1, len(part.period)):
    turned = part.period[shift:] + part.period[:shift]
    if turned != part.period:
      yield 'period', dataclasses.replace(part, period=turned)
  for layer in part.period:
    if any(layer != other for other in part.period):
      yield 'period', dataclasses.replace(
          part, period=(layer,) * len(part.period))


READINGS = {pattern.LocalGlobal: _local_global, pattern.Periodic: _periodic}
