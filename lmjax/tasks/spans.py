"""Extractive question answering: the part of a text that answers a question."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import itertools
from typing import Any, ClassVar, Literal

import numpy as np

from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import answers as answers_lib
from lmjax.evaluation.downstream import matching
from lmjax.models.heads import span
from lmjax.objectives import spans as spans_lib
from lmjax.tasks.answering import best_spans
from lmjax.tasks.answering import passages
from lmjax.tasks.answering import windows as windows_lib
from lmjax.tasks.baselines import classes as baselines
from lmjax.tasks.baselines import spans as span_baselines
from lmjax.tasks.readers.questions import articles
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation of answers.

  Attributes:
    match: How texts are compared: as 'squad' does, for languages with spaces,
      or as 'cmrc' does, for Chinese.
    baselines: Names in `span_baselines.BASELINES`.
  """
  match: Literal['squad', 'cmrc'] = 'squad'
  baselines: tuple[str, ...] = ('no_answer', 'overlap')

  def __post_init__(self):
    matching.named(self.match)
    baselines.check(self.baselines, span_baselines.BASELINES)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Spans:
  """Answers to questions, as parts of a text; a `task.Task`.

  A row has a question and a window of the text. The answer is the span of
  highest score in all windows, or none if the score of no answer is higher by
  more than a threshold. The threshold is 0 during training, and is then chosen
  for the highest F1 on the validation split. If every question of training has
  an answer, all questions are answered.

  Attributes:
    source: The source of the questions.
    features: How rows and batches are made. Dropping tokens would move answers,
      so `token_dropout` should be 0.
    windows: How a text that does not fit into a row is read.
    head: The head on top of the backbone.
    objective: The objective to minimise.
    longest_answer: Most tokens of an answer that is given.
    n_best: Number of answers to a question that are listed.
    metrics: The evaluation of the answers.

  References:
    Devlin et al., BERT, arXiv:1810.04805, sections 4.2 and 4.3.
  """
  source: articles.Articles
  features: rows_lib.Features = rows_lib.Features(lengths=(128, 256, 384))
  windows: windows_lib.Windows = windows_lib.Windows()
  head: span.SpanConfig = span.SpanConfig()
  objective: spans_lib.SpanEnds = spans_lib.SpanEnds()
  longest_answer: ranges.Count = 30
  n_best: ranges.Count = 5
  metrics: Metrics = Metrics()

  unit: ClassVar = 'windows'  # What the weight of the loss counts.

  def __post_init__(self):
    if self.features.token_dropout:
      raise errors.InputError(
          'task.features.token_dropout removes tokens, which would move the '
          'answers: set it to 0.')

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    return self.source.read()

  def texts(self, examples: Sequence[passages.Question]) -> Iterable[str]:
    """Returns the questions and, once each, their texts."""
    texts = dict.fromkeys(each.context for each in examples)
    return itertools.chain(
        (self.features.prefix + each.question for each in examples), texts)

  def rows(self, examples: Sequence[passages.Question],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> windows_lib.WindowRows:
    """See `task.Task`."""
    del splits
    return windows_lib.build(self.features, self.windows, examples, tokenizer)

  def model(self, backbone: Any, splits: task_lib.Splits) -> span.Span:
    """See `task.Task`."""
    del splits
    return self.head.build(backbone)

  def loss(self, model: span.Span) -> spans_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: span.Span) -> Callable[[Any, Any], Any]:
    """Returns a function that returns `logits_BTC`, C = 2."""
    return lambda params, batch: spans_lib.logits(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]],
              rows: windows_lib.WindowRows, splits: task_lib.Splits
              ) -> task_lib.Splits:
    """Returns the splits with the threshold of the highest F1."""
    if splits.thresholds == (articles.ALWAYS,):
      return splits
    result = self.judge(outputs(), splits.valid, rows, splits)
    _, (threshold, _) = result.best
    return dataclasses.replace(splits, thresholds=(threshold,))

  def judge(self, outputs: Sequence[Any],
            examples: Sequence[passages.Question],
            rows: windows_lib.WindowRows, splits: task_lib.Splits
            ) -> answers_lib.Answers:
    """Returns exact match and F1, and the mean loss of windows in nats."""
    found = self._found(outputs, rows)
    nll = [_nll(logits, rows, number) for number, logits in enumerate(outputs)]
    return self._result(examples, [
        (_text(example, each), each.difference, losses)
        for example, each, losses in zip(examples, found, nll)], splits)

  def answers(self, outputs: Sequence[Any],
              examples: Sequence[passages.Question],
              rows: windows_lib.WindowRows, splits: task_lib.Splits
              ) -> Iterator[dict[str, Any]]:
    """Yields questions and answers; '' says that the text has no answer.

    The probabilities of the best answers and of none are those of a softmax of
    their scores.
    """
    threshold, = splits.thresholds
    for example, found in zip(examples, self._found(outputs, rows)):
      is_given = found.spans and found.difference <= threshold
      known = {'id': example.name, 'answers': example.answers and [
          answer._asdict() for answer in example.answers]}
      yield {'question': example.question, 'context': example.context} | {
          name: value for name, value in known.items() if value is not None} | {
              'predicted': _text(example, found) if is_given else '',
              'start': found.spans[0].start if is_given else None,
              'threshold': threshold, **_listed(example, found)}

  def baselines(self, splits: task_lib.Splits, rows: windows_lib.WindowRows
                ) -> dict[str, answers_lib.Answers]:
    """Returns results of the baselines, with thresholds of their own."""
    del rows
    out = {}
    for name in self.metrics.baselines:
      fitted = span_baselines.BASELINES[name].fit(splits.train)
      own = splits
      if splits.thresholds != (articles.ALWAYS,):
        valid = self._result(
            splits.valid, [(*fitted(q), None) for q in splits.valid], splits)
        own = dataclasses.replace(splits, thresholds=(valid.best[1][0],))
      out[fitted.name] = self._result(
          splits.test, [(*fitted(q), None) for q in splits.test], own)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[passages.Question]:
    """Returns the question of a pair of texts; see `task.Task`.

    Args:
      texts: The question and the text.
      where: See `task.Task`.
      label: The answer, or a JSON list of answers; '' or [] if there is none.

    Raises:
      InputError: If an answer is not in the text.
    """
    if label is None:
      return [passages.Question(*texts, None, where)]
    answers = passages.given_answers(_parsed(label), where)
    return [passages.question(*texts, answers, where)]

  def _found(self, outputs: Sequence[Any], rows: windows_lib.WindowRows
             ) -> Iterator[best_spans.Found]:
    """Yields the best spans of each question."""
    for number, logits in enumerate(outputs):
      yield best_spans.find(
          logits, [rows.windows[place] for place in rows.places(number)],
          rows.spans[number], longest=self.longest_answer, count=self.n_best)

  def _result(self, examples, said, splits) -> answers_lib.Answers:
    """Returns the result of texts, differences and losses of questions."""
    texts = {each: number for number, each in enumerate(
        dict.fromkeys(each.context for each in examples))}
    return answers_lib.Answers(tuple(
        answers_lib.Case(
            each.question, texts[each.context],
            tuple(answer.text for answer in each.answers), *about)
        for each, about in zip(examples, said)), splits.thresholds[0],
                               matching.named(self.metrics.match))


def _parsed(label: str) -> Any:
  """Returns the list that a label writes in JSON, or the label itself."""
  try:
    found = strict_json.loads(label)
  except ValueError:
    return label
  return found if isinstance(found, list) else label


def _text(example: passages.Question, found: best_spans.Found) -> str:
  """Returns the text of the best span; '' if there is none."""
  return example.context[slice(*found.spans[0][1:])] if found.spans else ''


def _listed(example: passages.Question, found: best_spans.Found
            ) -> dict[str, Any]:
  """Returns the best spans with their scores, and the score of no answer."""
  scores = np.array([found.null, *(span.score for span in found.spans)])
  shares = np.exp(scores - scores.max())
  shares = (shares / shares.sum()).round(6).tolist()
  return {
      'null_score': round(found.null, 6), 'null_probability': shares[0],
      'best': [{'text': example.context[start:end], 'start': start,
                'score': round(score, 6), 'probability': share}
               for (score, start, end), share in zip(found.spans, shares[1:])]}


def _nll(logits: Sequence[np.ndarray], rows: windows_lib.WindowRows,
         number: int) -> tuple[float, ...]:
  """Returns the loss of each window of a question; see `SpanEnds`."""
  targets = [rows.rows.by_row[name][rows.places(number)]
             for name in ('starts', 'ends')]
  found = []
  for logits_TC, *columns in zip(logits, *targets):
    logits_TC = np.asarray(logits_TC, np.float64)
    top_C = logits_TC.max(axis=0)
    normal_C = top_C + np.log(np.exp(logits_TC - top_C).sum(axis=0))
    found.append(float(np.mean(normal_C - logits_TC[columns, [0, 1]])))
  return tuple(found)
