"""Streams text while tokens are drawn: whole characters, up to a stop string.

A tokenizer is any object with `token_bytes`, `eos_id`, `vocab_size` and, for
`prompts.encode`, `bos_id` and `encode`. Only its ids are drawn, even if the
model has more.
"""
from collections.abc import Iterator, Sequence
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


@dataclasses.dataclass(frozen=True)
class Completion:
  """A continuation as text, with its tokens.

  Attributes:
    text: The text before EOS or the stop string, without the prompt.
    tokens: Drawn ids, up to the one that ended the text.
    logprobs: Natural log-probability of each id under the model, before any
      transform.
    ended: The reason for the end: EOS, a stop string, or the limit of tokens.
  """
  text: str
  tokens: list[int]
  logprobs: list[float]
  ended: Literal['eos', 'stop', 'length']


class Row:
  """Collects the tokens of one continuation and decodes them.

  Args:
    tokenizer: Tokenizer that returns the bytes of each token.
    stop: Strings that end the text and are not part of it.
    end: An id that ends the text besides EOS, or None.
  """

  def __init__(self, tokenizer: Any, stop: Sequence[str] = (),
               end: int | None = None):
    self._tokenizer, self._ends = tokenizer, (tokenizer.eos_id, end)
    self._stopper = stop_lib.Stopper(stop)
    self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
    self._pieces, self._tokens, self._logprobs = [], [], []
    self._ended = None

  @property
  def done(self) -> bool:
    """Whether EOS or a stop string has ended the text."""
    return self._ended is not None

  def feed(self, tokens: Sequence[int], logprobs: Sequence[float]) -> str:
    """Returns the text that is final after these further tokens."""
    before = len(self._pieces)
    for token, logprob in zip(tokens, logprobs):
      if self.done:
        break
      self._tokens.append(int(token))
      self._logprobs.append(float(logprob))
      if token in self._ends:
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
                      self._ended or 'length')


class Stream:
  """Continues one prompt; iterating gives pieces of text as they are drawn.

  The pieces join to `completion.text`, and the tokens are the same as from
  `sample.generate` with the same arguments.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    prompt: The text to continue.
    max_new_tokens: Most tokens to draw.
    sampling: How to draw; see `sample.generate`.
    transforms: Further changes to the logits; see `sample.generate`.
    rng: A seed or a key.
    stop: Strings that end the text.
    chunk: Tokens drawn between two pieces.
    encode: Function of tokenizer and prompt that returns the ids to continue.
  """

  def __init__(self, model: nn.Module, params: Any, tokenizer: Any,
               prompt: str, *, max_new_tokens: int,
               sampling: sample.Sampling = transforms_lib.Sampling(),
               transforms: Sequence[transforms_lib.Transform] = (),
               rng: jax.Array | int = 0, stop: Sequence[str] = (),
               chunk: int = 8,
               encode: prompts_lib.Encode = prompts_lib.encode):
    ids = encode(tokenizer, prompt)
    self._row = Row(tokenizer, stop, getattr(ids, 'end', None))
    self._pieces = sample.decode(
        model, params, [ids],
        max_new_tokens=max_new_tokens, sampling=sampling,
        transforms=(transforms_lib.Known(tokenizer.vocab_size), *transforms),
        rng=rng, eos_id=tokenizer.eos_id, chunk=chunk)

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
    max_new_tokens: int, sampling: sample.Sampling = transforms_lib.Sampling(),
    transforms: Sequence[transforms_lib.Transform] = (),
    rng: jax.Array | int = 0, stop: Sequence[str] = (), chunk: int = 16,
    encode: prompts_lib.Encode = prompts_lib.encode,
) -> list[Completion]:
  """Continues a batch of prompts, each until EOS, a stop string or the limit.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    prompts: The texts to continue.
    max_new_tokens: Most tokens to draw for each prompt.
    sampling: How to draw; see `sample.generate`.
    transforms: Further changes to the logits; see `sample.generate`.
    rng: A seed, a key, or a key for each prompt; see `sample.generate`.
    stop: Strings that end a text.
    chunk: Tokens drawn between two searches for stop strings.
    encode: Function of tokenizer and prompt that returns the ids to continue.

  Returns:
    A completion for each prompt.
  """
  ids = [encode(tokenizer, prompt) for prompt in prompts]
  rows = [Row(tokenizer, stop, getattr(each, 'end', None)) for each in ids]
  options = dict(
      max_new_tokens=max_new_tokens, sampling=sampling, rng=rng,
      transforms=(transforms_lib.Known(tokenizer.vocab_size), *transforms),
      eos_id=tokenizer.eos_id)
  if stop:
    results = sample.decode(model, params, ids, **options, chunk=chunk)
  else:
    results = iter([sample.generate(model, params, ids, **options)])
  for result in results:
    for row, tokens, logprobs in zip(rows, result.tokens, result.logprobs):
      row.feed(tokens, logprobs)
    if all(row.done for row in rows):
      break
  for row in rows:
    row.close()
  return [row.completion() for row in rows]


def samples(
    model: nn.Module, params: Any, tokenizer: Any, prompts: Sequence[str], *,
    max_new_tokens: int, num_samples: int = 1, seed: int = 0,
    batch_size: int = 8, encode: prompts_lib.Encode = prompts_lib.encode,
    **options
) -> Iterator[tuple[str, Completion]]:
  """Yields pairs (prompt, completion), each prompt `num_samples` times.

  Args:
    model: The module; see `sample`.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    prompts: The texts to continue; all are checked before any is continued.
    max_new_tokens: Most tokens to draw for each sample.
    num_samples: Number of completions of each prompt.
    seed: Seed of the draws; a sample depends on it and on the numbers of its
      prompt and of the sample, not on the size of batches.
    batch_size: Rows drawn at a time.
    encode: Function of tokenizer and prompt that returns the ids to continue.
    **options: Further arguments of `complete`.
  """
  prompts_lib.pad(
      [encode(tokenizer, prompt) for prompt in prompts],
      max_new_tokens=max_new_tokens, context=model.config.context,
      vocab_size=model.config.vocab_size)
  wanted = [prompt for prompt in prompts for _ in range(num_samples)]
  all_keys = keys(seed, len(prompts), num_samples)
  for start in range(0, len(wanted), batch_size):
    batch = slice(start, start + batch_size)
    yield from zip(wanted[batch], complete(
        model, params, tokenizer, wanted[batch], rng=all_keys[batch],
        max_new_tokens=max_new_tokens, encode=encode, **options))


def keys(seed: int, prompts: int, samples: int) -> jax.Array:
  """Returns a key for every sample of every prompt, prompt by prompt.

  The key of sample j of prompt i does not depend on the numbers of samples or
  prompts, so that a larger number of samples contains the smaller one.
  """
  each = jax.vmap(jax.random.fold_in, (None, 0))
  prompt_keys = each(jax.random.key(seed), np.arange(prompts))
  return jax.vmap(each, (0, None))(
      prompt_keys, np.arange(samples)).reshape(-1)
