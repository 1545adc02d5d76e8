"""Multiple choice by likelihood: the continuation that a model prefers."""
from collections.abc import Sequence
import dataclasses
import hashlib
import json
import math
import time
from typing import Any

import numpy as np

from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation import branches
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import rules as choice_rules
from lmjax.evaluation.choice import shots as shots_lib
from lmjax.evaluation.choice import variants
from lmjax.evaluation.choice import verdicts
from lmjax.evaluation.choice import wording
from lmjax.evaluation import continuations
from lmjax.evaluation import report


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Choices:
  """Files of questions, and how their parts are joined.

  Attributes:
    paths: JSON lines files or globs; each file is one result, or one for each
      template and seed.
    delimiter: Text between context and continuation. If it is only white
      space, it is left out where there is white space already.
    limit: Most questions to ask of each file; None asks all.
    rule: How a question becomes numbers: 'shared' counts the tokens from the
      first one in which options differ, and 'harness' does as the
      lm-evaluation-harness does; see `choice_rules`.
    shots: Solved examples before each question.
    template: How a question is worded.
    more_templates: Other wordings, each of which gives a report of its own.
    calibration: Texts without content, such as N/A, that replace the question.
      The log-probability of an option after them, whose probabilities are
      averaged, is subtracted from the one after the question.
  """
  paths: tuple[user_paths.Path, ...] = ()
  delimiter: str = ' '
  limit: ranges.Count | None = None
  rule: choice_rules.Name = 'shared'
  shots: shots_lib.Shots = shots_lib.Shots()
  template: wording.Template = wording.Template()
  more_templates: tuple[wording.Template, ...] = ()
  calibration: tuple[str, ...] = ()

  def evaluate(self, rate: continuations.Rate,
               tokenizer: vocabulary.Tokenizer,
               **kwargs: Any) -> list['ChoiceReport']:
    """Returns a report for each file, template and seed; see `judge`."""
    return [
        judge(rate, self._forms(variant), tokenizer, rule=self.rule,
              delimiter=variant.delimiter, **variant.facts, **kwargs)
        for variant in variants.of(self, questions.read)]

  def _forms(self, variant):
    """Returns the forms of each question."""
    how, out = choice_rules.RULES[self.rule], []
    for item, examples in zip(variant.asked, self.shots.of(
        variant.asked, variant.pool, variant.seed)):
      solved = [variant.template.item(example) for example in examples]
      before = lambda one, solved=solved: self.shots.before(
          one, solved, how, variant.delimiter)
      out.append([
          wording.Form(before(form.asked), tuple(map(before, form.empty)))
          for form in variant.template.forms(item, self.calibration)])
    return out


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
    shots: Number of solved examples before each question.
    seed: Seed by which they were drawn; None if they were not.
    template: Number of the template, from 0; None if there is only one.
    accuracy_calibrated: The accuracy after calibration by texts without
      content; None without calibration and for 'greedy'.
    accuracy_calibrated_stderr: Its standard error.
    changed: Share of questions for which another option is preferred if the
      lettered options are in another order; None if there is one order.
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
  shots: int = 0
  seed: int | None = None
  template: int | None = None
  accuracy_calibrated: float | None = None
  accuracy_calibrated_stderr: float | None = None
  changed: float | None = None

  @property
  def title(self) -> str:
    """The name, with what tells this report from others of its questions."""
    return variants.title(self.name, self.seed, self.template,
                        'greedy' if self.kind == 'greedy' else '')

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types; a number that is not finite becomes None."""
    return report.finite(dataclasses.asdict(self))

  @classmethod
  def from_dict(cls, tree: dict[str, Any]) -> 'ChoiceReport':
    """Returns the report that `to_dict` wrote."""
    nats = tree['nats_per_item']
    return cls(**tree | {'nats_per_item': math.nan if nats is None else nats})


def evaluate(rate: continuations.Rate, items: Sequence[questions.Item],
             tokenizer: vocabulary.Tokenizer, **kwargs: Any) -> ChoiceReport:
  """Reports how often the most likely option of a question is the right one.

  Args:
    rate: See `judge`.
    items: Questions, from `questions.read`, which are asked as they are.
    tokenizer: See `judge`.
    **kwargs: See `judge`.
  """
  return judge(rate, [[wording.Form(item)] for item in items], tokenizer,
               **kwargs)


def judge(
    rate: continuations.Rate,
    asked: Sequence[Sequence[wording.Form]],
    tokenizer: vocabulary.Tokenizer,
    *,
    context: int,
    name: str = 'choices',
    delimiter: str = ' ',
    rule: choice_rules.Name = 'shared',
    parameters_hash: str | None = None,
    shots: int = 0,
    seed: int | None = None,
    template: int | None = None,
) -> ChoiceReport:
  """Reports how often the most likely option of a question is the right one.

  Args:
    rate: The likelihood of continuations under a model; see `continuations`.
    asked: The forms of each question.
    tokenizer: The tokenizer that the model was trained with.
    context: Most tokens that a prediction sees.
    name: Name of the questions in the report.
    delimiter: See `Choices`.
    rule: See `Choices`.
    parameters_hash: Hash of the parameters, for the report.
    shots: See `ChoiceReport`.
    seed: See `ChoiceReport`.
    template: See `ChoiceReport`.

  Raises:
    InputError: If a continuation alone exceeds the context.
  """
  began = time.perf_counter()
  how = choice_rules.RULES[rule]
  put = [item for forms in asked for form in forms
         for item in (form.asked, *form.empty)]
  options, truncated = [], 0
  for item in put:
    spans, cut = how.spans(item, tokenizer, delimiter, context)
    options += spans
    truncated += cut
  nats, greedy, uncontexted = _score(rate, options, tokenizer.vocab_size)

  ends = np.cumsum([len(item.contexts) for item in put])[:-1]
  losses = iter(np.split(nats, ends))
  found = [verdicts.of(how, forms, losses) for forms in asked]
  golds = [forms[0].asked for forms in asked]
  column = lambda field: verdicts.column(found, field)
  is_choice = len(golds[0].contexts) > 1
  accuracy = column('credit') if is_choice else greedy.astype(float)
  norm = column('credit_norm') if is_choice else None
  calibrated = column('credit_calibrated') if is_choice else None
  changed = column('changed')
  return ChoiceReport(
      name=name, kind='choice' if is_choice else 'greedy',
      accuracy=float(accuracy.mean()), accuracy_stderr=_stderr(accuracy),
      accuracy_norm=_mean(norm), accuracy_norm_stderr=_stderr(norm),
      chance=float(np.mean([1 / len(item.contexts) for item in golds]))
      if is_choice else None,
      items=len(asked), nats_per_item=float(column('nats').mean()),
      truncated=truncated, uncontexted=uncontexted,
      nonfinite=sum(verdict.nonfinite for verdict in found),
      context=context, delimiter=delimiter,
      rule=f'{how.sentence} {tokenizer.describe()}',
      data_hash=_digest([form.asked for forms in asked for form in forms]),
      tokenizer_hash=tokenizer.digest, parameters_hash=parameters_hash,
      seconds=time.perf_counter() - began, shots=shots, seed=seed,
      template=template, accuracy_calibrated=_mean(calibrated),
      accuracy_calibrated_stderr=_stderr(calibrated), changed=_mean(changed))


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


def _mean(values: np.ndarray | None) -> float | None:
  return None if values is None else float(values.mean())


def _stderr(values: np.ndarray | None) -> float | None:
  if values is None or len(values) < 2:
    return None
  return float(values.std(ddof=1) / math.sqrt(len(values)))


def _digest(items: Sequence[questions.Item]) -> str:
  sha = hashlib.sha256()
  for item in items:
    sha.update(json.dumps(
        [item.contexts, item.continuations, item.gold]).encode() + b'\n')
  return sha.hexdigest()


_ACCURACIES = {  # Column: fields, the second one after a ±.
    'acc': ('accuracy', 'accuracy_stderr'),
    'acc_norm': ('accuracy_norm', 'accuracy_norm_stderr'),
    'calibrated': ('accuracy_calibrated', 'accuracy_calibrated_stderr'),
    'changed': ('changed',)}


def tables(reports: Sequence[ChoiceReport]) -> list[Any]:
  """Returns `rich` tables with a row for each report.

  It is one table for questions that are asked as they are. Otherwise rows have
  longer names and more accuracies, so that other numbers are in a second table.
  """
  plain = not any(
      r.shots or r.template is not None or r.accuracy_calibrated is not None
      or r.changed is not None for r in reports)
  names = [[r.title] for r in reports]
  heads, cells = [''], [list(name) for name in names]
  for head, fields in _ACCURACIES.items():
    found = any(getattr(r, fields[0]) is not None for r in reports)
    if found or head in ('acc', 'acc_norm'):
      heads += [head, '±'][:len(fields)]
      for row, r in zip(cells, reports):
        row += [report.number(getattr(r, field), 4) for field in fields]
  more = ['chance', 'questions', 'nats/item', 'truncated']
  facts = [[report.number(r.chance, 4), f'{r.items:,}',
            report.number(r.nats_per_item, 2), f'{r.truncated:,}']
           for r in reports]
  if plain:
    return [report.grid(
        heads + more, [one + two for one, two in zip(cells, facts)])]
  shots = [[str(r.shots)] for r in reports]
  return [report.grid(heads, cells), report.grid(
      ['', 'shots', *more],
      [[*name, *count, *row] for name, count, row in zip(names, shots, facts)])]
