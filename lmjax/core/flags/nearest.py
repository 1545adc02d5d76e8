"""Suggestions for a path that a config does not have."""
from collections.abc import Iterator
import dataclasses
import difflib
from typing import Any

from lmjax.core import config as config_lib

_Path = tuple[str, ...]
_SIMILAR = 0.6  # The smallest difflib ratio of two names that are similar.
_MANY = 3  # Up to this number, all fields with the same name are suggested.


@dataclasses.dataclass(frozen=True)
class Place:
  """A field that a config has, or would have with parts of other kinds.

  Attributes:
    path: The field's path.
    needs: The parts that have to be of another kind, each with that kind.
  """
  path: _Path
  needs: tuple[tuple[_Path, str], ...] = ()

  def flags(self) -> str:
    """Returns the flags that choose the kinds in `needs`."""
    return ' '.join(f'--config.{".".join((*path, "kind"))}={kind}'
                    for path, kind in self.needs)


def places(value: Any, hint: Any, path: _Path = (), needs=(), within=()
           ) -> Iterator[Place]:
  """Yields every field below a part, including the fields of its other kinds.

  Args:
    value: The part, or `dataclasses.MISSING`.
    hint: The part's type.
    path: The part's path.
    needs: The kinds to choose so that the part exists; see `Place`.
    within: The dataclasses around the part, which are not entered again.
  """
  if path:
    yield Place(path, needs)
  named = config_lib.kinds(hint)
  if len(named) + config_lib.optional(hint) > 1:
    yield Place((*path, 'kind'), needs)
  if isinstance(value, tuple) and config_lib.tuple_of(hint):
    items = config_lib.item_hints(config_lib.tuple_of(hint), len(value))
    for index, (item, item_hint) in enumerate(zip(value, items)):
      yield from places(item, item_hint, (*path, str(index)), needs, within)
  for name, variant in named.items():
    here = type(value) == variant
    if variant in within and not here:
      continue
    known = config_lib.hints(variant)
    for field in dataclasses.fields(variant):
      inner = getattr(value, field.name) if here else config_lib.default(field)
      yield from places(
          inner, known[field.name], (*path, field.name),
          needs if here else (*needs, (path, name)), (*within, variant))


def suggestion(path: _Path, config: Any, cls: Any) -> str:
  """Returns ' Did you mean ...?' for a path that a config does not have.

  Args:
    path: The path that the user wrote, split at its dots.
    config: The config.
    cls: Its dataclass, or the union of dataclasses that it may be.

  Returns:
    The flag of the most similar field, with the flags that choose the parts it
    belongs to; '' if no field has a similar name.
  """
  found = list(places(config, cls))
  there = sorted((place for place in found if place.path == path),
                 key=lambda place: len(place.needs))
  if there:  # Under another kind.
    owners = list(dict.fromkeys(place.needs[-1][1] for place in there
                                if len(place.needs) == len(there[0].needs)))
    return (f' It is a field of {_either(owners)}; choose it too: '
            f'{there[0].flags()}.')
  scored = {place: score for place in found
            if (score := _score(path, place.path)) is not None}
  # A field that exists comes before one that needs another kind.
  best = min(scored, key=lambda p: (len(p.needs) > 0) - scored[p], default=None)
  if best is None:
    return ''
  same = [place for place in scored
          if place.path[-1:] == path and not place.needs]
  meant = same if 1 < len(same) <= _MANY else [best]
  flags = _either([f'--config.{".".join(p.path)}' for p in meant])
  needs = f' with {best.flags()}' if best.needs else ''
  return f' Did you mean {flags}{needs}?'


def _either(words: list[str]) -> str:
  """Returns 'a', 'a or b', or 'a, b or c'."""
  *before, last = words
  return f'{", ".join(before)} or {last}' if before else last


def _score(asked: _Path, path: _Path) -> float | None:
  """Returns the similarity of a path to the one that was asked for, or None.
  """
  name, mine = asked[-1].lower(), path[-1]
  if name == mine:
    near = 3.0
  elif name in (_initials(mine), mine.replace('_', '')):  # 'lr', 'batchsize'.
    near = 2.0
  else:
    near = difflib.SequenceMatcher(None, name, mine).ratio()
    if near < _SIMILAR:
      return None
  whole = difflib.SequenceMatcher(None, '.'.join(asked), '.'.join(path))
  return near + whole.ratio()


def _initials(name: str) -> str:
  return ''.join(word[:1] for word in name.split('_'))
