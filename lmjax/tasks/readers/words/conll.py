"""Tagged words in columns, one word per line, as in CoNLL's shared tasks."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import ClassVar

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.tasks.taggers import sentences

_MAX_LINE_BYTES = 1 << 20
_DOCUMENT = '-DOCSTART-'  # A line with this prefix is not a word.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Conll:
  """Files with one word per line, and a blank line after each sentence.

  Columns are separated by TABs if a line has one, and by spaces otherwise.
  Lines that begin with -DOCSTART- are ignored.

  Attributes:
    paths: Files and globs.
    word: The column with the word, from 0; from the end if negative.
    tag: The column with the tag, from 0; from the end if negative.
    comments: The prefix of comment lines, such as '#'; '' for no comments.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  word: ranges.Whole = 0
  tag: ranges.Whole = -1
  comments: str = ''
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = ('.conll', '.iob', '.bio')  # Of files read by this kind.

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Sentence]:
    """Yields the sentences.

    Args:
      counts: Receives the numbers of repaired and skipped lines.

    Raises:
      InputError: If a line lacks a column, or its word or tag is empty.
    """
    counts = collections.Counter() if counts is None else counts
    for path in files.expand(self.paths):
      words, tags, first, columns = [], [], 0, None
      for number, line in self._lines(path, counts):
        if line is None:
          if words:
            yield sentences.Sentence(
                tuple(words), tuple(tags), f'{path}:{first}')
          words, tags = [], []
          continue
        values = _values(line)
        columns = columns or (len(values), number)
        word, tag = self._of(values, f'{path}:{number}', *columns)
        first = first if words else number
        words.append(word)
        tags.append(tag)

  def _lines(self, path: str, counts: collections.Counter
             ) -> Iterator[tuple[int, str | None]]:
    """Yields (number, line) of each word, None after each sentence."""
    number = 0
    for number, line in files.lines(
        path, self.on_bad_text, _MAX_LINE_BYTES, counts, self.encoding):
      if self.comments and line.startswith(self.comments):
        continue
      is_word = line.strip() and not line.startswith(_DOCUMENT)
      yield number, line if is_word else None
    yield number, None

  def _of(self, values: list[str], where: str, count: int, line: int
          ) -> tuple[str, str]:
    """Returns the word and tag of a line, which should have `count` columns."""
    if len(values) != count:
      raise errors.InputError(
          f'{where}: {len(values)} columns, but line {line} has {count}; '
          'a line is a word, its tag and other columns, separated by TABs or '
          'spaces.')
    found = []
    for field in ('word', 'tag'):
      place = getattr(self, field)
      if not -count <= place < count:
        raise errors.InputError(
            f'{where}: there is no column {place} for the {field} among '
            f'{count} columns, counted from 0.')
      found.append(values[place].strip(' '))
      if not found[-1]:
        raise errors.InputError(f'{where}: the {field} is empty.')
    word, tag = found
    return word, tag


def _values(line: str) -> list[str]:
  if '\t' in line:
    return line.split('\t')
  return [value for value in line.split(' ') if value]
