"""Who speaks? A task made of the speeches of a play, for probing vectors."""
import collections
from collections.abc import Iterable, Sequence
import re

from lmjax.core import errors
from lmjax.tasks import task as task_lib

_HEADING = re.compile(r"^([A-Z][A-Za-z'\- ]{1,30}):\n(.+)", re.DOTALL)


def read(paragraphs: Iterable[str], speakers: int = 8, least: int = 10
         ) -> tuple[list[task_lib.Example], tuple[str, ...]]:
  """Returns the speeches of the most frequent speakers, and their names.

  A speech is a paragraph whose first line is a name and a colon; the name is
  its label and no part of its text.

  Args:
    paragraphs: As a source of text split on paragraphs gives them.
    speakers: How many there are.
    least: The fewest speeches that a speaker may have.

  Raises:
    InputError: If fewer than two speak so often.
  """
  speeches = [(match[1], match[2].strip()) for match in map(
      _HEADING.match, paragraphs) if match and match[2].strip()]
  counts = collections.Counter(name for name, _ in speeches)
  names = tuple(name for name, count in sorted(
      counts.items(), key=lambda item: (-item[1], item[0]))[:speakers]
                if count >= least)
  if len(names) < 2:
    raise errors.InputError(
        f'To tell speakers apart takes at least 2 with {least} speeches each; '
        f'got {dict(counts.most_common(3))}. Give a play, a speech a '
        'paragraph, each under the name of who speaks and a colon.')
  return [task_lib.Example(text, name, f'speech {i}')
          for i, (name, text) in enumerate(speeches) if name in names], names


def folds(examples: Sequence[task_lib.Example], count: int = 5
          ) -> list[tuple[list[int], list[int]]]:
  """Returns pairs of places to train on and to test on, each tested once.

  A speaker's speeches are dealt out in turn, so that each fold has its share.
  """
  seen, fold = collections.Counter(), []
  for example in examples:
    fold.append(seen[example.label] % count)
    seen[example.label] += 1
  return [([i for i, f in enumerate(fold) if f != k],
           [i for i, f in enumerate(fold) if f == k]) for k in range(count)]
