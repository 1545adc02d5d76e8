"""TextCNN: convolutions over the words of a text, for classification."""
import dataclasses
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models import model
from lmjax.models import vocabulary
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import neighbours


@dataclasses.dataclass(frozen=True)
@ranges.checked
class TextCNNConfig(vocabulary.Sized):
  """A stack of convolutions with windows of several sizes.

  The hidden state of a token has one value for each feature map, and the
  classifier of the paper is `heads.pooled` with pooling 'max' and dropout 0.5.

  Attributes:
    vocab_size: Vocabulary size V; None means the tokenizer's.
    context: The longest row, in tokens; the model itself has no limit.
    embedding: Size of the embeddings.
    sizes: The number of tokens in a window of each size.
    maps: Number of feature maps of each window size, so that D is this times
      the number of sizes.
    num_layers: Number of layers. From the second on, their results are added to
      their inputs.
    dropout: Dropout rate on the embeddings.
    init_std: Standard deviation of the initial embeddings.
    dtype: Dtype of activations and matrix products.

  References:
    Kim, Convolutional Neural Networks for Sentence Classification,
    arXiv:1408.5882, section 2 (windows of 3, 4 and 5 words, 100 maps each).
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 512
  embedding: ranges.Count = 128
  sizes: tuple[Annotated[int, ranges.Range(1)], ...] = (3, 4, 5)
  maps: ranges.Count = 100
  num_layers: ranges.Count = 1
  dropout: ranges.Rate = 0.0
  init_std: ranges.NonNegative = 0.1
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'

  def __post_init__(self):
    if not self.sizes or len(set(self.sizes)) < len(self.sizes):
      raise errors.InputError(
          'model.sizes should be the sizes of windows, each once, such as '
          f'3,4,5; got {self.sizes}.')

  @property
  def width(self) -> int:
    """D, the number of feature maps of all sizes."""
    return self.maps * len(self.sizes)

  @property
  def traits(self) -> model.Traits:
    return model.Traits(both_ways=True)

  @property
  def policy(self) -> layers.Policy:
    return layers.Policy(self.dtype, self.init_std)

  def build(self, attend: Any = None) -> 'TextCNN':
    """Returns the module; `attend` is unused, as there is no attention."""
    del attend
    vocabulary.check(self.vocab_size)
    return TextCNN(self)


class TextCNN(nn.Module):
  """Maps token ids to feature maps of the windows around each token.

  Windows end at the ends of a document, and padding changes nothing.

  Parameters: `embed`, `layer_0` ..., and `head`, which predicts the token at
  each place, for pretraining on masked tokens.
  """
  config: TextCNNConfig

  def setup(self):
    config, policy = self.config, self.config.policy
    self.embed = layers.Embedding(config.vocab_size, config.embedding, policy)
    self.layer = [_Convolutions(config.sizes, config.maps, policy)
                  for _ in range(config.num_layers)]
    self.head = layers.Head(config.vocab_size, policy, use_bias=True)

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               train: bool = False) -> tuple[jax.Array, None]:
    """Returns float32 `logits_BTV` for the token at each place, and None."""
    x_BTD, _ = self.hidden(inputs_BT, mask, train=train)
    return self.logits(x_BTD), None

  @nn.compact
  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             train: bool = False) -> tuple[jax.Array, None]:
    """Returns the feature maps, `x_BTD`, and None, as there is no cache.

    Args:
      inputs_BT: Token ids.
      mask: The documents of the tokens; by default each row is one.
      train: Whether dropout is on; it then uses the 'dropout' rng.
    """
    config, d = self.config, shapes.bind(inputs_BT=inputs_BT)
    segments_BT = neighbours.segments(mask, d.B, d.T)
    x_BTE = layers.Dropout(config.dropout, deterministic=not train)(
        self.embed(inputs_BT))
    x_BTD = self.layer[0](x_BTE, segments_BT)
    for layer in self.layer[1:]:
      x_BTD += layer(x_BTD, segments_BT)
    return x_BTD, None

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for feature maps."""
    return self.head(x_BTD)


class _Convolutions(nn.Module):
  """Feature maps of windows of several sizes around each token.

  For a window of h tokens and a filter w, a map is
  relu(w . x_{i:i+h-1} + b) (eq. 2 of the paper). The products of all tokens
  with all h rows of the filters are one matrix product, `window_h`; the sums
  over a window come after it, so that tokens of other documents can be left
  out.
  """
  sizes: tuple[int, ...]
  maps: int
  policy: layers.Policy

  @nn.compact
  def __call__(self, x_BTE: jax.Array, segments_BT: jax.Array) -> jax.Array:
    std, found = (x_BTE.shape[-1] * max(self.sizes)) ** -0.5, []
    bias_D = self.param(
        'bias', nn.initializers.zeros, (self.maps * len(self.sizes),))
    for size in self.sizes:
      y_BTF = layers.Dense(
          self.maps * size, self.policy, use_bias=False, init_std=std,
          name=f'window_{size}')(x_BTE)
      found.append(sum(
          neighbours.at(x_BTM, segments_BT, place - (size - 1) // 2)
          for place, x_BTM in enumerate(jnp.split(y_BTF, size, axis=-1))))
    x_BTD = jnp.concatenate(found, axis=-1)
    return nn.relu(x_BTD + bias_D.astype(x_BTD.dtype)[None, None])
