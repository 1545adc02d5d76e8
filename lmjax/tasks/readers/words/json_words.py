"""Tagged words in JSON lines: each has a list of words and a list of tags."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Any, ClassVar

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.tasks.taggers import sentences


@dataclasses.dataclass(frozen=True)
class JsonWords:
  """JSON lines, each an object with the words of a sentence and their tags.

  Attributes:
    paths: Files and globs.
    words: The field with the list of words.
    tags: The field with the list of tags.
    names: The tag of each number, such as ('O', 'B-person'), if the list has
      numbers; () if the list has tags.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  words: str = 'tokens'
  tags: str = 'tags'
  names: tuple[str, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Sentence]:
    """Yields the sentences, except empty ones.

    Args:
      counts: Receives the numbers of repaired and skipped lines.

    Raises:
      InputError: If a field is not a list of words or tags, or the numbers of
        tags and words differ.
    """
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(
          path, self.on_bad_text, counts, self.encoding):
        found = self.sentence(row, where)
        if found is not None:
          yield found

  def sentence(self, row: dict[str, Any], where: str
               ) -> sentences.Sentence | None:
    """Returns the sentence of an object; None if it has no words."""
    words = _strings(row, self.words, where)
    tags = (self._named(row, where) if self.names
            else _strings(row, self.tags, where))
    return sentences.tagged(words, tags, where) if words or tags else None

  def _named(self, row: dict[str, Any], where: str) -> tuple[str, ...]:
    """Returns the tags of a row from their numbers."""
    numbers = json_lines.value(row, self.tags, where)
    known = range(len(self.names))
    if not isinstance(numbers, list) or not all(
        type(number) is int and number in known for number in numbers):
      raise errors.InputError(
          f'{where}: field {self.tags!r} should be a list of numbers from 0 to '
          f'{len(self.names) - 1}, one for each of names; got {numbers!r:.60}.')
    return tuple(self.names[number] for number in numbers)


def _strings(row: dict[str, Any], field: str, where: str) -> tuple[str, ...]:
  """Returns a field that should be a list of words."""
  found = json_lines.value(row, field, where)
  if not isinstance(found, list) or not all(
      isinstance(item, str) and item.strip() for item in found):
    raise errors.InputError(
        f'{where}: field {field!r} should be a list of words; got '
        f'{found!r:.60}. If tags are numbers, name them: names=O,B-person.')
  return tuple(found)
