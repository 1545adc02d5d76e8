"""Labelled text in two files: one text per line, and one label per line."""
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import itertools
from typing import Literal

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks import task as task_lib

_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class ParallelFiles:
  """Pairs of files, one with the texts and one with their labels.

  Attributes:
    paths: Files and globs of the texts.
    labels: Files and globs of the labels, in the order of `paths`; each line
      is the label of the same line of text.
    rename: New names of labels: ('0=negative', '1=positive').
    second: Files and globs of the other texts, in the order of `paths`, if
      examples are pairs.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail', or
      'replace' them by U+FFFD. Lines cannot be skipped, as they belong together
      by their number.
  """
  paths: tuple[user_paths.Path, ...]
  labels: tuple[user_paths.Path, ...]
  rename: tuple[str, ...] = ()
  second: tuple[user_paths.Path, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: Literal['fail', 'replace'] = 'fail'

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line, except lines that are blank in all.

    Args:
      counts: Receives the number of repaired lines.

    Raises:
      InputError: If the numbers of files or of lines differ.
    """
    name_of = labels_lib.named(self.rename)
    counts = collections.Counter() if counts is None else counts
    found = {name: files.expand(getattr(self, name))
             for name in ('paths', 'labels', 'second')
             if name != 'second' or self.second}
    if len(set(map(len, found.values()))) > 1:
      sizes = ', '.join(f'{name} has {len(each)} files: {each}'
                        for name, each in found.items())
      raise errors.InputError(f'{sizes}; give one of each.')
    for paths in zip(*found.values()):
      for number, values in self._together(paths, counts):
        text, label, *second = values
        if ''.join(values).strip():
          where = f'{paths[0]}:{number}'
          yield task_lib.Example(text, name_of(label, where), where, *second)

  def _together(self, paths: Sequence[str], counts: collections.Counter
                ) -> Iterator[tuple[int, list[str]]]:
    """Yields (number, the line of each file with this number)."""
    for rows in itertools.zip_longest(*(
        files.lines(path, self.on_bad_text, _MAX_LINE_BYTES, counts,
                    self.encoding) for path in paths)):
      number = next(row[0] for row in rows if row is not None)
      if None in rows:
        longer = next(path for path, row in zip(paths, rows) if row)
        raise errors.InputError(
            f'{longer}:{number} has no counterpart: '
            f'{paths[rows.index(None)]} ends at line {number - 1}.')
      yield number, [line for _, line in rows]
