"""Questions about texts from TensorFlow Datasets (TFDS)."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.core.files import user_paths
from lmjax.data.text import tfds
from lmjax.tasks.answering import passages

_FIELDS = 'question', 'context', 'answers', 'title', 'id'


@dataclasses.dataclass(frozen=True)
class TfdsAnswers:
  """A split of a TFDS data set with the features of SQuAD.

  Such sets are 'squad', 'squad/v2.0' and 'xquad/de'. Their features are
  `question`, `context`, `title`, `id` and `answers`, with `text` and
  `answer_start`.

  Attributes:
    name: The name of the data set in TFDS.
    split: A split or a slice of a split.
    data_dir: The directory of prepared data; None means TFDS's default.
    on_missing: As in `squad.Squad`.
  """
  name: str
  split: str = 'train'
  data_dir: user_paths.Path | None = None
  on_missing: passages.OnMissing = 'fail'

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[passages.Question]:
    """Yields the questions in TFDS's order; see `squad.Squad.examples`."""
    reader = tfds.Tfds(self.name, self.split, 'question', self.data_dir)
    for number, row in enumerate(reader.rows(_FIELDS)):
      where = f'{self.name} ({self.split}), row {number}'
      answers = {'text': [_text(text) for text in row['answers']['text']],
                 'answer_start': [
                     int(start) for start in row['answers']['answer_start']]}
      found = passages.question(
          row['question'], row['context'],
          passages.given_answers(answers, where), where, row['title'] or None,
          row['id'], on_missing=self.on_missing, counts=counts)
      if found is not None:
        yield found


def _text(value: Any) -> str:
  """Returns a text of a list, which TFDS gives as bytes."""
  return value.decode('utf-8') if isinstance(value, bytes) else str(value)
