"""Samples continuations from a model: prefill, then a loop over its cache.

`generate` runs the whole loop in one compiled call; `decode` runs the same
steps a few at a time and yields tokens as they are drawn. Both draw the same
tokens.

A model is a Flax module such as `models.decoder.Decoder`: it has `empty_cache`,
the methods `hidden` and `logits`, and `config.context` and `config.vocab_size`.
A model with an encoder, such as `models.encoder_decoder.EncoderDecoder`, also
has `encode`, which reads the source of each prompt once.
"""
from collections.abc import Iterator, Sequence
import dataclasses
import functools
from typing import Any

from flax import struct
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import allocator
from lmjax.core import errors
from lmjax.core import shapes
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sampling as sampling_lib
from lmjax.generation import steps
from lmjax.generation import transforms as transforms_lib
from lmjax.nn import modules


Sampling = transforms_lib.Sampling | Sequence[transforms_lib.Sampling]


@dataclasses.dataclass(frozen=True)
class Result:
  """Continuations, one per prompt, without the prompt.

  Attributes:
    tokens: The drawn ids of each row; the last one ended it if it finished.
    logprobs: Natural log-probability of each drawn id under the model, before
      any transform.
    finished: Whether an id ended each row.
  """
  tokens: list[np.ndarray]
  logprobs: list[np.ndarray]
  finished: np.ndarray


@struct.dataclass
class State:
  """The state of a batch between two steps, on which the next step depends.

  The first `step` places of `tokens_BT` and `logprobs_BT` are filled; in a
  finished row only the first `drawn_B` places count.
  """
  cache: Any
  sampling: sampling_lib.Rows
  counts_BV: jax.Array
  lengths_B: jax.Array
  ends_B: jax.Array
  tokens_BT: jax.Array
  logprobs_BT: jax.Array
  drawn_B: jax.Array
  finished_B: jax.Array
  step: jax.Array


def generate(
    model: nn.Module,
    params: Any,
    prompts: Sequence[Sequence[int] | prompts_lib.Prompt],
    *,
    max_new_tokens: int,
    sampling: Sampling = transforms_lib.Sampling(),
    transforms: Sequence[transforms_lib.Transform] = (),
    rng: jax.Array | int = 0,
    eos_id: int | Sequence[int] | None = None,
) -> Result:
  """Continues every prompt until an id ends it, or for `max_new_tokens`.

  Compiled once for each bucket of prompt length, number of prompts and
  `max_new_tokens` (see `prompts.pad`) and number of `eos_id`s, each model and
  each `transforms`, but not for each `sampling`.

  Args:
    model: The module.
    params: Its parameters.
    prompts: Token ids, of any lengths; for a model with an encoder,
      `prompts.Prompt`s, which add the source to encode.
    max_new_tokens: Most tokens to draw for each prompt.
    sampling: How to draw, for all prompts or one for each. A temperature of 0
      takes the best token; the default samples from the model's distribution.
    transforms: Further changes to the logits, applied in order before
      `sampling`; they are compiled into the loop.
    rng: A seed or a key, from which the key of prompt i is folded in, or one
      key for each prompt. The draws for a prompt do not depend on the others.
    eos_id: The token that ends a row, or several tokens, each of which does;
      with None only the prompt's own `end`, if it has one, ends a row.

  Returns:
    The drawn tokens and their log-probabilities.

  Raises:
    InputError: See `prompts.pad` and `sampling.rows`.
  """
  allocator.keep_pages()
  batch, how = _prepare(model, prompts, max_new_tokens, sampling, rng)
  state = _generate(
      params, batch, how, _ends(eos_id), jnp.int32(max_new_tokens),
      model=model, transforms=tuple(transforms))
  return _since(state, 0, len(prompts))


def rehearse(
    model: nn.Module,
    params: Any,
    prompts: Sequence[Sequence[int] | prompts_lib.Prompt],
    *,
    max_new_tokens: int,
    sampling: Sampling = transforms_lib.Sampling(),
    transforms: Sequence[transforms_lib.Transform] = (),
    rng: jax.Array | int = 0,
    eos_id: int | Sequence[int] | None = None,
) -> None:
  """Traces `generate` without computing anything, to find errors beforehand.

  Takes the arguments of `generate`; `params` may be shapes. A later call of
  `generate` with the same arguments is not traced again.

  Raises:
    InputError: As `generate` would.
  """
  batch, how = _prepare(model, prompts, max_new_tokens, sampling, rng)
  jax.eval_shape(
      functools.partial(
          _generate, model=model, transforms=tuple(transforms)),
      params, batch, how, _ends(eos_id), jnp.int32(max_new_tokens))


def decode(
    model: nn.Module,
    params: Any,
    prompts: Sequence[Sequence[int] | prompts_lib.Prompt],
    *,
    max_new_tokens: int,
    sampling: Sampling = transforms_lib.Sampling(),
    transforms: Sequence[transforms_lib.Transform] = (),
    rng: jax.Array | int = 0,
    eos_id: int | Sequence[int] | None = None,
    chunk: int = 8,
) -> Iterator[Result]:
  """Yields the result of `generate` in pieces of `chunk` tokens per row.

  The first piece is a single token, available as soon as the prompt is read.
  Takes the arguments of `generate` and `chunk`. A piece is computed only when
  the caller asks for it.
  """
  allocator.keep_pages()
  batch, how = _prepare(model, prompts, max_new_tokens, sampling, rng)
  options = dict(model=model, transforms=tuple(transforms))
  eos_E = _ends(eos_id)
  state = _start(params, batch, how, eos_E, **options)
  step = 0
  while True:
    finished = bool(jnp.all(state.finished_B))
    piece, step = _since(state, step, len(prompts)), int(state.step)
    yield piece
    if finished or step >= max_new_tokens:
      return
    limit = min(step + chunk, max_new_tokens)
    state = _advance(params, state, eos_E, jnp.int32(limit), **options)


def start(model, params, batch: prompts_lib.Padded, how: sampling_lib.Rows,
          eos_E: jax.Array, transforms) -> State:
  """Reads the prompts into a new cache and draws the first token of each."""
  d = shapes.bind(inputs_BT=batch.inputs_BT, lengths_B=batch.lengths_B)
  cache, logits_BV = steps.prefill(model, params, batch)
  real_BT = jnp.arange(d.T)[None] >= (d.T - batch.lengths_B)[:, None]
  counts_BV = jnp.zeros((d.B, logits_BV.shape[-1]), jnp.int32)
  counts_BV = counts_BV.at[jnp.arange(d.B)[:, None], batch.inputs_BT].add(
      real_BT.astype(jnp.int32))
  state = State(
      cache=cache, sampling=how, counts_BV=counts_BV,
      lengths_B=batch.lengths_B, ends_B=batch.ends_B,
      tokens_BT=jnp.zeros((d.B, batch.room), jnp.int32),
      logprobs_BT=jnp.zeros((d.B, batch.room), jnp.float32),
      drawn_B=jnp.zeros((d.B,), jnp.int32),
      finished_B=batch.lengths_B == 0, step=jnp.zeros((), jnp.int32))
  return draw(state, logits_BV, eos_E, transforms)


def advance(model, params, state: State, eos_E: jax.Array,
            limit: jax.Array, transforms) -> State:
  """Draws tokens until rows have `limit` tokens or all rows are finished."""
  def unfinished(state):
    return (state.step < limit) & ~jnp.all(state.finished_B)

  def another(state):
    token_B1 = jax.lax.dynamic_slice_in_dim(
        state.tokens_BT, state.step - 1, 1, axis=1)
    cache, logits_BV = steps.step(
        model, params, state.cache, token_B1[:, 0],
        state.lengths_B + state.step - 1)
    return draw(state.replace(cache=cache), logits_BV, eos_E, transforms)

  return jax.lax.while_loop(unfinished, another, state)


def draw(state: State, logits_BV: jax.Array, eos_E: jax.Array, transforms
         ) -> State:
  """Draws and records one token for each row that is not finished."""
  d = shapes.bind(logits_BV=logits_BV, counts_BV=state.counts_BV)
  changed_BV = logits_BV
  for transform in transforms:
    changed_BV = transform(changed_BV, state.counts_BV)
  token_B = sampling_lib.draw(
      state.sampling, changed_BV, state.counts_BV, state.drawn_B)
  rows_B, live_B = jnp.arange(d.B), ~state.finished_B
  token_B = jnp.where(live_B, token_B.astype(jnp.int32), 0)
  logprob_B = (logits_BV[rows_B, token_B]
               - jax.nn.logsumexp(logits_BV, axis=-1))

  def put(buffer_BT, value_B):
    return jax.lax.dynamic_update_slice_in_dim(
        buffer_BT, value_B[:, None], state.step, axis=1)
  return state.replace(
      counts_BV=state.counts_BV.at[rows_B, token_B].add(
          live_B.astype(jnp.int32)),
      tokens_BT=put(state.tokens_BT, token_B),
      logprobs_BT=put(state.logprobs_BT, logprob_B),
      drawn_B=state.drawn_B + live_B.astype(jnp.int32),
      finished_B=(state.finished_B | (token_B == state.ends_B)
                  | jnp.any(token_B[:, None] == eos_E[None], axis=1)),
      step=state.step + 1)


def check(model: nn.Module) -> None:
  """Checks that the model can continue a prompt.

  Raises:
    InputError: If the model lacks the trait `cached`.
  """
  modules.check(model)
  if not model.config.traits.cached:
    raise errors.InputError(
        f'{type(model).__name__} cannot continue a prompt: only a causal model '
        'such as Decoder (with causal=True) or Recurrent can, or one with a '
        'decoder, such as EncoderDecoder. Choose one, or ask for no samples: '
        "--config.samples.prompts='()'.")


def row_keys(rng, count: int, rows: int) -> jax.Array:
  """Returns a key for each row; rows beyond `count` are padding."""
  if not isinstance(rng, jax.Array):
    rng = jax.random.key(rng)
  if rng.ndim == 0:
    return jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(rows))
  if rng.shape != (count,):
    raise ValueError(
        f'rng should be one key, or one for each of {count} prompts; got shape '
        f'{rng.shape}.')
  return rng[np.minimum(np.arange(rows), count - 1)]


@functools.partial(jax.jit, static_argnames=('model', 'transforms'))
def _generate(params, batch, how, eos_E, limit, *, model, transforms):
  state = start(model, params, batch, how, eos_E, transforms)
  return advance(model, params, state, eos_E, limit, transforms).replace(
      cache=None, counts_BV=None)


@functools.partial(jax.jit, static_argnames=('model', 'transforms'))
def _start(params, batch, how, eos_E, *, model, transforms):
  return start(model, params, batch, how, eos_E, transforms)


@functools.partial(jax.jit, static_argnames=('model', 'transforms'),
                   donate_argnames='state')
def _advance(params, state, eos_E, limit, *, model, transforms):
  return advance(model, params, state, eos_E, limit, transforms)


def _prepare(model, prompts, max_new_tokens, sampling, rng):
  """Returns the padded prompts and how each row draws."""
  check(model)
  batch = prompts_lib.pad(
      prompts, max_new_tokens=max_new_tokens, context=model.config.context,
      vocab_size=model.config.vocab_size)
  reads = model.config.traits.reads_source
  if reads != (batch.sources_BS is not None):
    raise errors.InputError(
        f'{type(model).__name__} '
        + ('reads the source of a prompt: give each as prompts.Prompt(ids, '
           'source), which prompting.reader makes from text.' if reads else
           'has no encoder that could read the source of a prompt.'))
  keys_B = row_keys(rng, len(prompts), len(batch.lengths_B))
  return batch, sampling_lib.rows(sampling, keys_B, len(prompts))


def _ends(eos_id: int | Sequence[int] | None) -> jax.Array:
  """Returns the ids that end a row, in an array of one of a few lengths."""
  ids = np.atleast_1d([] if eos_id is None else eos_id)
  eos_E = np.full(prompts_lib.bucket(len(ids)), -1, np.int32)  # -1 is no id.
  eos_E[:len(ids)] = ids
  return jnp.asarray(eos_E)


def _since(state: State, step: int, count: int) -> Result:
  """Returns the first `count` rows' tokens from `step` on, on the host."""
  tokens_BT, logprobs_BT, drawn_B, finished_B = jax.device_get(
      (state.tokens_BT, state.logprobs_BT, state.drawn_B, state.finished_B))
  return Result(
      [tokens_BT[i, step:drawn_B[i]] for i in range(count)],
      [logprobs_BT[i, step:drawn_B[i]] for i in range(count)],
      finished_B[:count])
