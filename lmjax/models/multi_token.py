"""A decoder with additional heads that predict 2, 3, ... tokens ahead."""
from collections.abc import Callable
import dataclasses
from typing import Annotated, Any

import flax.linen as nn
import jax

from lmjax.core import ranges
from lmjax.models import decoder
from lmjax.models import model
from lmjax.nn import attend as attend_lib
from lmjax.nn import masks
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import stack as stack_lib


@dataclasses.dataclass(frozen=True)
@ranges.checked
class MultiTokenConfig:
  """A decoder with heads for the tokens after the next one.

  Each head is an additional block on the decoder's hidden states and a norm;
  the decoder's own output layer computes the logits. The decoder's parameters
  keep their names, so they can be used alone after the heads are removed.

  Attributes:
    trunk: The decoder, which predicts the next token.
    heads: Number of further tokens to predict, one per head.

  References:
    Gloeckle et al., Better & Faster Large Language Models via Multi-token
    Prediction, arXiv:2404.19737, section 2. In the paper the next token also
    has its own block; here this is the trunk's last block.
  """
  trunk: decoder.DecoderConfig = decoder.DecoderConfig()
  heads: Annotated[int, ranges.Range(
      1, note='For the next token alone choose '
      '--config.model.kind=DecoderConfig.')] = 3

  @property
  def vocab_size(self) -> int | None:
    return self.trunk.vocab_size

  @property
  def context(self) -> int:
    return self.trunk.context

  @property
  def width(self) -> int:
    return self.trunk.width

  @property
  def num_layers(self) -> int:
    return self.trunk.num_layers

  @property
  def dtype(self) -> str:
    return self.trunk.dtype

  @property
  def traits(self) -> model.Traits:
    trunk = self.trunk.traits
    return dataclasses.replace(
        trunk, blocks=False, stages=0, heads=trunk.heads | {'ahead'})

  def with_vocab(self, tokenizer_size: int) -> 'MultiTokenConfig':
    """Returns the config with its vocabulary size set; see `vocabulary`."""
    return dataclasses.replace(
        self, trunk=self.trunk.with_vocab(tokenizer_size))

  def build(self, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'MultiToken':
    """Returns the module; `attend` replaces the arithmetic of attention."""
    self.trunk.build()  # Raises InputError if the trunk is incomplete.
    return MultiToken(self, attend)


class MultiToken(nn.Module):
  """A decoder with all of its methods, and `ahead`.

  Parameters: the decoder's, and `ahead_2`, `ahead_3`, ... for the heads.
  """
  config: MultiTokenConfig
  attend: Callable[..., jax.Array] = attend_lib.best

  def setup(self):
    trunk = self.config.trunk
    self.trunk = decoder.Decoder(trunk, self.attend)
    nn.share_scope(self, self.trunk)
    self.further = [
        _Head(trunk, self.attend, name=f'ahead_{i + 2}')
        for i in range(self.config.heads)]

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               cache: Any = None, train: bool = False
               ) -> tuple[jax.Array, Any]:
    """Predicts the next token as `models.decoder.Decoder` does."""
    x_BTD, cache = self.hidden(inputs_BT, mask, cache=cache, train=train)
    if self.is_initializing():  # Initialises the parameters of every head.
      self.ahead(x_BTD, mask)
    return self.logits(x_BTD), cache

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             cache: Any = None, train: bool = False
             ) -> tuple[jax.Array, Any]:
    """Returns the decoder's normed residual stream, `x_BTD`."""
    return self.trunk.hidden(inputs_BT, mask, cache=cache, train=train)

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for hidden states of the trunk or a head."""
    return self.trunk.logits(x_BTD)

  def ahead(self, x_BTD: jax.Array, mask: masks.Mask | None = None, *,
            train: bool = False) -> list[jax.Array]:
    """Returns hidden states that predict 2, 3, ... tokens ahead.

    Args:
      x_BTD: Hidden states from `hidden`.
      mask: The mask of the tokens, as in `hidden`.
      train: Whether dropout is on.
    """
    if mask is None:
      mask = masks.of_length(x_BTD.shape[1])
    return [head(x_BTD, mask, train) for head in self.further]

  def empty_cache(self, batch: int, length: int) -> Any:
    """Returns the decoder's cache; generation does not use the heads."""
    trunk = decoder.Decoder(self.config.trunk, parent=None)
    return trunk.empty_cache(batch, length)


class _Head(nn.Module):
  """One block and a norm on the trunk's hidden states."""
  config: decoder.DecoderConfig
  attend: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x_BTD, mask, train):
    config = self.config
    bias_BNTS = config.positions.bias(mask, config.block.mixer.num_heads)
    x_BTD, _ = stack_lib.Stack(
        pattern_lib.arrange(None, config.block, 1, config.positions),
        config.policy, self.attend, name='stack')(
            x_BTD, None, mask, bias_BNTS, None, train)
    if config.final_norm is not None:
      x_BTD = config.final_norm.build('final_norm')(x_BTD)
    return x_BTD
