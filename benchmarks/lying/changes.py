"""Changes a config.json in one field at a time."""
from collections.abc import Iterator
from typing import Any

# Values that a field could hold instead, by a part of its name; others are
# doubled and halved, or negated.
_VALUES = (
    ('theta', lambda old: [old * factor for factor in (
        1 / 50, 1 / 10, 1 / 2, 2, 10, 50)]),
    ('rotary_emb_base', lambda old: [old / 10, old / 2, old * 2, old * 10]),
    ('eps', lambda old: [1e-12, 1e-8, 1e-6, 1e-5, 1e-3]),
    ('feed_forward_proj', lambda old: [
        'relu', 'gelu', 'gated-relu', 'gated-gelu', 'gated-silu']),
    ('act', lambda old: ['gelu', 'gelu_new', 'relu', 'silu']),
    ('proj', lambda old: ['gelu', 'relu']),
    ('softcapping', lambda old: [10.0, 30.0, 50.0, None]),
    ('sliding_window', lambda old: [None, 8, 16, 32, 64, 128]),
    ('rope_scaling', lambda old: [
        {'rope_type': 'linear', 'factor': factor} for factor in (2.0, 8.0)]),
    ('layer_types', lambda old: [
        old[1:] + old[:1], ['full_attention'] * len(old)]),
    ('architectures', lambda old: [['Other']]),
    ('model_type', lambda old: ['llama', 'gpt2', 'bert', 't5']),
)


def lies(fields: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
  """Yields (field, value, config.json) with one field changed or left out."""
  for name, old in fields.items():
    for value in _others(name, old):
      if value != old or type(value) is not type(old):
        yield name, repr(value), fields | {name: value}
    yield name, 'left out', {
        other: value for other, value in fields.items() if other != name}


def _others(name, old):
  """Returns values that a field could hold instead."""
  for part, values in _VALUES:
    if part in name:
      return values(old)
  if isinstance(old, bool):
    return [not old]
  if isinstance(old, int):
    return [old * 2, old // 2, old + 1]
  if isinstance(old, float):
    return [old * 2, old / 2, 1.0] if old else [0.5]
  return [1.0] if old is None else []


def old_form(fields: dict[str, Any]) -> dict[str, Any]:
  """Returns a config.json that says nothing twice, so that one field can lie.
  """
  twice = {'rope_parameters', 'hidden_act'} if (
      'hidden_activation' in fields) else {'rope_parameters'}
  if 'rotary_emb_base' in fields:
    twice |= {'rope_theta', 'partial_rotary_factor'}
  if 'layer_types' in fields:
    twice |= {'sliding_window_pattern', 'global_attn_every_n_layers'}
  return {name: value for name, value in fields.items() if name not in twice}
