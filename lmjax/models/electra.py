"""ELECTRA: two encoders with shared embeddings, as one module."""
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.models import encoder
from lmjax.models import model
from lmjax.models import parts
from lmjax.models import vocabulary
from lmjax.nn import attend as attend_lib
from lmjax.nn import masks

_SMALL = encoder.EncoderConfig(
    width=64, num_layers=4, embed=parts.TypedEmbed(size=128))
_LARGE = encoder.EncoderConfig(
    tokens=None, replaced=encoder.ReplacedHead())


@dataclasses.dataclass(frozen=True)
class ElectraConfig:
  """A small generator, and the discriminator that is kept after training.

  Attributes:
    generator: The encoder that proposes tokens; it works best with a quarter to
      a half of the discriminator's width. It needs the head `tokens`.
    discriminator: The encoder that detects replaced tokens. It needs the head
      `replaced`. Both encoders must have the same embeddings.

  References:
    Clark et al., ELECTRA, arXiv:2003.10555, sections 2 and 3.2.
  """
  generator: encoder.EncoderConfig = _SMALL
  discriminator: encoder.EncoderConfig = _LARGE

  def __post_init__(self):
    if self.generator.tokens is None or self.discriminator.replaced is None:
      raise errors.InputError(
          'ELECTRA needs the heads generator.tokens and '
          'discriminator.replaced: set '
          '--config.model.generator.tokens.kind=TokenHead and '
          '--config.model.discriminator.replaced.kind=ReplacedHead.')
    theirs = _of_embeddings(self.discriminator)
    for field, ours in _of_embeddings(self.generator).items():
      if ours != theirs[field]:
        raise errors.InputError(
            'The encoders of ELECTRA share their embeddings, so '
            f'model.generator.{field} and model.discriminator.{field} should '
            f'be alike; got {ours} and {theirs[field]}.')

  @property
  def traits(self) -> model.Traits:
    return model.Traits(
        both_ways=True, attends=True, types=self.discriminator.embed.types,
        heads=frozenset({'tokens', 'replaced', 'generator'}))

  @property
  def vocab_size(self) -> int | None:
    return self.discriminator.vocab_size

  @property
  def context(self) -> int:
    return self.discriminator.context

  @property
  def width(self) -> int:
    return self.discriminator.width

  @property
  def num_layers(self) -> int:
    return self.discriminator.num_layers

  @property
  def dtype(self) -> str:
    return self.discriminator.dtype

  def with_vocab(self, tokenizer_size: int) -> 'ElectraConfig':
    """Returns the config with its vocabulary size set; see `vocabulary`."""
    return ElectraConfig(self.generator.with_vocab(tokenizer_size),
                         self.discriminator.with_vocab(tokenizer_size))

  def build(self, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'Electra':
    """Returns the module; `attend` replaces the arithmetic of attention."""
    vocabulary.check(self.vocab_size)
    return Electra(self, attend)


class Electra(nn.Module):
  """A generator and a discriminator with the same embeddings.

  Parameters: `embeddings`, `generator` and `discriminator`. `embeddings` and
  `discriminator` together are the parameters of an `Encoder`: see
  `discriminator_params`.
  """
  config: ElectraConfig
  attend: Callable[..., jax.Array] = attend_lib.best

  def setup(self):
    config = self.config
    self.embeddings = encoder.embeddings(config.discriminator)
    self.generator = encoder.Encoder(
        config.generator, self.attend, self.embeddings)
    self.discriminator = encoder.Encoder(
        config.discriminator, self.attend, self.embeddings)

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               types_BT: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, None]:
    """Returns the generator's `logits_BTV`, and None.

    The arguments are the same as for `Encoder`.
    """
    if self.is_initializing():
      self.discriminator(inputs_BT, mask, types_BT=types_BT, train=train)
    return self.generator(inputs_BT, mask, types_BT=types_BT, train=train)

  def generator_hidden(self, inputs_BT: jax.Array,
                       mask: masks.Mask | None = None, *,
                       types_BT: jax.Array | None = None, train: bool = False
                       ) -> tuple[jax.Array, None]:
    """Returns the generator's hidden states, for `logits`, and None."""
    return self.generator.hidden(
        inputs_BT, mask, types_BT=types_BT, train=train)

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns the generator's float32 `logits_BTV`."""
    return self.generator.logits(x_BTD)

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             types_BT: jax.Array | None = None, train: bool = False
             ) -> tuple[jax.Array, None]:
    """Returns the discriminator's hidden states, and None."""
    return self.discriminator.hidden(
        inputs_BT, mask, types_BT=types_BT, train=train)

  def replaced_logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns the discriminator's float32 `logits_BT`."""
    return self.discriminator.replaced_logits(x_BTD)


def _of_embeddings(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns {field: value} for all fields that affect the embeddings."""
  embed, width = config.embed, config.width
  embed = dataclasses.replace(
      embed, size=embed.table_size(width), scale=embed.multiplier(width))
  found = {f'embed.{field.name}': getattr(embed, field.name)
           for field in dataclasses.fields(embed)}
  found |= {name: getattr(config, name) for name in (
      'vocab_size', 'context', 'positions', 'init_std', 'dtype')}
  return found | ({'width': width} if embed.widen == 'first' else {})


def discriminator_params(params: Any) -> dict[str, Any]:
  """Returns the parameters of `config.discriminator.build()`."""
  return {**params['embeddings'], **params['discriminator']}


def generator_params(params: Any) -> dict[str, Any]:
  """Returns the parameters of `config.generator.build()`."""
  return {**params['embeddings'], **params['generator']}
