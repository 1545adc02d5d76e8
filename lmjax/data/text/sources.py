"""Sources of text: configs that yield documents."""
import collections
from collections.abc import Iterator
import dataclasses
import hashlib
from typing import Any, ClassVar, Literal

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data import documents
from lmjax.data.text import corpora
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.data.text import kinds

_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Embedded(documents.Source):
  """A corpus that comes with CPython.

  Attributes:
    name: 'python-docs', its documentation, or 'python-stdlib', its source code.
  """
  name: Literal['python-docs', 'python-stdlib'] = 'python-docs'

  def __post_init__(self):
    if self.name not in corpora.CORPORA:
      raise errors.InputError(
          f'Embedded.name is {self.name!r}; choose from '
          f'{sorted(corpora.CORPORA)}.'
          f'{config.near(self.name, corpora.CORPORA)}')

  def fingerprint(self) -> dict[str, Any]:
    return corpora.fingerprint(self.name)

  def contents(self) -> dict[str, str]:
    found = self.fingerprint()
    return {self.name: f'Python {found["python"]}, sha {found["sizes"][:12]}'}

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    del counts
    return corpora.CORPORA[self.name]()


@dataclasses.dataclass(frozen=True)
class InMemory(documents.Source):
  """Texts in memory, for notebooks and tests.

  Attributes:
    texts: The documents.
  """
  texts: tuple[str, ...]

  def __post_init__(self):
    if isinstance(self.texts, str):
      raise errors.InputError(
          'InMemory.texts is a single str; give a list of documents: [text].')
    object.__setattr__(self, 'texts', tuple(self.texts))

  def fingerprint(self) -> dict[str, Any]:
    sha = hashlib.sha256()
    for text in self.texts:
      raw = text.encode('utf-8', errors='surrogatepass')
      sha.update(b'%d:' % len(raw) + raw)
    return {'texts': len(self.texts), 'sha256': sha.hexdigest()}

  def describe(self) -> str:
    return f'InMemory({len(self.texts)} texts)'

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    del counts
    return iter(self.texts)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class TextFiles(documents.Source):
  """Text files in UTF-8, plain or `.gz`.

  Attributes:
    paths: Files and globs.
    split_on: The unit of a document: a 'file', a 'line', or a 'paragraph'
      (lines up to a blank line, joined by line breaks).
    on_bad_text: How to handle bytes that are not UTF-8: 'fail', 'replace' them
      by U+FFFD, or 'skip' their lines. Repaired and skipped lines are counted.
    max_line_bytes: Lines with more bytes are bad text too, unless documents are
      files.
  """
  paths: tuple[user_paths.Path, ...]
  split_on: Literal['file', 'line', 'paragraph'] = 'file'
  on_bad_text: files.OnBadText = 'fail'
  max_line_bytes: ranges.Count = _MAX_LINE_BYTES

  endings: ClassVar = ('.txt', '.md')  # Of files that are surely of this kind.

  def fingerprint(self) -> dict[str, Any]:
    return config.to_dict(self) | {'files': files.fingerprint(self.paths)}

  def contents(self) -> dict[str, str]:
    return files.contents(self.paths)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    paths = files.expand(self.paths)
    kinds.check_plain(paths)
    for path in paths:
      if self.split_on == 'file':
        yield files.read(path, self.on_bad_text, counts)
        continue
      lines = (line for _, line in files.lines(
          path, self.on_bad_text, self.max_line_bytes, counts))
      yield from lines if self.split_on == 'line' else _paragraphs(lines)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class JsonLines(documents.Source):
  """JSON lines, plain or `.gz`: each line is an object with one document.

  Attributes:
    paths: Files and globs.
    field: The key of the text in the object.
    on_bad_text: As in `TextFiles`; lone surrogates are bad text as well.
    max_line_bytes: Lines with more bytes are bad text too.
  """
  paths: tuple[user_paths.Path, ...]
  field: str = 'text'
  on_bad_text: files.OnBadText = 'fail'
  max_line_bytes: ranges.Count = _MAX_LINE_BYTES

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def fingerprint(self) -> dict[str, Any]:
    return config.to_dict(self) | {'files': files.fingerprint(self.paths)}

  def contents(self) -> dict[str, str]:
    return files.contents(self.paths)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    for path in files.expand(self.paths):
      for number, line in files.lines(
          path, self.on_bad_text, self.max_line_bytes, counts):
        if not line.strip():
          continue
        where = f'{path}:{number}'
        text = json_lines.repaired(
            json_lines.text(json_lines.loads(line, where), self.field, where),
            self.field, where, self.on_bad_text, counts)
        if text is not None:
          yield text


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
  paragraph = []
  for line in lines:
    if line.strip():
      paragraph.append(line)
    elif paragraph:
      yield '\n'.join(paragraph)
      paragraph = []
  if paragraph:
    yield '\n'.join(paragraph)
