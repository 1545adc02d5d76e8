"""A config as text for --help: every field's flag, value and documentation."""
from collections.abc import Iterator
import dataclasses
import inspect
import re
import textwrap
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core.flags import named as named_lib
from lmjax.core.flags import values

_WIDTH = 96
_COLUMN = 44  # The column in which documentation starts.


def describe(config: Any, named: named_lib.Named, title: str) -> str:
  """Returns a config's tree as text, and the names that --config= accepts."""
  out = ['', f'--config={title} is the {type(config).__name__} below. '
         '--config.PATH=VALUE sets a field;', '--config.PATH.kind=NAME chooses '
         'another part, which comes with its own defaults:']
  out += tree(config, named.cls)
  for what, names in (('Configs', list(named.fitting())),
                      ('Presets of models (--config=preset:NAME)',
                       list(named.presets))):
    if names:
      out += ['', f'{what}:', *_wrapped(', '.join(names), '  ')]
  if named.files():
    out += ['', '--config= also accepts a Python file, FILE.py:NAME, a run '
            'directory, or its config.json.']
  return '\n'.join(out)


def tree(value: Any, hint: Any, path: str = '', doc: str = '') -> Iterator[str]:
  """Yields the lines of a part and of all fields below it.

  Args:
    value: The part, or the value of a field.
    hint: The type of `value`.
    path: The flag, without `--config.`.
    doc: The documentation of the part or field.
  """
  kinds = list(config_lib.kinds(hint))
  kinds += ['none'] * config_lib.optional(hint)
  items = value if isinstance(value, tuple) else ()
  if any(map(dataclasses.is_dataclass, items)):
    yield from _line(path, None, doc)
  elif not config_lib.kinds(hint):
    yield from _line(path, values.text(value, hint), _told(doc, value, hint))
  elif len(kinds) > 1:
    name = 'none' if value is None else type(value).__name__
    choices = ', '.join(kind for kind in kinds if kind != name)
    flag = f'{path}.kind' if path else 'kind'
    yield from _line(flag, name, f'{doc} Or: {choices}.'.strip())
  elif path:
    yield from _line(path, None, doc)
  if dataclasses.is_dataclass(value):
    hints, docs = config_lib.hints(type(value)), documentation(type(value))
    for field in dataclasses.fields(value):
      below = f'{path}.{field.name}' if path else field.name
      if not path:
        yield ''
      yield from tree(getattr(value, field.name), hints[field.name], below,
                      docs.get(field.name, ''))
  for index, item in enumerate(items):
    if dataclasses.is_dataclass(item):
      item_hint = config_lib.item_hints(
          config_lib.tuple_of(hint), len(items))[index]
      yield from tree(item, item_hint, f'{path}.{index}')


def documentation(cls: type) -> dict[str, str]:
  """Returns the first sentence about each field, from `Attributes:` sections.

  The docstrings of base classes are read too.
  """
  out = {}
  for base in reversed(cls.__mro__):
    _, _, section = inspect.cleandoc(base.__doc__ or '').partition(
        '\nAttributes:\n')
    section = re.split(r'\n(?=\S)', section)[0]  # Up to the next heading.
    for entry in re.split(r'\n(?=  \w)', '\n' + section)[1:]:
      names, colon, text = entry.partition(':')
      for name in names.split(',') if colon else ():
        out[name.strip()] = _first_sentence(' '.join(text.split()))
  return out


def _first_sentence(text: str) -> str:
  return re.split(r'(?<!\.)\.(?:\s|$)', text, maxsplit=1)[0] + '.'


def _told(doc: str, value: Any, hint: Any) -> str:
  """Returns documentation, with the accepted values if they are not obvious."""
  choices = config_lib.choices(hint)
  free = {bool, int, float, str}.intersection(config_lib.members(hint))
  if choices and not free:
    return f'{doc} One of {", ".join(map(str, choices))}.'.strip()
  if choices or value is None or value == ():
    return f'{doc} Takes {values.words(hint)}.'.strip()
  return doc


def _line(path: str, value: str | None, doc: str) -> Iterator[str]:
  left = f'  {path}' if value is None else f'  {path}={value}'
  if len(left) > _WIDTH:
    left = left[:_WIDTH - 3] + '...'
  lines = _wrapped(doc, ' ' * _COLUMN)
  if len(left) < _COLUMN - 1 and lines:
    left = left.ljust(_COLUMN) + lines.pop(0).strip()
  yield left
  yield from lines


def _wrapped(text: str, indent: str) -> list[str]:
  return textwrap.wrap(text, _WIDTH, initial_indent=indent,
                       subsequent_indent=indent, break_long_words=False,
                       break_on_hyphens=False)
