"""A task for probing vectors: which character of a play gives a speech?"""
import collections
from collections.abc import Iterable, Sequence
import re

from lmjax.core import errors
from lmjax.tasks import task as task_lib

_HEADING = re.compile(r"^([A-Z][A-Za-z'\- ]{1,30}):\n(.+)", re.DOTALL)


def read(paragraphs: Iterable[str], speakers: int = 8, least: int = 10
         ) -> tuple[list[task_lib.Example], tuple[str, ...]]:
  """Returns the speeches of the most frequent speakers, and their names.

  A speech is a paragraph whose first line is a name and a colon. The name is
  the label of the speech, and not part of its text.

  Args:
    paragraphs: Paragraphs of a text source that is split on paragraphs.
    speakers: The largest number of speakers.
    least: The smallest number of speeches of a speaker.

  Raises:
    InputError: If fewer than two speakers have `least` speeches.
  """
  speeches = [(match[1], match[2].strip()) for match in map(
      _HEADING.match, paragraphs) if match and match[2].strip()]
  counts = collections.Counter(name for name, _ in speeches)
  names = tuple(name for name, count in sorted(
      counts.items(), key=lambda item: (-item[1], item[0]))[:speakers]
                if count >= least)
  if len(names) < 2:
    raise errors.InputError(
        f'This task needs at least 2 speakers with {least} speeches each; got '
        f'{dict(counts.most_common(3))}. Give a play with one speech per '
        "paragraph, whose first line is the speaker's name and a colon.")
  return [task_lib.Example(text, name, f'speech {i}')
          for i, (name, text) in enumerate(speeches) if name in names], names


def folds(examples: Sequence[task_lib.Example], count: int = 5
          ) -> list[tuple[list[int], list[int]]]:
  """Returns (training indices, test indices) of folds for cross-validation.

  Each example is tested once. The speeches of a speaker are distributed evenly
  over the folds.
  """
  seen, fold = collections.Counter(), []
  for example in examples:
    fold.append(seen[example.label] % count)
    seen[example.label] += 1
  return [([i for i, f in enumerate(fold) if f != k],
           [i for i, f in enumerate(fold) if f == k]) for k in range(count)]
