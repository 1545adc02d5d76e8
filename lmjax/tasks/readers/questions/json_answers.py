"""Questions about texts in JSON lines."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import ClassVar

from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.tasks.answering import passages


@dataclasses.dataclass(frozen=True)
class JsonAnswers:
  """JSON lines: each is an object with a question, a text and the answers.

  Attributes:
    paths: Files and globs, plain or `.gz`.
    question: The field with the question.
    context: The field with the text.
    answers: The field with the answers; see `passages.given_answers`.
    title: The field with the title of the text's article, which is never
      divided between splits; None if there is none: then texts are articles.
    name: The field with the question's id; None if there is none.
    on_missing: As in `squad.Squad`.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  question: str = 'question'
  context: str = 'context'
  answers: str = 'answers'
  title: str | None = None
  name: str | None = None
  on_missing: passages.OnMissing = 'fail'
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[passages.Question]:
    """Yields the questions, line by line; see `squad.Squad.examples`."""
    counts = collections.Counter() if counts is None else counts
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(
          path, self.on_bad_text, counts, self.encoding):
        title, name = (
            None if field is None else str(json_lines.value(row, field, where))
            for field in (self.title, self.name))
        found = passages.question(
            json_lines.text(row, self.question, where),
            json_lines.text(row, self.context, where),
            passages.given_answers(
                json_lines.value(row, self.answers, where), where),
            where, title, name, on_missing=self.on_missing, counts=counts)
        if found is not None:
          yield found
