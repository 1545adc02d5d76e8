"""Rules by which a multiple-choice question becomes numbers.

Both rules encode context and continuation as one text. They differ in where the
continuation begins among its tokens, in what of a long context is kept, and in
how options are compared.
"""
from typing import Any, Literal, Protocol

import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation import branches
from lmjax.evaluation.choice import questions

Name = Literal['shared', 'harness']


class Rule(Protocol):
  """A rule.

  Attributes:
    sentence: What the rule counts, for reports.
  """
  sentence: str

  def spans(self, item: questions.Item, tokenizer: vocabulary.Tokenizer,
            delimiter: str, context: int) -> tuple[list[branches.Span], int]:
    """Returns the options of a question, and how many had to be cut.

    An option whose `start` is 0 has no token before it.
    """

  def between(self, context: str, continuation: str, delimiter: str) -> str:
    """Returns the text between a context and its continuation."""

  def size(self, continuation: str) -> int:
    """Returns what the log-likelihood of a continuation is divided by."""

  def credit(self, losses: np.ndarray, gold: int) -> float:
    """Returns the credit of a question, 0 to 1, from its options' losses."""


class Shared:
  """Counts all options of a context from the same token; see `encode`.

  Options that tie share the credit, and sizes are UTF-8 bytes.
  """
  sentence = 'Tokens count from the first one in which options differ.'

  def spans(self, item, tokenizer, delimiter, context):
    encoded, cut = truncate(
        encode(item, tokenizer, delimiter), context,
        tokenizer.bos_id is not None, len(set(item.contexts)) == 1,
        item.source)
    return [branches.Span(*option) for option in encoded], cut

  def between(self, context, continuation, delimiter):
    return joint(context, continuation, delimiter)

  def size(self, continuation):
    return len(continuation.encode())

  def credit(self, losses, gold):
    best = losses == losses.min()
    return float(best[gold] / best.sum())


class Harness:
  """Does as the lm-evaluation-harness does with a causal model.

  The delimiter is part of every context, an empty one too, but white space at
  the end of a context belongs to the continuation; see `harness_pair`. The
  first of the options that tie is chosen, and sizes are characters.

  References:
    Gao et al., A framework for few-shot language model evaluation; version
    0.4.13, `TemplateLM.loglikelihood` and `acc_norm`.
  """
  sentence = 'Tokens count as in the lm-evaluation-harness.'

  def spans(self, item, tokenizer, delimiter, context):
    found = [
        cut_left(*harness_pair(
            tokenizer, head + delimiter, tail), context, item.source)
        for head, tail in zip(item.contexts, item.continuations)]
    return [span for span, _ in found], sum(cut for _, cut in found)

  def between(self, context, continuation, delimiter):
    return delimiter

  def size(self, continuation):
    return len(continuation)

  def credit(self, losses, gold):
    return float(np.argmin(losses) == gold)


RULES: dict[str, Rule] = {'shared': Shared(), 'harness': Harness()}


def joint(context: str, continuation: str, delimiter: str) -> str:
  """Returns the text between a context and a continuation.

  It is the delimiter, but nothing after an empty context; and nothing in place
  of white space where there is white space already.
  """
  if not context or not delimiter.strip() and (
      context[-1:].isspace() or continuation[:1].isspace()):
    return ''
  return delimiter


def harness_pair(tokenizer: vocabulary.Tokenizer, context: str,
                 continuation: str) -> tuple[list[int], list[int]]:
  """Returns the ids of a context and of a continuation, as the harness does.

  White space at the end of the context is moved to the continuation. The ids of
  the context are those that it has alone; the continuation has the ids of both
  together, without as many of the first ones. An empty context is the
  tokenizer's `first` id.
  """
  kept = context.rstrip()
  continuation = context[len(kept):] + continuation
  begin = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  head = begin + tokenizer.encode(kept).tolist() if kept else []
  ids = begin + tokenizer.encode(kept + continuation).tolist()
  if head:
    return head, ids[len(head):]
  head, ids = [first(tokenizer)], ids[len(begin):]
  return (head, ids) if ids[:1] != head else (ids[:1], ids[1:])


def first(tokenizer: vocabulary.Tokenizer) -> int:
  """Returns `first_id`, which precedes a text without a context.

  Raises:
    InputError: If the tokenizer has neither BOS nor EOS.
  """
  if tokenizer.first_id is None:
    raise errors.InputError(
        'A text without context should follow BOS or EOS, and the tokenizer '
        'has neither; give the text a context.')
  return tokenizer.first_id


def cut_left(head: list[int], tail: list[int], context: int, source: str
             ) -> tuple[branches.Span, bool]:
  """Returns a text of which at most `context` ids are read, and if it was cut.

  Args:
    head: Ids of the context, of which the first ones are cut.
    tail: Ids of the continuation, all of which are scored.
    context: Most tokens that the model reads.
    source: Where the text was read, for messages.

  Raises:
    InputError: If the continuation alone exceeds the context.
  """
  if len(tail) > context:
    raise errors.InputError(
        f'{source}: a continuation has {len(tail)} tokens, but the model reads '
        f'{context}, and a continuation is never cut; leave it out.')
  ids = np.array((head + tail)[-(context + 1):], np.int64)
  return (branches.Span(ids, len(ids) - len(tail)),
          len(head) + len(tail) > context + 1)


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
    between = joint(context, continuation, delimiter)
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
