"""The decoder-only Transformer: GPT-2, Llama and their variants."""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models import model
from lmjax.models import parts
from lmjax.models import vocabulary
from lmjax.nn import attend as attend_lib
from lmjax.nn import block as block_lib
from lmjax.nn import caches
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import modules
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import positions as positions_lib
from lmjax.nn import stack as stack_lib
from lmjax.nn import taps


@dataclasses.dataclass(frozen=True)
@ranges.checked
class DecoderConfig(vocabulary.Sized):
  """A configurable decoder.

  Attributes:
    vocab_size: Vocabulary size V; None means the tokenizer's.
    context: The longest sequence, in tokens.
    width: Size D of the residual stream.
    num_layers: Number of blocks.
    block: The block, with its mixer, MLP and norms.
    pattern: How layers differ in their blocks; None means that all are alike.
    positions: How positions enter the model.
    final_norm: The norm before the head; None where blocks end in one.
    causal: Whether the model is trained with a causal mask, so that it can
      generate. The mask given to a call decides which tokens are seen.
    embed: How token ids become the input of the first block.
    head: How hidden states become logits.
    init_std: Standard deviation of initial weights; kernels that write to the
      residual stream get init_std / sqrt(2 * num_layers), as in GPT-2.
    dtype: Dtype of activations and matrix products. Parameters, statistics of
      norms, softmax and logits are float32.
    scan: Whether blocks are scanned (one compiled block) or looped.
    remat: What the backward pass recomputes: nothing, all of each block
      ('full'), or all but its matrix products ('dots'), which can be kept in
      the host's memory ('offload').

  References:
    Radford et al., Language Models are Unsupervised Multitask Learners, 2019;
    Touvron et al., LLaMA, arXiv:2302.13971.
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 256
  width: ranges.Count = 128
  num_layers: ranges.Count = 4
  block: block_lib.Config = block_lib.PreNorm()
  pattern: pattern_lib.Pattern | None = None
  positions: positions_lib.Positions = positions_lib.Learned()
  final_norm: layers.Norm | None = layers.LayerNorm()
  causal: bool = True
  embed: parts.Embed = parts.Embed()
  head: parts.Heads = parts.Head()
  init_std: ranges.NonNegative = 0.02
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'
  scan: bool = False
  remat: Literal['none', 'full', 'dots', 'offload'] = 'none'

  def __post_init__(self):
    self.arrangement.check_width(self.width)

  @property
  def policy(self) -> layers.Policy:
    return layers.Policy(
        self.dtype, self.init_std,
        self.init_std / (2 * self.num_layers) ** 0.5)

  @property
  def arrangement(self) -> pattern_lib.Arrangement:
    """The layers in order."""
    return pattern_lib.arrange(
        self.pattern, self.block, self.num_layers, self.positions)

  @property
  def traits(self) -> model.Traits:
    arrangement = self.arrangement
    return model.Traits(
        causal=self.causal, both_ways=not self.causal,
        attends=arrangement.attends, cached=self.causal, blocks=True,
        stages=arrangement.stages if self.scan else 0,
        offloads=self.remat == 'offload', mixture=arrangement.mixture)

  def build(self, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'Decoder':
    """Returns the module; `attend` replaces the arithmetic of attention."""
    vocabulary.check(self.vocab_size)
    return Decoder(self, attend)


class Decoder(nn.Module):
  """Maps token ids to next-token logits.

  Parameters: `embed`, `positions` (if learned), `embed_norm`, `widen` (if
  embeddings do not have size D), `layer_0` ... (or `layers`, stacked, if
  scanned), `final_norm`, and `head` (if it has parameters).
  """
  config: DecoderConfig
  attend: Callable[..., jax.Array] = attend_lib.best

  def setup(self):
    config, policy = self.config, self.config.policy
    self.embeddings = parts.Embeddings(
        config.embed, config.vocab_size, config.width, config.context,
        config.positions, policy)
    nn.share_scope(self, self.embeddings)  # `embed`, not `embeddings/embed`.
    self.head = parts.Logits(config.head, config.vocab_size, policy)
    self.stack = stack_lib.Stack(
        config.arrangement, policy, self.attend, config.scan, config.remat)
    nn.share_scope(self, self.stack)  # `layer_0/...`, not `stack/layer_0/...`.

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               cache: caches.Tokens | None = None, train: bool = False
               ) -> tuple[jax.Array, caches.Tokens | None]:
    """Predicts the token after each token.

    Args:
      inputs_BT: Token ids.
      mask: Positions, documents and order of the tokens; by default each row is
        one document from position 0 on.
      cache: The cache from `empty_cache` or an earlier call, or None.
      train: Whether dropout is on; it then uses the 'dropout' rng.

    Returns:
      Float32 `logits_BTV`, and the cache with T more tokens.
    """
    x_BTD, cache = self.hidden(inputs_BT, mask, cache=cache, train=train)
    return self.logits(x_BTD), cache

  @nn.compact
  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             cache: caches.Tokens | None = None, train: bool = False
             ) -> tuple[jax.Array, caches.Tokens | None]:
    """Returns the normed residual stream before the head, `x_BTD`."""
    config = self.config
    d = shapes.bind(inputs_BT=inputs_BT)
    if mask is None:
      mask = masks.of_length(d.T, causal=config.causal)
    masks.check(mask, d.T)
    if d.T > config.context:
      raise errors.InputError(
          f'Got {d.T} tokens, but model.context is {config.context}.')

    x_BTD = config.embed.widened(
        self.embeddings(inputs_BT, mask.query_positions_BT, train=train),
        config.width, config.policy)
    x_BTD = taps.tap(self, 'embedding', x_BTD)

    slots_B = None
    if cache is not None:
      slots_B = cache.slots_B
      cache, mask = cache.extend(mask)
    bias_BNTS = config.positions.bias(mask, config.block.mixer.num_heads)
    x_BTD, layer_caches = self.stack(
        x_BTD, None if cache is None else cache.layers, mask, bias_BNTS,
        slots_B, train)
    if cache is not None:
      cache = cache.replace(layers=layer_caches)
    if config.final_norm is not None:
      x_BTD = config.final_norm.build('final_norm')(x_BTD)
    return taps.tap(self, 'final', x_BTD), cache

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for hidden states."""
    return taps.tap(
        self, 'logits', self.head(x_BTD, self.embeddings.tokens))

  def empty_cache(self, batch: int, length: int) -> caches.Tokens:
    """Returns a cache with room for `length` tokens in each of `batch` rows."""
    config = self.config
    if not config.causal:
      raise errors.InputError(
          'A model with model.causal = False cannot generate: its tokens were '
          'predicted from both sides. Fill masks with it, or train a causal '
          'one.')
    if length > config.context:
      raise errors.InputError(
          f'A cache of {length} tokens exceeds model.context = '
          f'{config.context}.')
    each = stack_lib.empty_caches(
        config.arrangement, config.scan, lambda block: block.mixer.empty_cache(
            batch, length, config.width, config.dtype))
    return caches.Tokens.empty(each, batch, length)


def initial_params(model: nn.Module, seed: int | jax.Array) -> Any:
  """Returns a model's initial parameters; `seed` may be a typed key."""
  modules.check(model)
  key = jax.random.key(seed) if isinstance(seed, int) else seed
  ids_BT = jnp.zeros((1, 1), jnp.int32)
  return jax.jit(model.init)(key, ids_BT)['params']
