"""The recurrent language model: LSTM or GRU layers, with AWD's dropout."""
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models import model
from lmjax.models import vocabulary
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import recurrent

Carry = tuple[recurrent.State, ...]  # The state of each layer.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Dropout:
  """The dropout rates of a recurrent model.

  Attributes:
    words: Rate for whole words: all occurrences of an id in the batch together.
    input: Rate on the embeddings.
    between: Rate on the outputs of each layer except the last.
    output: Rate on the outputs of the last layer.
    locked: Whether a row's dropout mask is the same at all time steps.

  References:
    Zaremba et al., Recurrent Neural Network Regularization, arXiv:1409.2329,
    eq. 4 (no dropout on what is carried through time); Gal and Ghahramani,
    arXiv:1512.05287, section 4 (locked masks, whole words).
  """
  words: ranges.Rate = 0.0
  input: ranges.Rate = 0.0
  between: ranges.Rate = 0.0
  output: ranges.Rate = 0.0
  locked: bool = False


@dataclasses.dataclass(frozen=True)
@ranges.checked
class RecurrentConfig(vocabulary.Sized):
  """A recurrent language model.

  Attributes:
    vocab_size: Vocabulary size V; None means the tokenizer's.
    context: The longest row, in tokens, if the data do not set a length, and
      the longest text that is generated. The model itself has no limit.
    width: Size of the embeddings.
    num_layers: Number of layers.
    cell: The kind and the size of a layer.
    last_hidden: Size of the last layer; None means the size of the others.
    tied: Whether the head is the transposed embedding. If the sizes of the last
      layer and the embeddings differ, there is a projection between them.
    head_bias: Whether the head has a bias, tied or not.
    dropout: The dropout rates.
    init_scale: Initial embeddings and head are uniform in [-init_scale,
      init_scale].
    dtype: Dtype of activations and matrix products; states, logits and
      parameters are float32.

  References:
    Mikolov et al., Recurrent neural network based language model, 2010;
    Zaremba et al., arXiv:1409.2329; Merity et al., arXiv:1708.02182 (AWD);
    Press and Wolf, arXiv:1608.05859 (tied weights).
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 256
  width: ranges.Count = 200
  num_layers: ranges.Count = 2
  cell: recurrent.Config = recurrent.LSTMConfig()
  last_hidden: ranges.Count | None = None
  tied: bool = False
  head_bias: bool = True
  dropout: Dropout = Dropout()
  init_scale: ranges.Positive = 0.1
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'

  @property
  def traits(self) -> model.Traits:
    return model.Traits(causal=True, cached=True, carries_state=True)

  @property
  def policy(self) -> layers.Policy:
    return layers.Policy(
        self.dtype, init_std=self.init_scale / 3**0.5, uniform=True)

  @property
  def cells(self) -> tuple[recurrent.Config, ...]:
    """The layers, first to last."""
    last = dataclasses.replace(
        self.cell, hidden=self.last_hidden or self.cell.hidden)
    return (self.cell,) * (self.num_layers - 1) + (last,)

  def build(self, attend: Any = None) -> 'RecurrentModel':
    """Returns the module; `attend` is unused, as there is no attention."""
    del attend
    vocabulary.check(self.vocab_size)
    return RecurrentModel(self)


class RecurrentModel(nn.Module):
  """Maps token ids to next-token logits, with a state that can be carried over.

  The state is reset wherever the mask's positions are 0, and padding does not
  change it, so packed documents do not see each other.

  Parameters: `embed`, `layer_0` ..., `projection` (if tied sizes differ), and
  `head` (untied) or `head_bias` (tied).
  """
  config: RecurrentConfig

  def setup(self):
    config, policy = self.config, self.config.policy
    self.embed = layers.Embedding(config.vocab_size, config.width, policy)
    self.layer = [cell.build(policy) for cell in config.cells]
    if not config.tied:
      self.head = layers.Head(config.vocab_size, policy, config.head_bias)
      return
    if config.cells[-1].hidden != config.width:
      self.projection = layers.Dense(config.width, policy, use_bias=False)
    if config.head_bias:
      self.head_bias = self.param(
          'head_bias', nn.initializers.zeros, (config.vocab_size,))

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               cache: Carry | None = None, train: bool = False
               ) -> tuple[jax.Array, Carry]:
    """Predicts the token after each token.

    Args:
      inputs_BT: Token ids.
      mask: Positions and padding; by default each row is one document from
        position 0 on, so an earlier state is forgotten.
      cache: The state of each layer, from `empty_cache` or an earlier call;
        None means zeros.
      train: Whether dropout is on; it then uses the 'dropout' rng.

    Returns:
      Float32 `logits_BTV`, and the states after the last token.
    """
    x_BTD, carry = self.hidden(inputs_BT, mask, cache=cache, train=train)
    return self.logits(x_BTD), carry

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             cache: Carry | None = None, train: bool = False
             ) -> tuple[jax.Array, Carry]:
    """Returns the last layer's outputs after dropout, and the states."""
    _, x_BTD, carry = self.outputs(inputs_BT, mask, cache=cache, train=train)
    return x_BTD, carry

  @nn.compact
  def outputs(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
              cache: Carry | None = None, train: bool = False
              ) -> tuple[jax.Array, jax.Array, Carry]:
    """Returns the last layer's outputs before and after dropout, and states.

    The regularisers of AWD-LSTM need both outputs.
    """
    config, rates = self.config, self.config.dropout
    d = shapes.bind(inputs_BT=inputs_BT)
    if mask is None:
      mask = masks.of_length(d.T)
    masks.check(mask, d.T)
    resets_BT = jnp.broadcast_to(
        mask.query_positions_BT == 0, (d.B, d.T))
    if mask.query_segments_BT is None:
      real_BT = jnp.ones_like(resets_BT)
    else:
      real_BT = jnp.broadcast_to(mask.query_segments_BT > 0, (d.B, d.T))
    resets_BT &= real_BT

    def drop(x_BTD, rate):
      return layers.Dropout(
          rate, broadcast_dims=(1,) if rates.locked else (),
          deterministic=not train)(x_BTD)

    x_BTD = self._without_words(self.embed(inputs_BT), inputs_BT, train)
    after = x_BTD = drop(x_BTD, rates.input)
    carry = []
    for i, layer in enumerate(self.layer):
      x_BTD, state = layer(
          after, None if cache is None else cache[i], resets_BT=resets_BT,
          real_BT=real_BT, train=train)
      carry.append(state)
      is_last = i == config.num_layers - 1
      after = drop(x_BTD, rates.output if is_last else rates.between)
    return x_BTD, after, tuple(carry)

  def _without_words(self, x_BTD, inputs_BT, train):
    """Returns the embeddings with dropped words set to 0."""
    rate = self.config.dropout.words
    if not train or not rate:
      return x_BTD
    scale_V = jax.random.bernoulli(
        self.make_rng('dropout'), 1 - rate, (self.config.vocab_size,))
    scale_V = scale_V.astype(x_BTD.dtype) / (1 - rate)
    return x_BTD * scale_V[inputs_BT][..., None]

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for hidden states."""
    config = self.config
    if not config.tied:
      return self.head(x_BTD)
    if config.cells[-1].hidden != config.width:
      x_BTD = self.projection(x_BTD)
    logits_BTV = self.embed.logits(x_BTD)
    if config.head_bias:
      logits_BTV += self.head_bias[None, None]
    return logits_BTV

  def empty_cache(self, batch: int, length: int = 0) -> Carry:
    """Returns the initial states; `length` is ignored."""
    del length
    return tuple(cell.empty_state(batch) for cell in self.config.cells)
