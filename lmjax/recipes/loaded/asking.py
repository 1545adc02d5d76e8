"""Questions to a run: to continue a text, to score it, to embed it, ...

The methods of a run, such as `Trained.generate`, and the scripts call these
functions.
"""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools
import math
import sys
from typing import Any, NoReturn, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import documents
from lmjax.data import facts
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import embeddings
from lmjax.evaluation import likelihood
from lmjax.evaluation import scoring as scoring_lib
from lmjax.evaluation import windows
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import samples as samples_lib
from lmjax.generation import streaming
from lmjax.generation import transforms
from lmjax.generation import window as window_lib
from lmjax.interop import continuing
from lmjax.nn import readout
from lmjax.recipes.loaded import prompting

T = TypeVar('T')


class Run:
  """A run with parameters; a kind of run overrides the methods that it has.

  Attributes:
    instead: Sentence on what to do with this kind of run.
  """
  instead = ''

  def generate(self, *args: Any, **kwargs: Any) -> Any:
    """Continues texts."""
    self._lack('generate', 'continue a text')

  def score(self, *args: Any, **kwargs: Any) -> Any:
    """Returns the likelihood of texts."""
    self._lack('score', 'score a text')

  def logits(self, *args: Any, **kwargs: Any) -> Any:
    """Returns the logits of each token's successor."""
    self._lack('logits', 'give logits')

  def embed(self, *args: Any, **kwargs: Any) -> Any:
    """Returns the vectors of texts."""
    self._lack('embed', 'embed a text')

  def predict(self, *args: Any, **kwargs: Any) -> Any:
    """Returns answers to texts."""
    self._lack('predict', 'answer a text')

  def _lack(self, method: str, ability: str) -> NoReturn:
    raise errors.InputError(
        f'{method}: this run cannot {ability}. {self.instead}')


@dataclasses.dataclass(frozen=True)
class Scored:
  """The likelihood of a text.

  Attributes:
    nats: Negative log-likelihood of the whole text.
    tokens: Number of tokens that were scored.
    bytes: UTF-8 bytes of the text.
  """
  nats: float
  tokens: int
  bytes: int

  @property
  def bits_per_byte(self) -> float:
    """Bits per byte of the text; NaN for an empty text."""
    return self.nats / math.log(2) / self.bytes if self.bytes else math.nan


def each(given: str | Iterable[str], answer: Callable[[list[str]], Sequence[T]]
         ) -> T | list[T]:
  """Returns the answer to one text, or a list of the answers to several."""
  texts = [given] if isinstance(given, str) else list(given)
  for i, text in enumerate(texts):
    if not isinstance(text, str):
      raise errors.InputError(
          f'Text {i} should be a str; got {text!r:.60}.')
    documents.utf8(text, f'Text {i}')
  found = list(answer(texts)) if texts else []
  return found[0] if isinstance(given, str) else found


def sampling(config: samples_lib.Samples, changes: Mapping[str, Any]
             ) -> transforms.Sampling:
  """Returns the sampling of a run's own samples, with changed fields.

  Args:
    config: The config of the run's samples.
    changes: Fields of `transforms.Sampling` that differ.
  """
  known = transforms.Sampling.__match_args__
  for name in changes:
    if name not in known:
      raise errors.InputError(
          f'{name!r} is no option of sampling; choose from '
          f'{", ".join(known)}.{config_lib.near(name, known)}')
  return dataclasses.replace(config.sampling, **changes)


def describe(how: transforms.Sampling) -> str:
  """Returns a line with the options of sampling that have an effect.

  Example:
    >>> describe(transforms.Sampling(temperature=0.8, top_p=0.95))
    'sampling: temperature 0.8, top_p 0.95'
  """
  default = transforms.Sampling()
  named = [f'{name} {getattr(how, name):g}' for name in how.__match_args__
           if name == 'temperature'
           or getattr(how, name) != getattr(default, name)]
  return f'sampling: {", ".join(named)}'


def options(run: Any, *, max_new_tokens: int = 100, stop: Sequence[str] = (),
            window: bool = False, encode: prompts_lib.Encode | None = None,
            **changes: Any) -> dict[str, Any]:
  """Returns the options with which `streaming` continues prompts of a run.

  Args:
    run: The run, a `trained.Trained`.
    max_new_tokens: Most tokens to draw for each prompt.
    stop: Strings that end a text.
    window: Whether to go on beyond the model's context; see `window`.
    encode: Function of tokenizer and prompt that returns the ids to continue;
      by default in the layout of the run's training rows, see `prompting`.
    **changes: Fields of `transforms.Sampling` that differ from those of the
      run's own samples.
  """
  published = run.published
  return dict(
      max_new_tokens=max_new_tokens, stop=stop, stop_ids=published.stop_ids,
      sampling=sampling(run.config.samples, changes),
      transforms=without(published),
      beyond=window_lib.decode if window else None,
      encode=encode or prompting.reader(run.config, published.forced_ids))


def without(published: continuing.Continuing) -> tuple[transforms.Without, ...]:
  """Returns the transform that excludes ids that are never drawn, if any."""
  never = published.never_ids
  return (transforms.Without(never),) if never else ()


def completions(
    run: Any, prompts: Sequence[str], *, num_samples: int = 1, seed: int = 0,
    batch_size: int = 8, **given: Any
) -> Iterator[tuple[int, streaming.Completion]]:
  """Yields pairs (number of the prompt, continuation), prompt by prompt.

  At the end, says on standard error how many ended because the model's context
  was full.

  Args:
    run: The run, a `trained.Trained`.
    prompts: The texts to continue.
    num_samples: Number of continuations of each prompt.
    seed: Seed of the draws.
    batch_size: Rows drawn at a time; affects the speed only.
    **given: Arguments of `options`.
  """
  full = count = 0
  for number, found in streaming.samples(
      run.model, run.placed, run.tokenizer, prompts, num_samples=num_samples,
      seed=seed, batch_size=batch_size, **options(run, **given)):
    full, count = full + (found.ended == 'context'), count + 1
    yield number, found
  tell_full(run, full, count)


def tell_full(run: Any, full: int, count: int) -> None:
  """Says how many of the continuations filled the model's context."""
  if full:
    print(f'{full:,} of {count:,} continuations ended early, because the '
          f'context of {run.config.model.context:,} tokens was full; --window '
          '(window=True) goes on beyond it.', file=sys.stderr)


def score(texts: str | Iterable[str], tokenizer: tokenizer_lib.Tokenizer,
          scoring: scoring_lib.Scoring,
          reading: Callable[[scoring_lib.Scoring], tuple[
              likelihood.Score, windows.Lay]]) -> Scored | list[Scored]:
  """Returns the likelihood of texts, each scored as a document of its own.

  Args:
    texts: A text, or several.
    tokenizer: The tokenizer of the run.
    scoring: How text is scored, settled for the run. A few short texts are
      scored in smaller batches.
    reading: Function that returns the score function of the run, and its
      function to lay out text; see `trained.reading`.
  """
  def answer(texts: list[str]) -> list[Scored]:
    ids, lengths = tokenizer.encode_documents(texts)
    rows = prompts_lib.bucket(int(np.sum(lengths // scoring.stride + 1)))
    function, lay = reading(dataclasses.replace(
        scoring, batch_size=min(scoring.batch_size, rows)))
    found = likelihood.evaluate(
        function, np.split(ids, np.cumsum(lengths)[:-1]), lay=lay,
        vocab_size=tokenizer.vocab_size, bos_id=tokenizer.bos_id,
        context=scoring.context, stride=scoring.stride,
        texts=facts.Texts.of(texts)).by_document
    columns = found.nats, found.tokens, found.texts.bytes
    return [Scored(*row) for row in zip(*(c.tolist() for c in columns))]
  return each(texts, answer)


def embed(model: nn.Module, params: Any, tokenizer: tokenizer_lib.Tokenizer,
          texts: str | Iterable[str], how: readout.Readout) -> np.ndarray:
  """Returns the vector of a text, or [texts, D]; see `embeddings.embed`."""
  return np.asarray(each(texts, lambda texts: embeddings.embed(
      model, params, tokenizer, texts, how)))


def logits(model: nn.Module, params: Any, tokenizer: tokenizer_lib.Tokenizer,
           given: str | Sequence[int]) -> np.ndarray:
  """Returns the logits of a text or of ids, float32 `logits_TV`.

  Args:
    model: The module.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    given: Ids, or a text, whose ids are then preceded by BOS if documents are.

  Returns:
    For a causal model, row t has the logits of the token after id t; for one
    that reads both ways, of the token at t.

  Raises:
    InputError: If the model predicts no tokens of a single text, or the ids are
      too long for it or not in its vocabulary.
  """
  traits = model.config.traits
  if (traits.reads_source or traits.two_stream
      or 'tokens' not in traits.heads):
    raise errors.InputError(
        f'{type(model).__name__} does not predict the tokens of a single text; '
        'call model.apply with its own inputs.')
  ids = prompts_lib.begun(tokenizer, given) if isinstance(given, str) else given
  if np.size(ids) > model.config.context:
    raise errors.InputError(
        f'There are {np.size(ids)} tokens, but the model reads '
        f'{model.config.context}; give fewer.')
  batch = prompts_lib.pad(  # Also checks the ids.
      [ids], max_new_tokens=1, context=model.config.context + 1,
      vocab_size=model.config.vocab_size)
  length = int(batch.lengths_B[0])
  inputs_BT = np.roll(batch.inputs_BT, length, axis=1)  # Padded on the right.
  return np.asarray(_logits(
      params, inputs_BT, jnp.int32(length), model=model))[:length]


@functools.partial(jax.jit, static_argnames='model')
def _logits(params, inputs_BT, length, *, model):
  """Returns `logits_TV` of one row, of which `length` ids count."""
  positions_BT = jnp.arange(inputs_BT.shape[1])[None]
  x_BTD = model.apply(
      {'params': params}, inputs_BT, positions_BT,
      (positions_BT < length).astype(jnp.int32), method=readout.states)
  return model.apply({'params': params}, x_BTD, method='logits')[0]
