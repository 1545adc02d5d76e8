"""Texts that come with every CPython, so that a first run needs no download."""
from collections.abc import Iterator
import hashlib
import os
import pathlib
import platform
import sysconfig
from typing import Any

from lmjax.core import errors

# Not the library itself: tests, generated grammars of lib2to3, pip packages.
_SKIPPED = frozenset({
    'test', 'tests', 'idle_test', 'site-packages', 'dist-packages',
    '__pycache__', 'lib2to3'})


def python_docs() -> Iterator[str]:
  """Yields the pages of the language reference: English, about 0.5 to 0.8 MB.

  They are the pages of `help('topics')`, in the order of their names.
  """
  topics = _topics()
  for name in sorted(topics):
    yield topics[name]


def python_stdlib() -> Iterator[str]:
  """Yields the modules of the standard library: source code, about 13 MB."""
  for path in _modules():
    yield path.read_text(encoding='utf-8', errors='replace')


def fingerprint(name: str) -> dict[str, Any]:
  """Returns the identity of an embedded corpus, which differs by Python."""
  if name == 'python-docs':
    entries = [(key, len(text)) for key, text in sorted(_topics().items())]
  else:
    entries = [(path.parts[-2:], path.stat().st_size) for path in _modules()]
  sha = hashlib.sha256(repr(entries).encode()).hexdigest()
  return {'name': name, 'python': platform.python_version(), 'sizes': sha}


CORPORA = {'python-docs': python_docs, 'python-stdlib': python_stdlib}


def _topics() -> dict[str, str]:
  try:
    from pydoc_data import topics
  except ImportError:
    raise errors.InputError(
        "This Python has no pydoc_data, the text of 'python-docs'; use "
        'TextFiles, or a Python with its full standard library.') from None
  return topics.topics


def _modules() -> list[pathlib.Path]:
  root = pathlib.Path(sysconfig.get_path('stdlib'))
  paths = []
  for folder, folders, names in os.walk(root):
    folders[:] = [name for name in folders if name not in _SKIPPED]
    paths += [pathlib.Path(folder, name) for name in names
              if name.endswith('.py')]
  if not paths:
    raise errors.InputError(
        f"There is no source code in {str(root)!r}, so 'python-stdlib' is "
        'empty here; use TextFiles.')
  return sorted(paths)
