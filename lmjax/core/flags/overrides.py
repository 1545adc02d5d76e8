"""Changes to a config as pairs of path and value, applied by a pure function.

Flags, notebooks and tests change a tree of frozen dataclasses by

  override(config, {'optimizer.kind': 'Lion', 'optimizer.learning_rate': 3e-4})

The kind of a part is chosen before its fields are set, from the outside in, and
each dataclass is built once, with all its changes. The metadata of a field may
name fields that it implies unless they are changed too, as in

  mesh: str | None = dataclasses.field(
      default=None, metadata={'implies': {'parallel': 'mesh'}})
"""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, TypeVar

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import nearest
from lmjax.core.flags import values
from lmjax.core import ranges

T = TypeVar('T')
_WHOLE = None  # The key of a value given to the path itself.


def override(config: T, changes: Mapping[str, Any], cls: Any = None, *,
             names: Mapping[str, str] | None = None,
             tell: Callable[[str], None] | None = None) -> T:
  """Returns a config with some of its fields changed.

  `a.kind` chooses the dataclass of the part `a`, with its own defaults. Values
  of the previous part are kept only if it has that kind already. A part without
  a value that can be of one kind only is of that kind. A part that reads no
  files becomes the kind that reads the files `a.paths`, if their names end as
  the `endings` of one kind say. `a.0.b` is a field of
  the first item of a tuple; the index after the last item appends one.

  Args:
    config: A tree of frozen dataclasses.
    changes: {path: value}. A value is either text, which `values.parse` reads
      as the field's type, or a value of that type.
    cls: The dataclass, or union of dataclasses, that the config may be; by
      default its current class.
    names: {path: its name in messages}; the default name is `config.path`.
    tell: Function called with a sentence for every part that is replaced by
      another kind; the sentence lists the new part's defaults.

  Raises:
    InputError: If a field, kind or item is unknown (the message suggests the
      nearest), a value has the wrong type, or a dataclass rejects its fields.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Adam:
    ...   rate: float = 1e-3
    >>> @dataclasses.dataclass(frozen=True)
    ... class Run:
    ...   steps: int = 10
    ...   optimizer: Adam = Adam()
    >>> override(Run(), {'steps': '1e6', 'optimizer.rate': 0.1})
    Run(steps=1000000, optimizer=Adam(rate=0.1))
  """
  cls = type(config) if cls is None else cls
  tree: dict[str | None, Any] = {}
  for path, value in changes.items():
    node = tree
    for part in path.split('.'):
      node = node.setdefault(part, {})
    node[_WHOLE] = value
  return _Edit(config, cls, names or {}, tell or _silent).value(
      config, cls, tree, ())


def _silent(sentence: str) -> None:
  """Ignores the sentence."""


@dataclasses.dataclass(frozen=True)
class _Edit:
  """One call of `override`.

  Attributes:
    root: The config before the changes.
    cls: The type that the config may have.
    names: The names of paths in messages.
    tell: Function called with a sentence for every part that is replaced.
  """
  root: Any
  cls: Any
  names: Mapping[str, str]
  tell: Callable[[str], None]

  def name(self, path: tuple[str, ...]) -> str:
    """Returns the name of a path in messages."""
    dotted = '.'.join(path)
    return self.names.get(dotted, f'config.{dotted}' if path else 'config')

  def value(self, old: Any, hint: Any, change: dict[str | None, Any],
            path: tuple[str, ...]) -> Any:
    """Returns the new value of a field.

    Args:
      old: The field's value before, or `dataclasses.MISSING`.
      hint: The field's type.
      change: The changes at and below the field's path, as a tree.
      path: The field's path.
    """
    if _WHOLE in change:
      old = self.whole(change[_WHOLE], hint, path)
    below = {key: node for key, node in change.items() if key != _WHOLE}
    if not below:
      return old
    if kind := _of_files(old, hint, below):
      below['kind'] = {_WHOLE: kind}
    if 'kind' in below and config_lib.kinds(hint):
      return self.chosen(old, hint, below, path)
    if dataclasses.is_dataclass(old):
      fields = self.fields(type(old), _values(old), below, path)
      ranges.check(type(old), fields, lambda name: self.name((*path, name)))
      return dataclasses.replace(old, **fields)
    if config_lib.tuple_of(hint) and (
        isinstance(old, tuple) or not config_lib.kinds(hint)):
      return self.items(old, config_lib.tuple_of(hint), below, path)
    named = config_lib.kinds(hint)
    if len(named) == 1 and old is dataclasses.MISSING:  # No choice to make.
      return self.chosen(old, hint, {'kind': {_WHOLE: next(iter(named))}}
                         | below, path)
    if named:
      self.refuse_unchosen(old, hint, path)
    raise self.unknown(self.name(path), path, below)

  def whole(self, value: Any, hint: Any, path: tuple[str, ...]) -> Any:
    """Returns the value that is given to the path itself."""
    if isinstance(value, str):
      return values.parse(value, hint, self.name(path))
    return config_lib.freeze(hint, value, self.name(path))

  def chosen(self, old, hint, change, path):
    """Returns a part of the kind that was chosen."""
    kind = change['kind'].get(_WHOLE)
    rest = {key: node for key, node in change.items() if key != 'kind'}
    if set(change['kind']) != {_WHOLE}:
      raise self.unknown(self.name((*path, 'kind')), (*path, 'kind'),
                         change['kind'])
    if values.is_none(str(kind)) and config_lib.optional(hint):
      return self.value(None, hint, rest, path)
    variant = config_lib.kind_of(hint, kind, self.name(path))
    if type(old) == variant:  # The part has this kind: keep its values.
      return self.value(old, hint, rest, path)
    fields = self.fields(variant, _defaults(variant), rest, path)
    new = config_lib.build(variant, fields, self.name(path))
    if path:
      self.tell(_introduced(new, '.'.join(path), rest))
    return new

  def fields(self, variant, before, change, path):
    """Returns {name: new value} of the fields of a dataclass that change."""
    known = config_lib.hints(variant)
    for name in change:
      if name not in known:
        raise self.unknown(
            variant.__name__, path, {name: change[name]}, known)
    change = _implied(variant, change) | change
    return {name: self.value(before.get(name, dataclasses.MISSING),
                             known[name], node, (*path, name))
            for name, node in change.items()}

  def items(self, old, hint, change, path):
    """Returns a tuple with some items changed or appended."""
    items = list(old) if isinstance(old, tuple) else []
    for key in change:
      if not key.isdecimal():
        raise self.unknown('a list', path, {key: change[key]})
    for key in sorted(change, key=int):
      index, here = int(key), (*path, key)
      allowed = config_lib.item_hints(hint, min(index, len(items)) + 1)
      if index > len(items) or index >= len(allowed):
        raise errors.InputError(
            f'{self.name(here)}: {self.name(path)} has {len(items)} items'
            + (f'; the next is {self.name((*path, str(len(items))))}.'
               if len(allowed) > len(items) else '.'))
      if index == len(items):
        items.append(dataclasses.MISSING)
      items[index] = self.value(
          items[index], allowed[index], change[key], here)
    return tuple(items)

  def refuse_unchosen(self, old, hint, path):
    """Raises InputError: the part is none or has no kind yet."""
    named, name = config_lib.kinds(hint), self.name(path)
    state = 'is none' if old is None else 'has no kind yet'
    raise errors.InputError(
        f'{name} {state}, so its fields cannot be set; choose its kind too: '
        f'{config_lib.choosing(f"--{name}", named)}.')

  def unknown(self, owner, path, change, known=()):
    """Returns the error for the first path in `change`, below `path`."""
    short = next(key for key in change if key != _WHOLE)
    whole, node = (*path, short), change[short]
    while deeper := [key for key in node if key != _WHOLE]:
      whole, node = (*whole, deeper[0]), node[deeper[0]]
    hint = nearest.suggestion(whole, self.root, self.cls)
    if not hint and known:
      hint = f' Its fields are {", ".join(known)}.'
    return errors.InputError(
        f'{self.name((*path, short))} is not a field of {owner}.{hint}')


def _of_files(old: Any, hint: Any, change: dict[str | None, Any]
              ) -> str | None:
  """Returns the only kind that reads files of these names, or None.

  Args:
    old: The part before; it keeps its kind if it has `paths`.
    hint: The part's type. Its kinds may have the endings of their files' names
      as `endings`.
    change: The changes of the part's fields.
  """
  if 'kind' in change or not change.get('paths') or (
      dataclasses.is_dataclass(old) and hasattr(old, 'paths')):
    return None
  paths = change['paths'].get(_WHOLE)
  if isinstance(paths, str):
    paths = values.parse(paths, tuple[str, ...], 'paths')
  names = [str(path).removesuffix('.gz') for path in paths or ()]
  fit = [name for name, kind in config_lib.kinds(hint).items()
         if names and all(each.endswith(tuple(getattr(kind, 'endings', ())))
                          for each in names)]
  return fit[0] if len(fit) == 1 else None


def _values(part: Any) -> dict[str, Any]:
  return {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}


def _defaults(variant: type) -> dict[str, Any]:
  return {f.name: config_lib.default(f) for f in dataclasses.fields(variant)}


def _implied(variant: type, change: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the changes that others imply by their fields' metadata."""
  return {name: {_WHOLE: value} for field in dataclasses.fields(variant)
          for name, value in field.metadata.get('implies', {}).items()
          if not values.is_none(str(change.get(field.name, {}).get(_WHOLE)))}


def _introduced(part: Any, path: str, given: Mapping[str, Any]) -> str:
  """Returns a sentence that names a new part and its defaults."""
  told = [f'{name} {values.text(value)}'
          for name, value in _values(part).items()
          if name not in given and isinstance(value, (str, int, float))]
  if len(told) > 6:
    told[6:] = ['...']
  listed = f' ({", ".join(told)})' if told else ''
  return f'{path}: {type(part).__name__} with its own defaults{listed}.'
