"""Streams text while tokens are drawn: whole characters, up to a stop string.

A tokenizer is any object with `token_bytes`, `eos_id`, `vocab_size` and, for
`prompts.encode`, `bos_id` and `encode`. Only its ids are drawn, even if the
model has more.
"""
from collections.abc import Callable, Iterator, Sequence
import codecs
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import numpy as np

from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sample
from lmjax.generation import stop as stop_lib
from lmjax.generation import transforms as transforms_lib

Decode = Callable[..., Iterator[sample.Result]]  # As `sample.decode`.


@dataclasses.dataclass(frozen=True)
class Completion:
  """A continuation as text, with its tokens.

  Attributes:
    text: The text before the id or the stop string that ended it, without the
      prompt.
    tokens: Drawn ids, up to the one that ended the text.
    logprobs: Natural log-probability of each id under the model, before any
      transform.
    ended: The reason for the end: EOS or another id that ends texts, a stop
      string, the length asked for, or the model's context, which was full
      before.
  """
  text: str
  tokens: list[int]
  logprobs: list[float]
  ended: Literal['eos', 'stop', 'length', 'context']


class Row:
  """Collects the tokens of one continuation and decodes them.

  Args:
    tokenizer: Tokenizer that returns the bytes of each token.
    stop: Strings that end the text and are not part of it.
    ends: Ids that end the text besides EOS; None is no id.
    limit: What the number of tokens is limited by; see `Completion.ended`.
  """

  def __init__(self, tokenizer: Any, stop: Sequence[str] = (),
               ends: Sequence[int | None] = (),
               limit: Literal['length', 'context'] = 'length'):
    self._tokenizer, self._ends = tokenizer, {tokenizer.eos_id, *ends}
    self._limit = limit
    self._stopper = stop_lib.Stopper(stop)
    self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
    self._pieces, self._tokens, self._logprobs = [], [], []
    self._ended = None

  @property
  def done(self) -> bool:
    """Whether an id or a stop string has ended the text."""
    return self._ended is not None

  def feed(self, tokens: Sequence[int], logprobs: Sequence[float]) -> str:
    """Returns the text that is final after these further tokens."""
    before = len(self._pieces)
    for token, logprob in zip(tokens, logprobs):
      if self.done:
        break
      self._tokens.append(int(token))
      self._logprobs.append(float(logprob))
      if int(token) in self._ends:
        self._ended = 'eos'
        break
      text = self._decoder.decode(self._tokenizer.token_bytes(int(token)))
      self._pieces.append(self._stopper.feed(text))
      if self._stopper.stopped:
        self._ended = 'stop'
    return ''.join(self._pieces[before:])

  def close(self) -> str:
    """Returns the rest of the text; call it after the last token."""
    rest = self._stopper.feed(self._decoder.decode(b'', final=True))
    if self._stopper.stopped and self._ended is None:
      self._ended = 'stop'
    self._pieces.append(rest + self._stopper.flush())
    return self._pieces[-1]

  def completion(self) -> Completion:
    """Returns the whole continuation; call `close` first."""
    return Completion(''.join(self._pieces), self._tokens, self._logprobs,
                      self._ended or self._limit)


class Stream:
  """Continues one prompt; iterating gives pieces of text as they are drawn.

  The pieces join to `completion.text`, and the tokens are the same as from
  `complete` with the same arguments.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    prompt: The text to continue.
    max_new_tokens: Most tokens to draw; fewer if the context is full before.
    sampling: How to draw; see `sample.generate`.
    transforms: Further changes to the logits; see `sample.generate`.
    rng: A seed or a key.
    stop: Strings that end the text.
    stop_ids: Ids that end the text besides the EOS of the tokenizer.
    chunk: Tokens drawn between two pieces.
    encode: Function of tokenizer and prompt that returns the ids to continue.
    beyond: Function that continues a prompt beyond the context, such as
      `window.decode`; None ends the text where the context is full.
  """

  def __init__(self, model: nn.Module, params: Any, tokenizer: Any,
               prompt: str, *, max_new_tokens: int,
               sampling: transforms_lib.Sampling = transforms_lib.Sampling(),
               transforms: Sequence[transforms_lib.Transform] = (),
               rng: jax.Array | int = 0, stop: Sequence[str] = (),
               stop_ids: Sequence[int] = (), chunk: int = 8,
               encode: prompts_lib.Encode = prompts_lib.encode,
               beyond: Decode | None = None):
    plan, = _plans(model, tokenizer, [prompt], max_new_tokens, encode, beyond)
    self._row = plan.row(tokenizer, stop, stop_ids)
    decode = beyond if plan.beyond else sample.decode
    self._pieces = decode(
        model, params, [plan.prompt], max_new_tokens=plan.limit,
        sampling=sampling, rng=rng, eos_id=_ends(tokenizer, stop_ids),
        chunk=chunk,
        transforms=(transforms_lib.Known(tokenizer.vocab_size), *transforms))

  def __iter__(self) -> Iterator[str]:
    for drawn in self._pieces:
      yield self._row.feed(drawn.tokens[0], drawn.logprobs[0])
      if self._row.done:
        break
    self._pieces.close()
    yield self._row.close()

  @property
  def completion(self) -> Completion:
    """The continuation; available after iterating over the pieces."""
    return self._row.completion()


def complete(
    model: nn.Module, params: Any, tokenizer: Any, prompts: Sequence[str], *,
    max_new_tokens: int,
    sampling: transforms_lib.Sampling = transforms_lib.Sampling(),
    transforms: Sequence[transforms_lib.Transform] = (),
    rng: jax.Array | int = 0, stop: Sequence[str] = (),
    stop_ids: Sequence[int] = (), chunk: int = 16,
    encode: prompts_lib.Encode = prompts_lib.encode,
    beyond: Decode | None = None,
) -> list[Completion]:
  """Continues prompts, each until an id or a stop string ends it, or the limit.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    prompts: The texts to continue.
    max_new_tokens: Most tokens to draw for each prompt; fewer for a prompt
      with which the context is full before.
    sampling: How to draw; see `sample.generate`.
    transforms: Further changes to the logits; see `sample.generate`.
    rng: A seed, a key, or a key for each prompt; see `sample.generate`.
    stop: Strings that end a text.
    stop_ids: Ids that end a text besides the EOS of the tokenizer.
    chunk: Tokens drawn between two searches for stop strings.
    encode: Function of tokenizer and prompt that returns the ids to continue.
    beyond: See `Stream`; such prompts are continued one by one.

  Returns:
    A completion for each prompt.

  Raises:
    InputError: If a prompt cannot be continued; see `prompts.limit`.
  """
  plans = _plans(model, tokenizer, prompts, max_new_tokens, encode, beyond)
  keys = sample.row_keys(rng, len(plans), len(plans))
  rows = [plan.row(tokenizer, stop, stop_ids) for plan in plans]
  options = dict(
      sampling=sampling, eos_id=_ends(tokenizer, stop_ids),
      transforms=(transforms_lib.Known(tokenizer.vocab_size), *transforms))
  for chosen in _alike(plans):
    first = plans[chosen[0]]
    options |= dict(max_new_tokens=first.limit, rng=keys[np.array(chosen)])
    some = [plans[i].prompt for i in chosen]
    if stop or first.beyond:
      decode = beyond if first.beyond else sample.decode
      results = decode(model, params, some, **options, chunk=chunk)
    else:
      results = iter([sample.generate(model, params, some, **options)])
    _feed([rows[i] for i in chosen], results)
  return [row.completion() for row in rows]


def _ends(tokenizer: Any, stop_ids: Sequence[int]) -> list[int]:
  """Returns EOS, if there is one, and the further ids, each of them once."""
  return [i for i in dict.fromkeys((tokenizer.eos_id, *stop_ids))
          if i is not None]


def _feed(rows: Sequence[Row], results: Iterator[sample.Result]) -> None:
  """Passes drawn tokens to their rows, until all of these have ended."""
  for result in results:
    for row, tokens, logprobs in zip(rows, result.tokens, result.logprobs):
      row.feed(tokens, logprobs)
    if all(row.done for row in rows):
      break
  for row in rows:
    row.close()


@dataclasses.dataclass(frozen=True)
class _Plan:
  """How a prompt is continued: by at most `limit` tokens, in windows or not."""
  prompt: prompts_lib.Prompt
  limit: int
  clipped: bool
  beyond: bool

  def row(self, tokenizer: Any, stop: Sequence[str],
          stop_ids: Sequence[int]) -> Row:
    return Row(tokenizer, stop, (*stop_ids, self.prompt.end),
               'context' if self.clipped else 'length')


def _plans(model, tokenizer, texts, max_new_tokens, encode, beyond
           ) -> list[_Plan]:
  """Returns how each text is continued, after checks of all of them."""
  sample.check(model)
  context, plans = model.config.context, []
  for number, text in enumerate(texts):
    prompt = prompts_lib.of(encode(tokenizer, text))
    if beyond and len(prompt.ids) + max_new_tokens > context:
      plans.append(_Plan(prompt, max_new_tokens, False, True))
      continue
    limit = prompts_lib.limit(number, prompt, max_new_tokens, context)
    plans.append(_Plan(prompt, limit, limit < max_new_tokens, False))
  prompts_lib.pad(
      [dataclasses.replace(plan.prompt, ids=plan.prompt.ids[-1:])
       for plan in plans], max_new_tokens=min(1, max_new_tokens),
      context=context, vocab_size=model.config.vocab_size)
  return plans


def _alike(plans: Sequence[_Plan]) -> list[list[int]]:
  """Returns the numbers of prompts in groups that are continued together."""
  groups = {}
  for i, plan in enumerate(plans):
    groups.setdefault(i if plan.beyond else (plan.limit,), []).append(i)
  return list(groups.values())


def samples(
    model: nn.Module, params: Any, tokenizer: Any, prompts: Sequence[str], *,
    max_new_tokens: int, num_samples: int = 1, seed: int = 0,
    batch_size: int = 8, encode: prompts_lib.Encode = prompts_lib.encode,
    beyond: Decode | None = None, **options
) -> Iterator[tuple[int, Completion]]:
  """Yields pairs (number, completion), each prompt `num_samples` times.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    prompts: The texts to continue, which are numbered from 0; all are checked
      before any is continued.
    max_new_tokens: Most tokens to draw for each sample; see `complete`.
    num_samples: Number of completions of each prompt.
    seed: Seed of the draws; a sample depends on it and on the numbers of its
      prompt and of the sample, not on the size of batches.
    batch_size: Rows drawn at a time.
    encode: Function of tokenizer and prompt that returns the ids to continue.
    beyond: See `Stream`.
    **options: Further arguments of `complete`.
  """
  _plans(model, tokenizer, prompts, max_new_tokens, encode, beyond)
  wanted = np.repeat(np.arange(len(prompts)), num_samples).tolist()
  all_keys = keys(seed, len(prompts), num_samples)
  for start in range(0, len(wanted), batch_size):
    batch = slice(start, start + batch_size)
    yield from zip(wanted[batch], complete(
        model, params, tokenizer, [prompts[i] for i in wanted[batch]],
        rng=all_keys[batch], max_new_tokens=max_new_tokens, encode=encode,
        beyond=beyond, **options))


def keys(seed: int, prompts: int, samples: int) -> jax.Array:
  """Returns a key for every sample of every prompt, prompt by prompt.

  The key of sample j of prompt i does not depend on the numbers of samples or
  prompts, so that a larger number of samples contains the smaller one.
  """
  each = jax.vmap(jax.random.fold_in, (None, 0))
  prompt_keys = each(jax.random.key(seed), np.arange(prompts))
  return jax.vmap(each, (0, None))(
      prompt_keys, np.arange(samples)).reshape(-1)
