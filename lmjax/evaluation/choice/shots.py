"""Solved examples before a question, as in few-shot prompts.

References:
  Brown et al., Language Models are Few-Shot Learners, arXiv:2005.14165,
  section 2.4. Gao et al., A framework for few-shot language model evaluation,
  version 0.4.13, `ContextSampler`.
"""
from collections.abc import Iterator, Sequence
import dataclasses
import itertools
import random
from typing import Literal

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import rules as choice_rules


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Shots:
  """Solved examples that come before each question.

  No question is among its own examples.

  Attributes:
    count: Number of examples; 0 asks the question alone.
    path: JSON lines file of examples; None takes other questions of the file
      that is asked, beyond its `limit` too.
    draw: 'each' draws examples for each question, exactly as the
      lm-evaluation-harness does by default; 'once' takes the same examples for
      all questions, which is faster because they are read once; 'first' takes
      the first examples of the file.
    seeds: Seeds of the draws; each gives a report of its own.
    separator: Text after each example.
    delimiter: Text between an example's context and its answer; None takes the
      delimiter of the question.
  """
  count: ranges.Natural = 0
  path: user_paths.Path | None = None
  draw: Literal['each', 'once', 'first'] = 'each'
  seeds: tuple[ranges.Natural, ...] = (1234,)
  separator: str = '\n\n'
  delimiter: str | None = None

  def __post_init__(self):
    if not self.seeds or len(set(self.seeds)) != len(self.seeds):
      raise errors.InputError(
          'shots.seeds should be at least one number, each given once; got '
          f'{self.seeds}.')
    if self.draw == 'first' and len(self.seeds) > 1:
      raise errors.InputError(
          'shots.draw=first takes the first examples of the file for every '
          f'seed, but there are {len(self.seeds)} seeds; use draw=once.')

  @property
  def drawn(self) -> tuple[int | None, ...]:
    """The seeds that make a difference; (None,) if nothing is drawn."""
    is_drawn = self.count and self.draw != 'first'
    return self.seeds if is_drawn else (None,)

  def of(self, items: Sequence[questions.Item],
         pool: Sequence[questions.Item], seed: int | None
         ) -> Iterator[list[questions.Item]]:
    """Yields the examples of each question.

    Args:
      items: The questions to ask.
      pool: The questions of `path`; or all of the file that is asked.
      seed: One of `drawn`.

    Raises:
      InputError: If there are too few examples.
    """
    rng, most = random.Random(seed), self.count
    if most == 0:
      yield from ([] for _ in items)
      return
    room = most + (self.path is None)  # One of them may be the question.
    if len(pool) < room:
      raise errors.InputError(
          f'shots.count={most} needs at least {room} questions to take '
          f'examples from; there are {len(pool)}.')
    order = rng.sample(pool, len(pool)) if self.draw == 'once' else pool
    for item in items:
      others = (each for each in (
          rng.sample(pool, room) if self.draw == 'each' else order)
                if each.content != item.content)
      found = list(itertools.islice(others, most))
      if len(found) < most:  # Copies of the question were drawn.
        left = [each for each in pool if each.content != item.content]
        if len(left) < most:
          raise errors.InputError(
              f'{item.source}: shots.count={most}, but only {len(left)} of the '
              f'{len(pool)} examples are not this question.')
        found = rng.sample(left, most)
      yield found

  def before(self, item: questions.Item, examples: Sequence[questions.Item],
             how: choice_rules.Rule, delimiter: str) -> questions.Item:
    """Returns a question that follows solved examples.

    Args:
      item: The question.
      examples: Its examples.
      how: The rule by which context and answer are joined.
      delimiter: Text between an example's context and its answer, if this
        config has none.
    """
    between = delimiter if self.delimiter is None else self.delimiter
    text = ''.join(
        each.contexts[each.gold] + how.between(
            each.contexts[each.gold], each.continuations[each.gold], between)
        + each.continuations[each.gold] + self.separator for each in examples)
    return dataclasses.replace(
        item, contexts=tuple(text + context for context in item.contexts))
