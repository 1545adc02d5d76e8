"""The API reference: one page per room of lmjax, from the docstrings."""
import dataclasses
import pathlib
import re

import lmjax

FOLDER = 'reference'
_OF_FLAX = ('setup', 'parent', 'name')  # Of every module; not documented.
PACKAGE = pathlib.Path(lmjax.__file__).parent
ROOMS = (  # From the leaves up: each imports only those before it.
    'core', 'nn', 'data', 'models', 'objectives', 'generation', 'parallel',
    'training', 'checkpoints', 'run', 'evaluation', 'tasks', 'interop',
    'experiment', 'recipes', 'planning', 'testing')


def modules(room: str) -> list[str]:
  """Returns the names of a room's modules that have a docstring."""
  paths = [*(PACKAGE / room).rglob('*.py'), PACKAGE / f'{room}.py']
  return sorted(
      '.'.join(('lmjax', *path.relative_to(PACKAGE).with_suffix('').parts)
               ).removesuffix('.__init__')
      for path in paths if path.is_file() and path.read_text().strip())


def write(folder: pathlib.Path) -> None:
  """Writes a page for each room, and their index."""
  folder.mkdir(exist_ok=True)
  pages = {'index': '\n'.join([
      '# API reference', '',
      'Generated from the docstrings; each room imports only rooms above it.',
      '', '```{toctree}', ':maxdepth: 1', *ROOMS, '```', ''])}
  for room in ROOMS:
    pages[room] = f'# lmjax.{room}\n'
    for name in modules(room):
      heading = f'\n## {name}\n' if name != f'lmjax.{room}' else ''
      pages[room] += (
          f'{heading}\n```{{eval-rst}}\n.. automodule:: {name}\n```\n')
  for name, text in pages.items():
    path = folder / f'{name}.md'
    if not path.exists() or path.read_text() != text:  # Else it is rebuilt.
      path.write_text(text)


def as_restructured_text(app, what, name, obj, options, lines):
  """Turns a docstring, which is plain text with code in backticks, into RST.

  Indented paragraphs of a module's docstring are commands or code.
  """
  del app, name, obj, options
  found, literal = [], False
  for i, line in enumerate(lines):
    indented = what == 'module' and line.startswith('  ')
    if indented and not literal and not (i and lines[i - 1]):
      found += ['::', '']
    literal = indented or literal and not line
    found.append(line if literal or '>>>' in line else _escaped(line))
  lines[:] = found


def _escaped(line):
  """Escapes characters that mean markup outside of backticks."""
  parts = re.split(r'(`[^`]*`)', line)
  parts[::2] = [re.sub(r'([*|]|_(?=\W|$))', r'\\\1', part)
                for part in parts[::2]]
  parts[2::2] = [re.sub(r'^(?=\w)', r'\\ ', part) for part in parts[2::2]]
  return ''.join(parts)


def signature(app, what, name, obj, options, args, result):
  """Shows the fields of a dataclass, without the fields of their defaults.

  The types of fields are shown beside their documentation.
  """
  del app, what, name, options
  if not dataclasses.is_dataclass(obj) or not isinstance(obj, type):
    return args, result
  shown = []
  for field in dataclasses.fields(obj):
    value = field.default
    if field.init and field.name not in _OF_FLAX:
      shown.append(field.name + (
          f'={type(value).__name__}()' if dataclasses.is_dataclass(value)
          else f'={value!r}' if value is not dataclasses.MISSING
          else '' if field.default_factory is dataclasses.MISSING else '=...'))
  return f'({", ".join(shown)})', None


def skip(app, what, name, obj, skipped, options):
  """Leaves out methods that Flax and dataclasses write."""
  del app, what, obj, options
  return skipped or name in _OF_FLAX
