"""Multiple choice by likelihood: the continuation that a model prefers."""
from collections.abc import Iterator, Sequence
import dataclasses
import hashlib
import json
import math
import pathlib
import time
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.text import files
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation import likelihood
from lmjax.evaluation import questions
from lmjax.evaluation import report
from lmjax.evaluation import windows


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Choices:
  """Files of questions, and how their parts are joined.

  Attributes:
    paths: JSON lines files or globs; each file is one result.
    delimiter: Text between context and continuation. If it is only white
      space, it is left out where there is white space already.
    limit: Most questions to read of each file; None reads all.
  """
  paths: tuple[user_paths.Path, ...] = ()
  delimiter: str = ' '
  limit: ranges.Count | None = None

  def evaluate(self, score: likelihood.Score, tokenizer: vocabulary.Tokenizer,
               **kwargs: Any) -> list['ChoiceReport']:
    """Returns a report for each file; see `evaluate` for the arguments."""
    return [
        evaluate(score, questions.read(path, self.limit), tokenizer,
                 name=pathlib.Path(path).name.partition('.')[0],
                 delimiter=self.delimiter, **kwargs)
        for path in (files.expand(self.paths) if self.paths else ())]


@dataclasses.dataclass(frozen=True)
class ChoiceReport:
  """The share of questions for which a model prefers the right option.

  Attributes:
    name: Name of the questions.
    kind: 'choice', or 'greedy' for questions with a single option.
    accuracy: Share of questions whose most likely continuation is the right
      one; options that tie share the credit. For 'greedy', the share of
      continuations all of whose tokens are the most probable ones.
    accuracy_stderr: Its standard error; None for a single question.
    accuracy_norm: The same with log-likelihoods divided by the UTF-8 bytes of
      the continuation; None for 'greedy'.
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


def encode(item: questions.Item, tokenizer: vocabulary.Tokenizer,
           delimiter: str = ' ') -> list[tuple[np.ndarray, int]]:
  """Returns (ids, index of the first id charged to the option) per option.

  Context and continuation are encoded together, as one text. The charged
  tokens begin where this encoding first differs from the encoding of the
  context alone, so a token across the boundary belongs to the continuation.
  All options of one context are charged from the same token on, the earliest
  at which any of them differs, so that all pay for the same part of the text.
  BOS, if the tokenizer has one, comes first and only there.
  """
  has_bos = tokenizer.bos_id is not None
  bos = np.array([tokenizer.bos_id] if has_bos else [], np.int32)
  encoded, starts = [], []
  for context, continuation in zip(item.contexts, item.continuations):
    between = '' if not context else delimiter
    if not between.strip() and (
        context[-1:].isspace() or continuation[:1].isspace()):
      between = ''
    ids = np.concatenate(
        [bos, tokenizer.encode(context + between + continuation)])
    head = np.concatenate([bos, tokenizer.encode(context)])
    n = min(len(ids), len(head))
    agree = np.cumprod(ids[:n] == head[:n]).sum()
    encoded.append(ids)
    starts.append(int(min(agree, len(ids) - 1)))
    if has_bos and np.count_nonzero(ids == tokenizer.bos_id) != 1:
      raise errors.InputError(f'{item.source}: the text encodes to BOS.')
  if len(set(item.contexts)) == 1:
    starts = [min(starts)] * len(starts)
  return list(zip(encoded, starts))


def truncate(encoded: list[tuple[np.ndarray, int]], context: int, has_bos: bool,
             together: bool, source: str) -> tuple[list[Any], int]:
  """Cuts contexts from the left until each option has `context` inputs.

  BOS and all tokens charged to an option are kept.

  Args:
    encoded: Options of a question, from `encode`.
    context: Most inputs of an option.
    has_bos: Whether options begin with BOS.
    together: Whether to cut the same number of tokens from all options, for
      options of one context.
    source: Where the question was read, for messages.

  Returns:
    The options, and how many of them were cut.

  Raises:
    InputError: If the charged tokens of an option exceed the context.
  """
  excess = [max(0, len(ids) - 1 - context) for ids, _ in encoded]
  if together:
    excess = [max(excess)] * len(excess)
  out = []
  for (ids, start), cut in zip(encoded, excess):
    if cut and start - cut < 1:
      raise errors.InputError(
          f'{source}: an option has {len(ids) - start} tokens to predict after '
          f'at least one other, but the context is {context}. A continuation '
          'is never cut: leave the question out, or set a longer context.')
    out.append((np.concatenate([ids[:has_bos], ids[has_bos + cut:]]),
                start - cut))
  return out, sum(cut > 0 for cut in excess)


def evaluate(
    score: likelihood.Score,
    items: Sequence[questions.Item],
    tokenizer: vocabulary.Tokenizer,
    *,
    context: int,
    batch_size: int = 8,
    name: str = 'choices',
    delimiter: str = ' ',
    parameters_hash: str | None = None,
) -> ChoiceReport:
  """Reports how often the most likely option of a question is the right one.

  Args:
    score: See `likelihood.evaluate`.
    items: Questions, from `questions.read`.
    tokenizer: The tokenizer that the model was trained with.
    context: Most tokens that a prediction sees.
    batch_size: Rows scored at a time; affects the speed, not the result.
    name: Name of the questions in the report.
    delimiter: See `Choices`.
    parameters_hash: Hash of the parameters, for the report.

  Raises:
    InputError: If a continuation alone exceeds the context.
  """
  began = time.perf_counter()
  options, truncated = [], 0
  for item in items:
    together = len(set(item.contexts)) == 1
    encoded, cut = truncate(
        encode(item, tokenizer, delimiter), context,
        tokenizer.bos_id is not None, together, item.source)
    options += encoded
    truncated += cut
  nats, greedy, uncontexted = _score(
      score, options, context, batch_size, tokenizer.vocab_size)

  credits, credits_norm, gold_nats, start = [], [], [], 0
  for item in items:
    stop = start + len(item.contexts)
    losses, start = nats[start:stop], stop
    gold_nats.append(losses[item.gold])
    sizes = [len(text.encode()) for text in item.continuations]
    credits.append(_credit(losses, item.gold))
    credits_norm.append(_credit(losses / sizes, item.gold))
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
      rule=tokenizer.describe(), data_hash=_digest(items),
      tokenizer_hash=tokenizer.digest, parameters_hash=parameters_hash,
      seconds=time.perf_counter() - began)


def _score(score, options, context, batch_size, vocab_size):
  """Returns each option's nats, whether it is greedy, number of uncontexted."""
  bare = np.array([start == 0 for _, start in options])
  nats = np.where(bare, math.log(vocab_size), 0.0)
  right = np.zeros(len(options))
  wanted = np.array([len(ids) - max(start, 1) for ids, start in options])
  longest = max(len(ids) - 1 for ids, _ in options)
  length = min(context, max(64, 1 << (longest - 1).bit_length()))
  pieces = _pieces(options)
  for batch, nll_BT, correct_BT in likelihood.scored(
      score, windows.batches(pieces, length, batch_size)):
    counted_BT = batch['weights'] > 0
    option = batch['documents'][counted_BT]
    nats += np.bincount(option, nll_BT[counted_BT], len(options))
    right += np.bincount(option, correct_BT[counted_BT], len(options))
  return nats, (right == wanted) & ~bare, int(bare.sum())


def _pieces(options) -> Iterator[windows.Piece]:
  for i, (ids, start) in enumerate(options):
    if len(ids) > 1:
      yield windows.Piece(ids, max(start - 1, 0), i)


def _credit(losses: np.ndarray, gold: int) -> float:
  """Returns the credit of a question, 0 to 1; tied best options share it."""
  if not np.isfinite(losses).all():
    return 0.0
  best = losses == losses.min()
  return float(best[gold] / best.sum())


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
