"""Frozen dataclasses as experiment configs, edited by absl flags.

A config is a tree of frozen dataclasses. A field may be a union of variants,
each with its own parameters; `kind` names the variant. `editable` turns the
tree into a ConfigDict whose leaves flags can set, `freeze` turns it back and
validates it:

  --config.model.num_layers=4
  --config.data.source.kind=TextFiles '--config.data.source.paths=*.txt'
"""
import dataclasses
import difflib
import json
import math
import types
import typing
from typing import Any, TypeVar

from ml_collections import config_dict

from lmjax.core import errors

T = TypeVar('T')
_WAS = 'was'  # Key of the variant that an editable node started from.


def _members(hint: Any) -> tuple[Any, ...]:
  """Returns the types a hint admits: those of a union, or itself."""
  is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
  return typing.get_args(hint) if is_union else (hint,)


def _variants(hint: Any) -> dict[str, type]:
  """Returns the dataclasses a hint admits, by name; 'none' where it may be."""
  found = {m.__name__: m for m in _members(hint) if dataclasses.is_dataclass(m)}
  if found and type(None) in _members(hint):
    found['none'] = type(None)
  return found


def _hints(cls: type) -> dict[str, Any]:
  """Returns the type of each field of a dataclass."""
  hints = typing.get_type_hints(cls)
  return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _leaf_type(hint: Any) -> type:
  """Returns the plain type with which a flag for this hint is parsed."""
  member = next(m for m in _members(hint) if m is not type(None))
  origin = typing.get_origin(member)
  if origin is typing.Literal:
    return type(typing.get_args(member)[0])
  return origin or member


def editable(config: Any, hint: Any = None) -> config_dict.ConfigDict:
  """Returns the dataclass `config` as a ConfigDict, for flags to edit.

  Args:
    config: A dataclass instance, or None under an optional `hint`.
    hint: The field's type. The fields of all its variants are present, empty,
      so that flags can choose another `kind` and set its parameters.
  """
  hint = type(config) if hint is None else hint
  kind = 'none' if config is None else type(config).__name__
  out = config_dict.ConfigDict({'kind': kind})
  if len(_variants(hint)) > 1:  # So that another kind drops what it replaces.
    out[_WAS] = dumps(config)
  if config is not None:
    for name, member in _hints(type(config)).items():
      value = getattr(config, name)
      if _variants(member):
        value = editable(value, member)
      elif value is None:  # Typed, so that a flag can still give it a value.
        value = config_dict.placeholder(_leaf_type(member))
      out[name] = value
  for variant in _variants(hint).values():
    if variant is type(None):
      continue
    for name, member in _hints(variant).items():
      if name not in out and _variants(member):
        out[name] = editable(None, member)
        out[name].kind = ''  # Until chosen: the variant's own default.
      elif name not in out:
        out[name] = config_dict.placeholder(_leaf_type(member))
  return out


def freeze(cls: type[T], tree: Any, path: str = 'config') -> T:
  """Returns `tree` as a `cls`, the inverse of `editable`.

  Args:
    cls: The dataclass, or union of dataclasses, to build.
    tree: What `editable` returned, edited, or what `to_dict` returned.
    path: How messages name the root.

  Raises:
    InputError: On an unknown field or kind (the nearest name is suggested), a
      value of the wrong type, or whatever the dataclass itself refuses.
  """
  variants = _variants(cls)
  if not hasattr(tree, 'items') or 'kind' not in tree:
    raise errors.InputError(
        f'{path} should be an object with a kind, one of {sorted(variants)}; '
        f'got {tree!r:.60}.')
  kind = tree['kind']
  if not isinstance(kind, str) or kind not in variants:
    raise errors.InputError(
        f'{path}.kind is {kind!r}; choose from {sorted(variants)}.'
        f'{near(kind, variants)}')
  variant, kwargs = variants[kind], {}
  hints = {} if kind == 'none' else _hints(variant)
  is_edited = isinstance(tree, config_dict.ConfigDict) and _WAS in tree
  was = json.loads(tree[_WAS]) if is_edited else None
  for key, value in tree.items():
    if key in ('kind', _WAS):
      continue
    if key not in hints and (_unset(value) or _as_was(value, was, key)):
      continue
    if key not in hints:
      raise errors.InputError(
          f'{path}.{key} is not a field of {kind}.{near(key, hints)}')
    if _variants(hints[key]):
      if hasattr(value, 'items') and value.get('kind') == '':
        continue
      if value is None and type(None) not in _members(hints[key]):
        continue
      if value is not None:
        value = freeze(hints[key], value, f'{path}.{key}')
    elif value is None and type(None) not in _members(hints[key]):
      continue  # Never set: the dataclass has a default, or says what it lacks.
    else:
      value = _checked(value, hints[key], f'{path}.{key}')
    kwargs[key] = value
  if kind == 'none':
    return None
  missing = [f.name for f in dataclasses.fields(variant)
             if f.name not in kwargs and f.default is dataclasses.MISSING
             and f.default_factory is dataclasses.MISSING]
  if missing:
    raise errors.InputError(
        f'{path} ({kind}) needs a value for {", ".join(missing)}: '
        f'--{path}.{missing[0]}=...')
  return variant(**kwargs)


def near(name: str, choices: Any) -> str:
  """Returns ' Did you mean ...?' for the nearest choice, or nothing."""
  close = difflib.get_close_matches(str(name), [str(c) for c in choices], 1)
  return f' Did you mean {close[0]!r}?' if close else ''


def _unset(value: Any) -> bool:
  """Whether an editable value was left alone in a variant not chosen."""
  if hasattr(value, 'items'):
    return all(_unset(v) for k, v in value.items() if k not in ('kind', _WAS))
  return value is None


def _as_was(value: Any, was: Any, key: str) -> bool:
  """Whether a value of the replaced variant is still what it was."""
  if not was or key not in was:
    return False
  if hasattr(value, 'items'):
    return True
  return to_dict(value) == was[key]


def _checked(value: Any, hint: Any, path: str) -> Any:
  """Returns a leaf as the type its hint asks for, or says what it should be."""
  members = _members(hint)
  if value is None and type(None) in members:
    return None
  for member in members:
    origin = typing.get_origin(member)
    if origin is typing.Literal:
      if value in typing.get_args(member):
        return value
    elif origin is tuple or member is tuple:
      if isinstance(value, (tuple, list)):
        return tuple(tuple(v) if isinstance(v, list) else v for v in value)
      if isinstance(value, str):  # A flag that names a single item.
        return (value,)
    elif member is float and isinstance(value, (int, float)):
      if not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    elif isinstance(value, member) and not (
        isinstance(value, bool) and member is int):
      return value
  choices = [c for m in members if typing.get_origin(m) is typing.Literal
             for c in typing.get_args(m)]
  wanted = ' or '.join(repr(c) for c in choices) or ' or '.join(
      getattr(m, '__name__', str(m)) for m in members)
  raise errors.InputError(
      f'{path} should be {wanted}; got {value!r}.{near(value, choices)}')


def to_dict(config: Any) -> Any:
  """Returns a config as plain JSON types, each dataclass with its `kind`."""
  if dataclasses.is_dataclass(config):
    fields = {f.name: to_dict(getattr(config, f.name))
              for f in dataclasses.fields(config)}
    return {'kind': type(config).__name__} | fields
  if isinstance(config, (tuple, list)):
    return [to_dict(v) for v in config]
  return config


def dumps(config: Any) -> str:
  """Returns a config as indented JSON text; `freeze(cls, loads)` reads it."""
  return json.dumps(to_dict(config), indent=2) + '\n'


def leaves(tree: Any, path: str = '') -> dict[str, Any]:
  """Returns a nested dict flattened to {'model.width': 128, ...}."""
  if not isinstance(tree, dict):
    return {path: tree}
  out = {}
  for key, value in tree.items():
    out |= leaves(value, f'{path}.{key}' if path else key)
  return out


def difference(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
  """Returns {field: (old value, new value)} for the leaves that differ."""
  old, new = leaves(to_dict(old)), leaves(to_dict(new))
  return {key: (old.get(key), new.get(key)) for key in old | new
          if old.get(key) != new.get(key)}


def define_flag(default: Any) -> Any:
  """Defines --config and --config.a.b; returns the absl flag's holder.

  Args:
    default: Path of a config file, or the config itself.
  """
  from ml_collections import config_flags  # Only scripts need it.
  if dataclasses.is_dataclass(default):
    return config_flags.DEFINE_config_dict('config', editable(default))
  return config_flags.DEFINE_config_file(
      'config', str(default), 'File of the experiment; --config.a.b=value '
      'changes a leaf of it, --config.a.kind=Name exchanges a part.')
