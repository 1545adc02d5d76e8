"""The three splits of a task on questions about texts, divided by article."""
import collections
from collections.abc import Mapping, Sequence
import dataclasses
import hashlib

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.text import splits as splits_lib
from lmjax.tasks.answering import passages
from lmjax.tasks.readers import division
from lmjax.tasks.readers.questions import json_answers
from lmjax.tasks.readers.questions import squad
from lmjax.tasks.readers.questions import tfds_answers
from lmjax.tasks import task as task_lib

Reader = (squad.Squad | json_answers.JsonAnswers | tfds_answers.TfdsAnswers)
ALWAYS = 1e30  # A threshold at which every question is answered.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Articles:
  """The three splits of a task on questions, each from its own reader.

  Attributes:
    train: The training questions.
    test: The test questions; None holds out articles of `train`.
    valid: The questions for early stopping and for the threshold of no answer;
      None holds out articles of `train`.
    test_share: The share of the questions of `train` that are held out if
      `test` is None. Whole articles are, so that it is nearly this share.
    valid_share: The same for `valid`.
    seed: Chooses the articles that are held out, by a hash of their titles.
    drop_shared: Whether training questions about a text that is also in another
      split are dropped. A note has their number in both cases.
  """
  train: Reader
  test: Reader | None = None
  valid: Reader | None = None
  test_share: ranges.Rate = 0.1
  valid_share: ranges.Rate = 0.1
  seed: ranges.Natural = 0
  drop_shared: bool = True

  def read(self) -> task_lib.Splits:
    """Returns the splits; their threshold is 0, or `ALWAYS`.

    It is `ALWAYS` if each training question has an answer.

    Raises:
      InputError: If a file or split is empty or malformed, an id comes twice,
        or there are too few articles to hold some out.
    """
    given, notes = division.collect(_questions, self)
    parts = self._divided(given)
    held = {name: {q.context for q in parts[name]}
            for name in ('valid', 'test')}
    notes = [*notes, *self._shared(parts['train'], held)]
    if self.drop_shared:
      parts['train'] = [q for q in parts['train'] if not any(
          q.context in contexts for contexts in held.values())]
    if both := len(held['valid'] & held['test']):
      notes.append(f'{both:,} texts are in the validation and the test split.')
    for name in splits_lib.NAMES:
      if not parts[name]:
        raise errors.InputError(
            f'The {name} split has no question that is left; give it files of '
            f'its own: source.{name}.paths=...')
    told = [_told(name, parts[name]) for name in splits_lib.NAMES]
    has_none = any(not q.answers for q in parts['train'])
    return task_lib.Splits(
        **parts, notes=(*told, *notes), texts=2,
        thresholds=(0.0 if has_none else ALWAYS,))

  def _divided(self, given: Mapping[str, Sequence[passages.Question] | None]
               ) -> dict[str, list[passages.Question]]:
    """Returns the questions of each split, articles of `train` held out."""
    shares = {name: share for name, share in (
        ('test', self.test_share), ('valid', self.valid_share))
              if given[name] is None}
    chosen = held_out(given['train'], shares, self.seed)
    parts = {name: [] if given[name] is None else list(given[name])
             for name in ('valid', 'test')} | {'train': []}
    for each in given['train']:
      parts[chosen.get(each.article, 'train')].append(each)
    return parts

  def _shared(self, train, held) -> list[str]:
    """Returns a note on training questions about texts of other splits."""
    shared = sum(any(q.context in contexts for contexts in held.values())
                 for q in train)
    what = 'were dropped' if self.drop_shared else 'stay in training'
    return [f'{shared:,} training questions about a text that is also in the '
            f'validation or test split {what}.'] if shared else []


def held_out(questions: Sequence[passages.Question],
             shares: Mapping[str, float], seed: int) -> dict[str, str]:
  """Returns {article: the split that it is held out for}.

  Articles are ordered by the SHA-256 of the seed and their title. Each split in
  turn takes the first ones that are left, at least one, until its number of
  questions is nearest to its share. One article is always left to train on.

  Args:
    questions: The questions.
    shares: The share of the questions for each split.
    seed: The seed.

  Raises:
    InputError: If there are fewer articles than splits.
  """
  sizes = collections.Counter(each.article for each in questions)
  if shares and len(sizes) <= len(shares):
    raise errors.InputError(
        f'{len(sizes)} article{"s" * (len(sizes) > 1)} cannot be divided into '
        f'train, {" and ".join(shares)}, as no article is in two splits; give '
        f'files for {" and ".join(shares)}: source.test.paths=...')
  order = sorted(sizes, key=lambda article: hashlib.sha256(
      f'{seed}\n{article}'.encode()).digest())
  found = {}
  for number, (name, share) in enumerate(shares.items()):
    wanted, count = share * len(questions), 0
    spare = len(order) - (len(shares) - number)
    while spare and (not count or abs(
        count + sizes[order[0]] - wanted) < abs(count - wanted)):
      count += sizes[order[0]]
      found[order.pop(0)] = name
      spare -= 1
  return found


def _questions(name: str, reader: Reader, counts: collections.Counter
               ) -> list[passages.Question]:
  """Returns the questions of a split, whose ids are distinct."""
  found, places = list(reader.examples(counts)), {}
  for each in found:
    if each.name is not None and each.name in places:
      raise errors.InputError(
          f'{each.where}: the id {each.name!r} is also that of '
          f'{places[each.name]}; ids should be distinct: rename one, or remove '
          'a copy.')
    places[each.name] = each.where
  if not found:
    raise errors.InputError(f'The {name} split, {reader}, has no question.')
  return found


def _told(name: str, questions: Sequence[passages.Question]) -> str:
  """Returns a sentence with the numbers of a split."""
  none = sum(not each.answers for each in questions)
  texts = len({each.context for each in questions})
  articles = len({each.article for each in questions})
  return (f'{name}: {len(questions):,} questions, {none:,} without an answer, '
          f'on {texts:,} texts of {articles:,} article{"s" * (articles > 1)}.')
