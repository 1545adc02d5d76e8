"""The three splits of a task on questions with options."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Any, ClassVar

import numpy as np

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.data.text import tfds
from lmjax.evaluation.choice import questions
from lmjax.tasks.answering import alternatives
from lmjax.tasks.readers import division
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class QuestionLines:
  """Questions in JSON lines, in the shapes of `evaluation.questions`.

  Attributes:
    paths: Files and globs.
  """
  paths: tuple[user_paths.Path, ...]

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[alternatives.Question]:
    """Yields the questions, line by line."""
    del counts  # No line is repaired or skipped.
    for path in files.expand(self.paths):
      yield from map(alternatives.of_item, questions.read(path))


@dataclasses.dataclass(frozen=True)
@ranges.checked
class TfdsQuestions:
  """Questions of a TFDS data set, such as 'super_glue/copa'.

  Attributes:
    name: The name of the data set in TFDS.
    split: A split or a slice of a split.
    context: The features with the context; several are joined by a space.
    options: The features with the options, or one feature with a list of them.
    label: The feature with the right option: its number, letter or text.
    first: The number of the first option.
    data_dir: The directory of prepared data; None means TFDS's default.
  """
  name: str
  split: str = 'train'
  context: tuple[str, ...] = ('context',)
  options: tuple[str, ...] = ('endings',)
  label: str = 'label'
  first: ranges.Natural = 0
  data_dir: user_paths.Path | None = None

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[alternatives.Question]:
    """Yields the questions in TFDS's order.

    Raises:
      InputError: If a question has less than two options, or no right one.
    """
    del counts  # No line is repaired or skipped.
    fields = (*self.context, *self.options, self.label)
    reader = tfds.Tfds(self.name, self.split, fields[0], self.data_dir)
    for number, row in enumerate(reader.rows(fields)):
      where = f'{self.name} ({self.split}), row {number}'
      options = [text for field in self.options for text in _texts(row[field])]
      if len(options) < 2:
        raise errors.InputError(
            f'{where}: the features {list(self.options)} hold '
            f'{len(options)} options; a choice needs two.')
      label, = _texts(row[self.label])
      gold = alternatives.numbered(label, options, where, self.first)
      context = ' '.join(
          text for field in self.context for text in _texts(row[field]))
      yield alternatives.Question(
          (context,) * len(options), tuple(options), gold, where)


def _texts(value: Any) -> list[str]:
  """Returns the texts of a feature, which is one value or a list of them."""
  values = value.tolist() if isinstance(value, np.ndarray) else value
  return [each.decode() if isinstance(each, bytes) else str(each)
          for each in (values if isinstance(values, list) else [values])]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Asked:
  """The three splits of questions, each from its own reader.

  Attributes:
    train: The training questions.
    test: The test questions; None holds out some of `train`.
    valid: The questions for early stopping; None holds out some of `train`.
    held_out: See `labelled.Labelled`.
    drop_shared: See `labelled.Labelled`.
  """
  train: QuestionLines | TfdsQuestions
  test: QuestionLines | TfdsQuestions | None = None
  valid: QuestionLines | TfdsQuestions | None = None
  held_out: ranges.Rate = 0.1
  drop_shared: bool = True

  def read(self) -> task_lib.Splits:
    """Returns the questions, with a note on their numbers of options.

    Raises:
      InputError: If a file or split is empty or malformed.
    """
    given, notes = division.collect(
        lambda name, reader, counts: list(reader.examples(counts)), self)
    for name, some in given.items():
      if some is not None and not some:
        raise errors.InputError(f'The {name} split has no question.')
    numbers = collections.Counter(
        len(question.options) for question in given['train'])
    told = ', '.join(f'{number} ({count:,})'
                     for number, count in sorted(numbers.items()))
    found = division.divide(
        given, held_out=self.held_out, drop_shared=self.drop_shared,
        notes=(f'options of a question: {told}.', *notes))
    return task_lib.Splits(
        found.train, found.valid, found.test, notes=found.notes, texts=2)
