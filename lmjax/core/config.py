"""Experiment configs as frozen dataclasses: their types, and their JSON.

A config is a tree of frozen dataclasses. The type of a field may be a union of
dataclasses, called its kinds, each with its own parameters; in JSON the key
`kind` names the chosen one. `overrides` changes fields of a config, and
`config_flags` does so from the command line.
"""
from collections.abc import Iterator
import dataclasses
import difflib
import json
import math
import types
import typing
from typing import Any, TypeVar

from lmjax.core import errors
from lmjax.core import ranges

T = TypeVar('T')


def members(hint: Any) -> tuple[Any, ...]:
  """Returns the types that a hint admits: a union's members, or the hint."""
  is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
  return typing.get_args(hint) if is_union else (hint,)


def optional(hint: Any) -> bool:
  """Returns whether a hint admits None."""
  return type(None) in members(hint)


def kinds(hint: Any) -> dict[str, type]:
  """Returns the dataclasses that a hint admits, by name.

  Raises:
    TypeError: If two of them have the same name, which would make `kind`
      ambiguous.
  """
  found = [m for m in members(hint) if dataclasses.is_dataclass(m)]
  named = {m.__name__: m for m in found}
  if len(named) < len(found):
    raise TypeError(f'Kinds of one field need names of their own: {hint}.')
  return named


def hints(cls: type) -> dict[str, Any]:
  """Returns the type of each field of a dataclass.

  Raises:
    TypeError: If a field is called `kind`, which names the dataclass itself.
  """
  found = typing.get_type_hints(cls)
  if 'kind' in found:
    raise TypeError(f'{cls.__name__} has a field called kind; rename it.')
  return {field.name: found[field.name] for field in dataclasses.fields(cls)}


def tuple_of(hint: Any) -> Any:
  """Returns the tuple type a hint admits, such as tuple[str, ...], or None."""
  return next((m for m in members(hint) if typing.get_origin(m) is tuple), None)


def item_hints(hint: Any, length: int) -> tuple[Any, ...]:
  """Returns the types of a tuple's items.

  Args:
    hint: The tuple's type, such as tuple[str, ...] or tuple[int, float].
    length: The number of items; ignored if the type fixes it.
  """
  args = typing.get_args(hint)
  return args[:1] * length if args[-1] is ... else args


def choices(hint: Any) -> tuple[Any, ...]:
  """Returns the values of the Literal types that a hint admits."""
  return tuple(value for member in members(hint)
               if typing.get_origin(member) is typing.Literal
               for value in typing.get_args(member))


def default(field: dataclasses.Field) -> Any:
  """Returns the default of a field, `dataclasses.MISSING` if it has none."""
  if field.default_factory is not dataclasses.MISSING:
    return field.default_factory()
  return field.default


def freeze(cls: type[T], tree: Any, path: str = 'config') -> T:
  """Returns `tree` as a `cls`, every value checked against its type.

  Args:
    cls: The dataclass, union of dataclasses, or other type to build.
    tree: A config, or the output of `to_dict`, possibly read back from JSON.
    path: The name of the root in messages.

  Raises:
    InputError: If a field or kind is unknown (the message suggests the nearest
      name), a value has the wrong type, or the dataclass rejects its values.
  """
  if tree is None and optional(cls):
    return None
  if dataclasses.is_dataclass(tree):
    variant, named = type(tree), kinds(cls)
    if variant not in named.values():
      raise errors.InputError(
          f'{path} is a {variant.__module__}.{variant.__qualname__}; choose '
          f'from {sorted(named)}.{near(variant.__name__, named)}')
    fields = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}
    return build(variant, _fields(variant, fields, path), path)
  if isinstance(tree, dict) and 'kind' in tree and kinds(cls):
    variant = kind_of(cls, tree['kind'], path)
    fields = {key: value for key, value in tree.items() if key != 'kind'}
    return build(variant, _fields(variant, fields, path), path)
  if isinstance(tree, (tuple, list)) and tuple_of(cls):
    wanted = item_hints(tuple_of(cls), len(tree))
    if len(wanted) != len(tree):
      raise errors.InputError(
          f'{path} should hold {len(wanted)} values; got {tree!r:.60}.')
    return tuple(freeze(hint, value, f'{path}.{index}')
                 for index, (hint, value) in enumerate(zip(wanted, tree)))
  if kinds(cls):
    raise errors.InputError(
        f'{path} should be an object with a kind, one of {sorted(kinds(cls))}; '
        f'got {tree!r:.60}.')
  return _leaf(cls, tree, path)


def kind_of(hint: Any, kind: Any, path: str) -> type:
  """Returns the dataclass that a hint admits under the name `kind`.

  Raises:
    InputError: If there is none; the message suggests the nearest name.
  """
  named = kinds(hint)
  if not isinstance(kind, str) or kind not in named:
    names = sorted(named) + ['none'] * optional(hint)
    raise errors.InputError(
        f'{path}.kind is {kind!r}; choose from {names}.{near(kind, names)}')
  return named[kind]


def _fields(variant: type, fields: dict[str, Any], path: str) -> dict[str, Any]:
  known = hints(variant)
  for name in fields:
    if name not in known:
      raise errors.InputError(
          f'{path}.{name} is not a field of {variant.__name__}.'
          f'{near(name, known)}')
  return {name: freeze(known[name], value, f'{path}.{name}')
          for name, value in fields.items()}


def build(variant: type[T], fields: dict[str, Any], path: str) -> T:
  """Returns `variant(**fields)`.

  Raises:
    InputError: If a field without a default is missing; the message gives the
      flag that sets its value, or its kind. If a number is outside its range.
  """
  missing = [f.name for f in dataclasses.fields(variant)
             if f.name not in fields and default(f) is dataclasses.MISSING]
  if not missing:
    ranges.check(variant, fields, lambda field: f'{path}.{field}')
    return variant(**fields)
  asks = f'{path} ({variant.__name__}) needs a value for {", ".join(missing)}: '
  hint, flag = hints(variant)[missing[0]], f'--{path}.{missing[0]}'
  if tuple_of(hint) and kinds(item_hints(tuple_of(hint), 1)[0]):
    hint, flag = item_hints(tuple_of(hint), 1)[0], f'{flag}.0'
  named = kinds(hint)
  if len(named) == 1:  # Nothing to choose: ask for what that kind lacks.
    build(next(iter(named.values())), {}, flag.removeprefix('--'))
  raise errors.InputError(
      asks + (f'{choosing(flag, named)}.' if named else f'{flag}=...'))


def choosing(flag: str, named: dict[str, type]) -> str:
  """Returns the flag that chooses a kind of a part, and the other choices."""
  others = f', or another of {sorted(named)}' if len(named) > 1 else ''
  return f'{flag}.kind={next(iter(named))}{others}'


def near(name: str, choices: Any) -> str:
  """Returns ' Did you mean ...?' with the nearest choice, or ''."""
  close = difflib.get_close_matches(str(name), [str(c) for c in choices], 1)
  return f' Did you mean {close[0]!r}?' if close else ''


def _leaf(hint: Any, value: Any, path: str) -> Any:
  """Returns a leaf as a type that its hint admits; raises InputError if none.
  """
  if value in choices(hint):
    return value
  for member in members(hint):
    if member is float and isinstance(value, (int, float)):
      if not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    elif isinstance(member, type) and isinstance(value, member) and not (
        isinstance(value, bool) and member is int):
      return value
  named = [repr(choice) for choice in choices(hint)]
  free = [str(m) if typing.get_args(m) else m.__name__ for m in members(hint)
          if typing.get_origin(m) is not typing.Literal
          and not (named and m is type(None))]
  wanted = ' or '.join(named + free)
  raise errors.InputError(
      f'{path} should be {wanted}; got {value!r}.{near(value, choices(hint))}')


def to_dict(config: Any) -> Any:
  """Returns a config as JSON types; a dataclass is a dict with its `kind`."""
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


def parts(config: Any) -> Iterator[Any]:
  """Yields a config and all configs below it."""
  if dataclasses.is_dataclass(config):
    yield config
    for field in dataclasses.fields(config):
      yield from parts(getattr(config, field.name))
  elif isinstance(config, tuple):
    for item in config:
      yield from parts(item)


def leaves(tree: Any, path: str = '') -> dict[str, Any]:
  """Returns a nested dict flattened to {'model.width': 128, ...}.

  A list of configs is flattened too, to 'sources.0.paths'; other lists are
  leaves.
  """
  if isinstance(tree, list) and tree and all(
      isinstance(item, dict) and 'kind' in item for item in tree):
    tree = {str(index): item for index, item in enumerate(tree)}
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
