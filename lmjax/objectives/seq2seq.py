"""Sequence to sequence: predict a text from another text, token by token."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import masks
from lmjax.nn import modules
from lmjax.objectives import lm
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
Scores = Callable[[Any, Batch], tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Seq2Seq:
  """Cross-entropy of the decoder's next token, given the encoder's text.

  Attributes:
    label_smoothing: Share of the target spread evenly over the vocabulary.
    z_loss: Weight of the squared log-normaliser, which keeps logits near 0.

  References:
    Sutskever et al., Sequence to Sequence Learning, arXiv:1409.3215, eq. 1;
    Vaswani et al., arXiv:1706.03762, section 5.4 (label smoothing); Raffel et
    al., T5, arXiv:1910.10683.
  """
  label_smoothing: ranges.Rate = 0.0
  z_loss: ranges.NonNegative = 0.0

  likelihood = 'conditional'  # Kind of `scores`.
  row_fields = ('encoder_inputs', 'encoder_positions', 'encoder_segments')

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    The batch has `encoder_inputs`, `encoder_positions` and `encoder_segments`,
    [B, S], and for the decoder `inputs`, `targets`, `weights`, `positions` and
    `segments`, [B, T]. A target sees the source with the same segment number.

    Raises:
      InputError: If the model has no encoder.
    """
    del tokenizer  # The data path has put the special ids in their places.
    check(model)

    def objective(params, batch, rng=None):
      check_batch(batch)
      return losses.token_means(
          model.apply({'params': params}, hidden(model, params, batch, rng),
                      method='logits'),
          batch['targets'], batch['weights'],
          label_smoothing=self.label_smoothing, z_loss=self.z_loss)
    return objective

  def scores(self, model: nn.Module, tokenizer: Any = None) -> Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`.

    The scores are the likelihood of the targets of a plain window, which is
    divided between encoder and decoder: see `divided`.

    Raises:
      InputError: If the model has no encoder, or the tokenizer no id that a
        decoder could start from.
    """
    check(model)
    mark, start = first_ids(tokenizer)
    return functools.partial(window_scores, model, mark, start)

  def row_scores(self, model: nn.Module) -> Scores:
    """Returns `scores(params, batch)` of rows as in training.

    The batch has `row_fields` beside the fields of a plain window.

    Raises:
      InputError: If the model has no encoder.
    """
    check(model)
    return functools.partial(row_scores, model)


def row_scores(model: nn.Module, params: Any, batch: Batch
               ) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` in nats and `correct_BT` of rows as in training.

  Both may be 0 where the weight is 0.
  """
  return lm.scores_of(
      model, params, hidden(model, params, batch, rng=None), batch['targets'],
      batch['weights'])


def check(model: nn.Module) -> None:
  """Checks that the model encodes one text and decodes another.

  Raises:
    InputError: If the model lacks the trait `reads_source`.
  """
  modules.check(model)
  if not model.config.traits.reads_source:
    raise errors.InputError(
        f'Seq2Seq needs a model with an encoder and a decoder, which '
        f'{type(model).__name__} is not: choose '
        '--config.model.kind=EncoderDecoderConfig; for this model, choose '
        '--config.objective.kind=Causal, PrefixLM or MaskedLM.')


def check_batch(batch: Batch) -> None:
  """Checks that the batch has inputs for the encoder."""
  if 'encoder_inputs' not in batch:
    raise errors.InputError(
        'Seq2Seq needs batches with encoder_inputs, which plain rows lack: '
        'choose --config.data.corruption.kind=SpanCorruption, Bart, PrefixLM '
        'or UL2.')


def first_ids(tokenizer: Any) -> tuple[int | None, int]:
  """Returns the id that ends a source, or None, and the decoder's first id.

  The decoder starts from the tokenizer's `start_id`, as that of a published
  model does, and EOS ends the source. Without one, it starts from the first
  sentinel, which also ends the source, as when spans are filled in; if the
  tokenizer has no sentinels, from BOS; if it has no BOS, from EOS.

  Raises:
    InputError: If the tokenizer has none of these.
  """
  if tokenizer is not None and tokenizer.start_id is not None:
    return tokenizer.eos_id, tokenizer.start_id
  if tokenizer is not None and len(tokenizer.sentinel_ids):
    first = int(tokenizer.sentinel_ids[0])
    return first, first
  for name in ('bos_id', 'eos_id'):
    if getattr(tokenizer, name, None) is not None:
      return None, int(getattr(tokenizer, name))
  raise errors.InputError(
      'Seq2Seq needs an id for the decoder to start from, and the tokenizer '
      'has neither sentinels nor BOS nor EOS; set '
      '--config.data.sentinels=100 or --config.data.tokenizer.bos=True.')


def divided(batch: Batch, mark: int | None, start: int
            ) -> dict[str, jax.Array]:
  """Divides windows of text between the encoder and the decoder.

  In each segment the encoder reads the tokens before the first scored target,
  followed by a mark, such as the first sentinel for the place to fill in. The
  decoder begins with a start id, such as that sentinel, and reads every target
  from the first scored one on. The model thus sees all tokens before a scored
  target, each in the encoder or in the decoder, and the product of the targets'
  probabilities is exactly the likelihood of the scored part of the window given
  the rest. The model has met such a division of a text in training only if it
  learned to continue texts.

  Args:
    batch: `inputs`, `weights`, `positions` and `segments`, [B, T].
    mark: Id that ends the encoder's text; None leaves it out.
    start: First id that the decoder reads.

  Returns:
    A batch for the model. The decoder's tokens keep their places, and so do
    targets and weights; the encoder's rows have 2 T places, the second half for
    marks, or T places without a mark.
  """
  d = shapes.bind(inputs_BT=batch['inputs'], weights_BT=batch['weights'])
  inputs_BT, segments_BT = batch['inputs'], batch['segments']
  scored_BT = ((batch['weights'] > 0) & (segments_BT > 0)).astype(jnp.int32)
  index_BT = jnp.broadcast_to(jnp.arange(d.T)[None], inputs_BT.shape)
  begins_BT = jnp.concatenate([
      jnp.ones((d.B, 1), bool), segments_BT[:, 1:] != segments_BT[:, :-1]], 1)
  before_BT = jnp.cumsum(scored_BT, axis=1) - scored_BT  # In the whole row.
  before_BT -= jax.lax.cummax(  # In the segment.
      jnp.where(begins_BT, before_BT, -1), axis=1)
  is_first_BT = (scored_BT > 0) & (before_BT == 0)
  decoded_BT = (before_BT > 0) | is_first_BT
  first_BT = jax.lax.cummax(jnp.where(is_first_BT, index_BT, 0), axis=1)

  encoder = {
      'encoder_inputs': inputs_BT, 'encoder_positions': batch['positions'],
      'encoder_segments': jnp.where(
          decoded_BT & ~is_first_BT, 0, segments_BT)}
  if mark is not None:
    marks = {
        'encoder_inputs': jnp.full_like(inputs_BT, mark),
        'encoder_positions': batch['positions'] + 1,
        'encoder_segments': jnp.where(is_first_BT, segments_BT, 0)}
    encoder = {name: jnp.concatenate([array, marks[name]], axis=1)
               for name, array in encoder.items()}
  return encoder | {
      'inputs': jnp.where(is_first_BT, start, inputs_BT),
      'positions': jnp.where(decoded_BT, index_BT - first_BT, 0),
      'segments': jnp.where(decoded_BT, segments_BT, 0)}


def window_scores(
    model: nn.Module, mark: int | None, start: int, params: Any,
    batch: Batch) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` in nats and `correct_BT` of a plain batch's targets.

  Args:
    model: A module like `models.encoder_decoder.EncoderDecoder`.
    mark: See `divided`.
    start: See `divided`.
    params: The model's parameters.
    batch: `inputs`, `targets`, `weights`, `positions` and `segments`, [B, T].
  """
  parts = divided(batch, mark, start)
  return row_scores(model, params, {
      **parts, 'targets': batch['targets'], 'weights': batch['weights']})


def hidden(model: nn.Module, params: Any, batch: Batch,
           rng: jax.Array | None) -> jax.Array:
  """Returns the decoder's hidden states, `x_BTD`, for `Seq2Seq.build`'s batch.
  """
  train = rng is not None
  rngs = (None, None)
  if train:
    rngs = tuple({'dropout': key} for key in jax.random.split(rng))
  segments_BS, positions_BS = (
      batch[f'encoder_{name}'] for name in ('segments', 'positions'))
  memory_BSD = model.apply(
      {'params': params}, batch['encoder_inputs'],
      masks.Mask(positions_BS, positions_BS, segments_BS, segments_BS,
                 causal=False),
      train=train, rngs=rngs[0], method='encode')
  x_BTD, _ = model.apply(
      {'params': params}, batch['inputs'],
      masks.make(batch['positions'], batch['segments']),
      memory_BSD=memory_BSD, memory_segments_BS=segments_BS, train=train,
      rngs=rngs[1], method='hidden')
  return x_BTD
