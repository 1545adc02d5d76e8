"""Labelled text in two files: one text per line, and one label per line."""
import collections
from collections.abc import Iterator
import dataclasses
import itertools

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import files
from lmjax.tasks.readers import columns
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
  """
  paths: tuple[user_paths.Path, ...]
  labels: tuple[user_paths.Path, ...]
  rename: tuple[str, ...] = ()

  def examples(self) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line, except lines that are blank in both.

    Raises:
      InputError: If the numbers of files or of lines differ.
    """
    name_of = columns.renamed(self.rename)
    texts, labels = (files.expand(x) for x in (self.paths, self.labels))
    if len(texts) != len(labels):
      raise errors.InputError(
          f'paths has {len(texts)} files and labels {len(labels)}: {texts}, '
          f'{labels}; give one for each.')
    for path, other in zip(texts, labels):
      for text, label in itertools.zip_longest(_lines(path), _lines(other)):
        if text is None or label is None:
          longer, shorter, (number, _) = (
              (other, path, label) if text is None else (path, other, text))
          raise errors.InputError(
              f'{longer}:{number} has no counterpart: {shorter} ends at line '
              f'{number - 1}.')
        if text[1].strip() or label[1].strip():
          yield task_lib.Example(
              text[1], name_of(label[1]), f'{path}:{text[0]}')


def _lines(path: str) -> Iterator[tuple[int, str]]:
  return files.lines(path, 'fail', _MAX_LINE_BYTES, collections.Counter())
