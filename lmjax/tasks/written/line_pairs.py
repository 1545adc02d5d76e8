"""Sources and targets in files that belong together line by line."""
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import itertools
from typing import Literal

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.tasks.written import example

_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class LinePairs:
  """Files with a text a line; line n of one is the translation of the others'.

  Attributes:
    paths: Files and globs of the sources, plain or `.gz`.
    targets: Files and globs of the targets, in the order of `paths`.
    references: Files and globs of further references, in the order of `paths`:
      first one file for each of `paths`, then perhaps a second for each.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail', or
      'replace' them by U+FFFD. Lines cannot be skipped, as they belong together
      by their number.
  """
  paths: tuple[user_paths.Path, ...]
  targets: tuple[user_paths.Path, ...]
  references: tuple[user_paths.Path, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: Literal['fail', 'replace'] = 'fail'

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[example.Pair]:
    """Yields the pairs, line by line, except lines that are blank in all.

    Args:
      counts: Receives the numbers of repaired lines and of blank ones.

    Raises:
      InputError: If the numbers of files or of lines differ, or only one side
        of a line is blank.
    """
    counts = collections.Counter() if counts is None else counts
    sources, targets = (
        files.expand(names) for names in (self.paths, self.targets))
    more = files.expand(self.references) if self.references else []
    if len(targets) != len(sources) or len(more) % len(sources):
      raise errors.InputError(
          f'paths has {len(sources)} files {sources}, targets {len(targets)} '
          f'{targets} and references {len(more)} {more}; give a target, and '
          'as many references, for each source.')
    for number, paths in enumerate(zip(sources, targets)):
      yield from self._together(
          (*paths, *more[number::len(sources)]), counts)

  def _together(self, paths: Sequence[str], counts: collections.Counter
                ) -> Iterator[example.Pair]:
    """Yields the pairs of files."""
    for rows in itertools.zip_longest(*(
        files.lines(path, self.on_bad_text, _MAX_LINE_BYTES, counts,
                    self.encoding) for path in paths)):
      number = next(row[0] for row in rows if row is not None)
      if None in rows:
        longer = next(path for path, row in zip(paths, rows) if row)
        raise errors.InputError(
            f'{longer}:{number} has no counterpart: '
            f'{paths[rows.index(None)]} ends at line {number - 1}. The files '
            'should have the same number of lines.')
      source, *targets = (line for _, line in rows)
      if not ''.join((source, *targets)).strip():
        counts['blank lines dropped'] += 1
        continue
      yield example.pair(source, tuple(targets), f'{paths[0]}:{number}')
