"""fastText: a text as the sum of vectors of its words and n-grams."""
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models import model
from lmjax.models import vocabulary
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import neighbours

_MIX = np.uint32(0x9E3779B1)  # Odd, close to 2^32 over the golden ratio.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class BagOfNgramsConfig(vocabulary.Sized):
  """Vectors of tokens, and of the n-grams that end at each token.

  The hidden state of a token is the sum of its vector and those of the bigram,
  trigram ... that end there. With mean pooling and a linear head, this is the
  classifier of fastText.

  Attributes:
    vocab_size: Vocabulary size V; None means the tokenizer's.
    context: The longest row, in tokens; the model itself has no limit.
    width: Size D of the vectors.
    ngrams: Number of tokens of the longest n-gram.
    buckets: Number of vectors that the n-grams share: a hash of its tokens
      chooses that of an n-gram.
    num_layers: 1, as there are no layers above the vectors.
    dropout: Dropout rate on the sums.
    init_std: Standard deviation of the initial vectors.
    dtype: Dtype of activations and matrix products.

  References:
    Joulin et al., Bag of Tricks for Efficient Text Classification,
    arXiv:1607.01759, section 2.
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 512
  width: ranges.Count = 64
  ngrams: ranges.Count = 2
  buckets: ranges.Count = 2**16
  num_layers: Literal[1] = 1
  dropout: ranges.Rate = 0.0
  init_std: ranges.NonNegative = 0.1
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'

  @property
  def traits(self) -> model.Traits:
    return model.Traits(causal=True)

  @property
  def policy(self) -> layers.Policy:
    return layers.Policy(self.dtype, self.init_std)

  def build(self, attend: Any = None) -> 'BagOfNgrams':
    """Returns the module; `attend` is unused, as there is no attention."""
    del attend
    vocabulary.check(self.vocab_size)
    return BagOfNgrams(self)


class BagOfNgrams(nn.Module):
  """Maps token ids to sums of vectors of n-grams.

  N-grams do not cross the ends of a document, and padding changes nothing.

  Parameters: `embed`, `ngrams` (if there are longer ones than single tokens),
  and `head`, which predicts the next token.
  """
  config: BagOfNgramsConfig

  def setup(self):
    config, policy = self.config, self.config.policy
    self.embed = layers.Embedding(config.vocab_size, config.width, policy)
    if config.ngrams > 1:
      self.ngrams = layers.Embedding(config.buckets, config.width, policy)
    self.head = layers.Head(config.vocab_size, policy, use_bias=True)

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               train: bool = False) -> tuple[jax.Array, None]:
    """Returns float32 `logits_BTV` for the next token, and None."""
    x_BTD, _ = self.hidden(inputs_BT, mask, train=train)
    return self.logits(x_BTD), None

  @nn.compact
  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             train: bool = False) -> tuple[jax.Array, None]:
    """Returns the sums, `x_BTD`, and None, as there is no cache.

    Args:
      inputs_BT: Token ids.
      mask: The documents of the tokens; by default each row is one.
      train: Whether dropout is on; it then uses the 'dropout' rng.
    """
    config, d = self.config, shapes.bind(inputs_BT=inputs_BT)
    segments_BT = neighbours.segments(mask, d.B, d.T)
    x_BTD = self.embed(inputs_BT)
    hash_BT = inputs_BT.astype(jnp.uint32) * _MIX
    for n in range(2, config.ngrams + 1):
      hash_BT = (hash_BT ^ (hash_BT >> 15)) * _MIX
      hash_BT += neighbours.shifted(inputs_BT, 1 - n).astype(jnp.uint32)
      same_BT = neighbours.shifted(segments_BT, 1 - n) == segments_BT
      found_BTD = self.ngrams(_mixed(hash_BT, n) % config.buckets)
      x_BTD += jnp.where(same_BT[:, :, None], found_BTD, 0)
    return layers.Dropout(config.dropout, deterministic=not train)(x_BTD), None

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for sums."""
    return self.head(x_BTD)


def _mixed(hash_BT: jax.Array, order: int) -> jax.Array:
  """Returns hashes whose low bits depend on all of theirs and on the order."""
  hash_BT = (hash_BT + np.uint32(order)) * _MIX
  return hash_BT ^ (hash_BT >> 16)
