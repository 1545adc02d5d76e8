"""Multiple choice: a score for each option, of which the highest is chosen."""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import chosen
from lmjax.models.heads import pooled
from lmjax.objectives import choosing
from lmjax.objectives import labels as labels_lib
from lmjax.tasks.answering import alternatives
from lmjax.tasks.baselines import choices as choice_baselines
from lmjax.tasks.baselines import classes as baselines_lib
from lmjax.tasks.readers.questions import asked
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task as task_lib

_FIELDS = 'inputs', 'positions', 'segments', 'types'


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation of choices: accuracy, with baselines.

  Attributes:
    baselines: Names in `choice_baselines.BASELINES`.
  """
  baselines: tuple[str, ...] = ('position', 'longest')

  def __post_init__(self):
    baselines_lib.check(self.baselines, choice_baselines.BASELINES)


@dataclasses.dataclass(frozen=True)
class Choice:
  """Questions whose options are each read after their context; a `task.Task`.

  The context and an option are a pair, which the head maps to a score; the loss
  is a softmax over the scores of a question.

  Attributes:
    source: The source of the questions.
    features: How a context and an option become a row. `batch_size` is the
      number of questions; a question of K options is K rows.
    head: The head that scores a row.
    objective: The objective to minimise.
    metrics: The evaluation of the choices.
  """
  source: asked.Asked
  features: rows_lib.Features = rows_lib.Features(batch_size=16)
  head: pooled.PooledConfig = pooled.PooledConfig()
  objective: choosing.Choosing = choosing.Choosing()
  metrics: Metrics = Metrics()

  unit: ClassVar = 'questions'  # What the weight of the loss counts.

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    return self.source.read()

  def texts(self, examples: Sequence[alternatives.Question]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for example in examples for pair in example.pairs
            for text in self.features.spelled(pair))

  def rows(self, examples: Sequence[alternatives.Question],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> 'ChoiceRows':
    """Returns K rows a question, with K the most options of a question."""
    del splits
    return build(self.features, examples, tokenizer)

  def model(self, backbone: Any, splits: task_lib.Splits) -> nn.Module:
    """See `task.Task`."""
    return self.head.build(backbone, 1, 'score', texts=splits.texts)

  def loss(self, model: nn.Module) -> labels_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: nn.Module) -> Callable[[Any, Any], Any]:
    """Returns a function that returns `scores_BK`."""
    return lambda params, batch: choosing.scores(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[alternatives.Question], rows: Any,
            splits: task_lib.Splits) -> chosen.Chosen:
    """Returns the mean loss in nats, the accuracy, and the worst errors."""
    del rows, splits
    return chosen.Chosen.of(
        [example.gold for example in examples],
        [scores_K[:len(example.options)]
         for example, scores_K in zip(examples, outputs)], _names(examples))

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[alternatives.Question], rows: Any,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields questions with the chosen option, its number and probabilities."""
    del rows, splits
    for example, scores_K in zip(examples, outputs):
      found = chosen.Chosen.of([0], [scores_K[:len(example.options)]])
      best, texts = int(found.chosen_N[0]), example.told_apart_by
      label = {} if example.gold is None else {'label': example.gold}
      yield {'contexts': list(example.contexts),
             'options': list(example.options)} | label | {
                 'predicted': texts[best], 'option': best,
                 'probabilities': [
                     round(share, 6) for share in found.shares_NK[0].tolist()]}

  def baselines(self, splits: task_lib.Splits, rows: Any
                ) -> dict[str, chosen.Chosen]:
    """Returns results of the baselines, fitted to the training split."""
    del rows
    out = {}
    for name in self.metrics.baselines:
      fitted = choice_baselines.BASELINES[name].fit(splits.train)
      out[fitted.name] = chosen.Chosen.of(
          [example.gold for example in splits.test],
          list(map(fitted, splits.test)), has_loss=fitted.has_loss)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[alternatives.Question]:
    """Returns the question of a context and a JSON list of options."""
    return [alternatives.question(texts, where, label)]


def _names(examples: Sequence[alternatives.Question]
           ) -> list[tuple[str, tuple[str, ...]]]:
  """Returns the text of each question and of what tells its options apart."""
  return [(e.contexts[0] if e.told_apart_by == e.options else e.options[0],
           e.told_apart_by) for e in examples]


@dataclasses.dataclass(frozen=True)
class ChoiceRows(rows_lib.Rows):
  """Rows of the options of questions.

  The arrays of an option in a batch have its prefix: `option_0_inputs`. All
  rows of a batch have the length of the longest.

  Attributes:
    parts: The rows of the first option of each question, of the second, ...; a
      question without that option has an empty row.
  """
  parts: Sequence[rows_lib.Rows] = ()

  def batch(self, chosen: np.ndarray, length: int,
            rng: np.random.Generator | None = None
            ) -> Mapping[str, np.ndarray]:
    """See `rows.Rows`."""
    found = {}
    for option, part in enumerate(self.parts):
      one = part.batch(chosen, length, rng)
      found |= {choosing.prefix(option) + name: one[name] for name in _FIELDS}
    missing = self.features.batch_size - len(chosen)
    fill = lambda x: np.pad(x, (0, missing))
    return found | {
        **{name: fill(x[chosen]) for name, x in self.by_row.items()},
        'weights': fill(np.ones(len(chosen), np.float32))}


def build(features: rows_lib.Features,
          examples: Sequence[alternatives.Question],
          tokenizer: tokenizer_lib.Tokenizer) -> ChoiceRows:
  """Returns the rows of questions.

  Args:
    features: How a context and an option become a row.
    examples: The questions.
    tokenizer: Maps text to ids.
  """
  most = max((len(example.options) for example in examples), default=1)
  parts = []
  for option in range(most):
    has = [number for number, example in enumerate(examples)
           if option < len(example.options)]
    found = features.build([examples[number].pairs[option] for number in has],
                           np.zeros(len(has)), tokenizer)
    spread = lambda x, has=has: _spread(x, has, len(examples))
    types = found.by_token.get('types', np.zeros_like(found.tokens))
    parts.append(dataclasses.replace(
        found, tokens=spread(found.tokens), sizes=spread(found.sizes),
        by_row={}, by_token={'types': spread(types)}))
  return ChoiceRows(
      features, parts[0].tokens, np.max([part.sizes for part in parts], axis=0),
      sum(part.truncated for part in parts), {
          'labels': np.array([e.gold or 0 for e in examples], np.int32),
          'options': np.array([len(e.options) for e in examples], np.int32)},
      parts=tuple(parts))


def _spread(rows: np.ndarray, places: Sequence[int], size: int) -> np.ndarray:
  """Returns rows at their places among `size` rows of zeros."""
  out = np.zeros((size, *rows.shape[1:]), rows.dtype)
  out[places] = rows
  return out
