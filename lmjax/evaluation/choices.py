"""Multiple choice by likelihood: the continuation that a model prefers."""
from collections.abc import Sequence
import dataclasses
import hashlib
import json
import math
import pathlib
import time
from typing import Any

import numpy as np

from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.text import files
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation import branches
from lmjax.evaluation import choice_rules
from lmjax.evaluation import continuations
from lmjax.evaluation import questions
from lmjax.evaluation import report


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Choices:
  """Files of questions, and how their parts are joined.

  Attributes:
    paths: JSON lines files or globs; each file is one result.
    delimiter: Text between context and continuation. If it is only white
      space, it is left out where there is white space already.
    limit: Most questions to read of each file; None reads all.
    rule: How a question becomes numbers: 'shared' counts the tokens from the
      first one in which options differ, and 'harness' does as the
      lm-evaluation-harness does; see `choice_rules`.
  """
  paths: tuple[user_paths.Path, ...] = ()
  delimiter: str = ' '
  limit: ranges.Count | None = None
  rule: choice_rules.Name = 'shared'

  def evaluate(self, rate: continuations.Rate,
               tokenizer: vocabulary.Tokenizer,
               **kwargs: Any) -> list['ChoiceReport']:
    """Returns a report for each file; see `evaluate` for the arguments."""
    return [
        evaluate(rate, questions.read(path, self.limit), tokenizer,
                 name=pathlib.Path(path).name.partition('.')[0],
                 delimiter=self.delimiter, rule=self.rule, **kwargs)
        for path in (files.expand(self.paths) if self.paths else ())]


@dataclasses.dataclass(frozen=True)
class ChoiceReport:
  """The share of questions for which a model prefers the right option.

  Attributes:
    name: Name of the questions.
    kind: 'choice', or 'greedy' for questions with a single option.
    accuracy: Share of questions whose most likely continuation is the right
      one; options that tie share the credit ('shared'), or the first of them
      is chosen ('harness'). For 'greedy', the share of continuations all of
      whose tokens are the most probable ones.
    accuracy_stderr: Its standard error; None for a single question.
    accuracy_norm: The same with log-likelihoods divided by the size of the
      continuation, in UTF-8 bytes ('shared') or characters ('harness'); None
      for 'greedy'.
    accuracy_norm_stderr: Its standard error.
    chance: Expected accuracy of random guesses; None for 'greedy'.
    items: Number of questions.
    nats_per_item: Mean negative log-likelihood of the right continuation.
    truncated: Number of options whose context was cut, from the left, to fit.
    uncontexted: Number of continuations whose first token has no token before
      it; such a token is charged log(vocab_size).
    nonfinite: Number of questions with a loss that is NaN or infinite; they
      count as wrong.
    context: Most tokens that a prediction could see.
    delimiter: Text between context and continuation.
    rule: Sentence that says how text became tokens.
    data_hash: Hash of the questions.
    tokenizer_hash: Hash of the tokenizer.
    parameters_hash: Hash of the parameters; None if not given.
    seconds: Wall time, compilation included.
  """
  name: str
  kind: str
  accuracy: float
  accuracy_stderr: float | None
  accuracy_norm: float | None
  accuracy_norm_stderr: float | None
  chance: float | None
  items: int
  nats_per_item: float
  truncated: int
  uncontexted: int
  nonfinite: int
  context: int
  delimiter: str
  rule: str
  data_hash: str
  tokenizer_hash: str
  parameters_hash: str | None
  seconds: float

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types; a number that is not finite becomes None."""
    return report.finite(dataclasses.asdict(self))

  @classmethod
  def from_dict(cls, tree: dict[str, Any]) -> 'ChoiceReport':
    """Returns the report that `to_dict` wrote."""
    nats = tree['nats_per_item']
    return cls(**tree | {'nats_per_item': math.nan if nats is None else nats})


def evaluate(
    rate: continuations.Rate,
    items: Sequence[questions.Item],
    tokenizer: vocabulary.Tokenizer,
    *,
    context: int,
    name: str = 'choices',
    delimiter: str = ' ',
    rule: choice_rules.Name = 'shared',
    parameters_hash: str | None = None,
) -> ChoiceReport:
  """Reports how often the most likely option of a question is the right one.

  Args:
    rate: The likelihood of continuations under a model; see `continuations`.
    items: Questions, from `questions.read`.
    tokenizer: The tokenizer that the model was trained with.
    context: Most tokens that a prediction sees.
    name: Name of the questions in the report.
    delimiter: See `Choices`.
    rule: See `Choices`.
    parameters_hash: Hash of the parameters, for the report.

  Raises:
    InputError: If a continuation alone exceeds the context.
  """
  began = time.perf_counter()
  how = choice_rules.RULES[rule]
  options, truncated = [], 0
  for item in items:
    spans, cut = how.spans(item, tokenizer, delimiter, context)
    options += spans
    truncated += cut
  nats, greedy, uncontexted = _score(rate, options, tokenizer.vocab_size)

  credits, credits_norm, gold_nats, start = [], [], [], 0
  for item in items:
    stop = start + len(item.contexts)
    losses, start = nats[start:stop], stop
    gold_nats.append(losses[item.gold])
    sizes = [how.size(text) for text in item.continuations]
    credits.append(_credit(how, losses, item.gold))
    credits_norm.append(_credit(how, losses / sizes, item.gold))
  is_choice = len(items[0].contexts) > 1
  accuracy = np.array(credits) if is_choice else greedy.astype(float)
  norm = np.array(credits_norm)
  return ChoiceReport(
      name=name, kind='choice' if is_choice else 'greedy',
      accuracy=float(accuracy.mean()), accuracy_stderr=_stderr(accuracy),
      accuracy_norm=float(norm.mean()) if is_choice else None,
      accuracy_norm_stderr=_stderr(norm) if is_choice else None,
      chance=float(np.mean([1 / len(item.contexts) for item in items]))
      if is_choice else None,
      items=len(items), nats_per_item=float(np.mean(gold_nats)),
      truncated=truncated, uncontexted=uncontexted,
      nonfinite=_nonfinite(items, nats), context=context, delimiter=delimiter,
      rule=f'{how.sentence} {tokenizer.describe()}', data_hash=_digest(items),
      tokenizer_hash=tokenizer.digest, parameters_hash=parameters_hash,
      seconds=time.perf_counter() - began)


def _score(rate, options, vocab_size):
  """Returns each option's nats, whether it is greedy, number of uncontexted."""
  bare = np.array([start == 0 for _, start in options])
  given = [branches.Span(ids, max(start, 1)) for ids, start in options]
  wanted = np.array([len(ids) - start for ids, start in given])
  some = np.flatnonzero(wanted)  # Not an option of one token, if it is bare.
  nats = np.where(bare, math.log(vocab_size), 0.0)
  right = np.zeros(len(options))
  found = rate([given[i] for i in some])
  nats[some] += found[0]
  right[some] = found[1]
  return nats, (right == wanted) & ~bare, int(bare.sum())


def _credit(how, losses: np.ndarray, gold: int) -> float:
  """Returns the credit of a question, 0 to 1; see `choice_rules`."""
  return how.credit(losses, gold) if np.isfinite(losses).all() else 0.0


def _nonfinite(items, nats) -> int:
  question = np.repeat(np.arange(len(items)), [len(i.contexts) for i in items])
  return len(set(question[~np.isfinite(nats)].tolist()))


def _stderr(values: np.ndarray) -> float | None:
  if len(values) < 2:
    return None
  return float(values.std(ddof=1) / math.sqrt(len(values)))


def _digest(items: Sequence[questions.Item]) -> str:
  sha = hashlib.sha256()
  for item in items:
    sha.update(json.dumps(
        [item.contexts, item.continuations, item.gold]).encode() + b'\n')
  return sha.hexdigest()


def table(reports: Sequence[ChoiceReport]):
  """Returns a `rich` table with a row for each file of questions."""
  columns = ('', 'acc', '±', 'acc_norm', '±', 'chance', 'questions',
             'nats/item', 'truncated')
  rows = [(
      r.name + (' (greedy)' if r.kind == 'greedy' else ''),
      report.number(r.accuracy, 4), report.number(r.accuracy_stderr, 4),
      report.number(r.accuracy_norm, 4),
      report.number(r.accuracy_norm_stderr, 4), report.number(r.chance, 4),
      f'{r.items:,}', report.number(r.nats_per_item, 2), f'{r.truncated:,}')
          for r in reports]
  return report.grid(columns, rows)
