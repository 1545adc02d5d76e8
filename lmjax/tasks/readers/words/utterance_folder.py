"""Utterances in a folder of three files, as SNIPS and ATIS are often kept."""
import collections
from collections.abc import Iterator
import dataclasses
import os
from typing import Literal

from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.tasks.readers.texts import parallel_files
from lmjax.tasks.taggers import sentences


@dataclasses.dataclass(frozen=True)
class UtteranceFolder:
  """A folder with a file of words, one of tags and one of intents.

  A line of each file belongs to one utterance; words and tags are separated by
  spaces.

  Attributes:
    path: The folder.
    words: The name of the file with words.
    tags: The name of the file with tags.
    label: The name of the file with intents.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail', or
      'replace' them by U+FFFD.
  """
  path: user_paths.Path
  words: str = 'seq.in'
  tags: str = 'seq.out'
  label: str = 'label'
  encoding: str = 'utf-8'
  on_bad_text: Literal['fail', 'replace'] = 'fail'

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Utterance]:
    """Yields the utterances, except lines that are blank in all files.

    Args:
      counts: Receives the number of repaired lines.

    Raises:
      InputError: If the numbers of lines, or those of words and tags, differ.
    """
    words, tags, label = (os.path.join(self.path, name) for name in (
        self.words, self.tags, self.label))
    for row in parallel_files.ParallelFiles(
        (words,), (label,), second=(tags,), encoding=self.encoding,
        on_bad_text=self.on_bad_text).examples(counts):
      sentence = sentences.sentence((row.text,), row.where, row.second)
      yield sentences.Utterance(*sentence, row.label)
