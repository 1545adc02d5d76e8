"""Utterances in JSON lines: words, their tags, and an intent."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import ClassVar

from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.tasks.readers.texts import labels
from lmjax.tasks.readers.words import json_words
from lmjax.tasks.taggers import sentences


@dataclasses.dataclass(frozen=True)
class JsonUtterances:
  """JSON lines, each an object with a list of words, their tags, and an intent.

  Attributes:
    paths: Files and globs.
    words: The field with the list of words.
    tags: The field with the list of tags.
    label: The field with the intent.
    rename: New names of intents: ('0=play', '1=stop').
    names: The tag of each number, if tags are numbers; see `JsonWords`.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  words: str = 'tokens'
  tags: str = 'tags'
  label: str = 'label'
  rename: tuple[str, ...] = ()
  names: tuple[str, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Utterance]:
    """Yields the utterances, except those without words.

    Args:
      counts: Receives the numbers of repaired and skipped lines.

    Raises:
      InputError: If a field is missing or malformed, or the numbers of tags and
        words differ.
    """
    name_of = labels.named(self.rename)
    reader = json_words.JsonWords(
        self.paths, self.words, self.tags, self.names)
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(
          path, self.on_bad_text, counts, self.encoding):
        sentence = reader.sentence(row, where)
        if sentence is not None:
          label = name_of(json_lines.value(row, self.label, where), where)
          yield sentences.Utterance(*sentence, label)
