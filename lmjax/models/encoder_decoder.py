"""The encoder-decoder Transformer: the original one, T5, BART and variants."""
from collections.abc import Callable
import dataclasses
from typing import Literal

from flax import struct
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
from lmjax.nn import cross
from lmjax.nn import decoder_block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import positions as positions_lib
from lmjax.nn import stack as stack_lib
from lmjax.nn import taps

_ROOM = 2  # Positions beyond the context, for BOS and EOS.


@struct.dataclass
class Cache(caches.Tokens):
  """A decoder's cache: its tokens, and the memory that they attend to.

  The first call with a memory stores each layer's keys and values of it, so
  later calls need only the cache.
  """
  memory_segments_BS: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
@ranges.checked
class EncoderDecoderConfig(vocabulary.Sized):
  """A configurable encoder-decoder.

  Attributes:
    vocab_size: Vocabulary size V of both sides; None means the tokenizer's.
    context: The longest text on either side, in tokens.
    width: Size D of both residual streams.
    num_layers: Number of blocks of the encoder.
    num_decoder_layers: Number of blocks of the decoder; None means as many as
      in the encoder.
    block: The block of both sides; the decoder's also has cross-attention, with
      the config of the mixer.
    pattern: How layers differ in their blocks, on each side; None means that
      all are alike.
    positions: How positions enter, on each side. `Relative` is bidirectional in
      the encoder.
    final_norm: The norm after each stack; None where blocks end in one.
    embed: How token ids become the input of the first block of each side. Both
      sides share one table, but each has its own norm and positions. The
      dropout rate also applies to the output of each stack.
    head: How hidden states of the decoder become logits.
    init_std: Standard deviation of initial weights; kernels that write to a
      residual stream get init_std / sqrt(number of its branches).
    dtype: Dtype of activations and matrix products. Parameters, statistics of
      norms, softmax and logits are float32.
    scan: Whether blocks are scanned (one compiled block) or looped.
    remat: What the backward pass recomputes: nothing, all of each block
      ('full'), or all but its matrix products ('dots'), which can be kept in
      the host's memory ('offload').

  References:
    Vaswani et al., Attention Is All You Need, arXiv:1706.03762; Raffel et al.,
    T5, arXiv:1910.10683, section 2.1.
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 256
  width: ranges.Count = 128
  num_layers: ranges.Count = 2
  num_decoder_layers: ranges.Count | None = None
  block: block_lib.Config = block_lib.PreNorm()
  pattern: pattern_lib.Pattern | None = None
  positions: positions_lib.Positions = positions_lib.Relative()
  final_norm: layers.Norm | None = layers.LayerNorm()
  embed: parts.Embed = parts.Embed()
  head: parts.Heads = parts.Head()
  init_std: ranges.NonNegative = 0.02
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'
  scan: bool = False
  remat: Literal['none', 'full', 'dots', 'offload'] = 'none'

  def __post_init__(self):
    encoder = self.encoder_arrangement()
    encoder.check_attends('An encoder-decoder reads both ways and across')
    encoder.check_width(self.width)
    for layer in self.decoder_arrangement().layers:
      layer.block.module()

  @property
  def traits(self) -> model.Traits:
    return model.Traits(
        attends=True, encodes=True, reads_source=True, cached=True, blocks=True,
        offloads=self.remat == 'offload',
        mixture=self.encoder_arrangement().mixture)

  def encoder_arrangement(self) -> pattern_lib.Arrangement:
    """Returns the encoder's layers in order."""
    return self._arrange(self.num_layers, bidirectional=True)

  def decoder_arrangement(self) -> pattern_lib.Arrangement:
    """Returns the decoder's layers, with cross-attention, in order."""
    return self._arrange(self.decoder_layers, bidirectional=False).map_blocks(
        decoder_block.WithCross)

  def _arrange(self, num_layers, bidirectional):
    positions = self.positions
    if isinstance(positions, positions_lib.Relative):
      positions = dataclasses.replace(positions, bidirectional=bidirectional)
    return pattern_lib.arrange(
        self.pattern, self.block, num_layers, positions)

  @property
  def decoder_layers(self) -> int:
    """The number of blocks of the decoder."""
    return self.num_decoder_layers or self.num_layers

  def policy(self, branches: int = 1) -> layers.Policy:
    """Returns the policy of a stack with this number of residual branches."""
    return layers.Policy(
        self.dtype, self.init_std, self.init_std / branches ** 0.5)

  def build(self, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'EncoderDecoder':
    """Returns the module; `attend` replaces the arithmetic of attention."""
    vocabulary.check(self.vocab_size)
    return EncoderDecoder(self, attend)


class Side(nn.Module):
  """The encoder or the decoder: embeddings, a stack and the final norm."""
  config: EncoderDecoderConfig
  table: layers.Embedding
  arrangement: pattern_lib.Arrangement
  branches: int
  attend: Callable[..., jax.Array]

  def setup(self):
    config = self.config
    self.embeddings = parts.Embeddings(
        config.embed, config.vocab_size, config.width, config.context + _ROOM,
        self.arrangement.positions, config.policy(self.branches), self.table)
    nn.share_scope(self, self.embeddings)  # `encoder/positions`.

  @nn.compact
  def __call__(self, inputs_BT, own, sight, cache=None, slots_B=None,
               train=False):
    """Returns the normed residual stream and the layers' caches.

    Args:
      inputs_BT: Token ids.
      own: The mask of the tokens among themselves.
      sight: The mask that the blocks take: `own`, or a `decoder_block.Sight`.
      cache: The layers' caches, or None.
      slots_B: The cache slot of each row's first of the T tokens.
      train: Whether dropout is on.
    """
    config = self.config
    policy = config.policy(self.branches)
    x_BTD = config.embed.widened(
        self.embeddings(inputs_BT, own.query_positions_BT, train=train),
        config.width, policy)
    bias_BNTS = self.arrangement.positions.bias(
        own, config.block.mixer.num_heads)
    stack = stack_lib.Stack(
        self.arrangement, policy, self.attend, config.scan, config.remat,
        name='stack')
    nn.share_scope(self, stack)  # `encoder/layer_0`, not `.../stack/layer_0`.
    x_BTD = taps.tap(self, 'embedding', x_BTD)
    x_BTD, cache = stack(x_BTD, cache, sight, bias_BNTS, slots_B, train)
    if config.final_norm is not None:
      x_BTD = config.final_norm.build('final_norm')(x_BTD)
    x_BTD = self.embeddings.drop(x_BTD, deterministic=not train)
    return taps.tap(self, 'final', x_BTD), cache


class EncoderDecoder(nn.Module):
  """Maps source ids and the target ids so far to next-token logits.

  Parameters: `embed`, which both sides share; `encoder` and `decoder`, each
  with `positions` (if learned), `embed_norm`, `widen` (if embeddings do not
  have size D), `layer_0` ... (or `layers`, stacked, if scanned) and
  `final_norm`; and `head` (if it has parameters).
  """
  config: EncoderDecoderConfig
  attend: Callable[..., jax.Array] = attend_lib.best

  def setup(self):
    config = self.config
    policy = config.policy()
    self.embed = config.embed.table(config.vocab_size, config.width, policy)
    self.head = parts.Logits(config.head, config.vocab_size, policy)
    self.encoder = Side(
        config, self.embed, config.encoder_arrangement(),
        2 * config.num_layers, self.attend)
    self.decoder = Side(
        config, self.embed, config.decoder_arrangement(),
        3 * config.decoder_layers, self.attend)

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               encoder_inputs_BS: jax.Array | None = None,
               encoder_mask: masks.Mask | None = None, train: bool = False
               ) -> tuple[jax.Array, None]:
    """Predicts the token after each of the decoder's tokens.

    Args:
      inputs_BT: Token ids of the decoder.
      mask: Positions, segments and order of the decoder's tokens; by default
        each row is one text.
      encoder_inputs_BS: Token ids of the encoder; by default `inputs_BT`.
      encoder_mask: Positions and segments of the encoder's tokens, with
        causal=False. The decoder's tokens attend to encoder tokens with the
        same segment number.
      train: Whether dropout is on; it then uses the 'dropout' rng.

    Returns:
      Float32 `logits_BTV`, and None in place of a cache.
    """
    if encoder_inputs_BS is None:
      encoder_inputs_BS = inputs_BT
    memory_BSD = self.encode(encoder_inputs_BS, encoder_mask, train=train)
    segments_BS = None if encoder_mask is None else (
        encoder_mask.query_segments_BT)
    x_BTD, _ = self.hidden(
        inputs_BT, mask, memory_BSD=memory_BSD, memory_segments_BS=segments_BS,
        train=train)
    return self.logits(x_BTD), None

  def encode(self, encoder_inputs_BS: jax.Array,
             encoder_mask: masks.Mask | None = None, *, train: bool = False
             ) -> jax.Array:
    """Returns the memory, `memory_BSD`; see `__call__` for arguments."""
    mask = self._mask(encoder_inputs_BS, encoder_mask, causal=False)
    memory_BSD, _ = self.encoder(encoder_inputs_BS, mask, mask, train=train)
    return memory_BSD

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             memory_BSD: jax.Array | None = None,
             memory_segments_BS: jax.Array | None = None,
             cache: Cache | None = None, train: bool = False
             ) -> tuple[jax.Array, Cache | None]:
    """Returns the decoder's normed residual stream before the head.

    Args:
      inputs_BT: Token ids of the decoder.
      mask: Positions, segments and order of the decoder's tokens; by default
        each row is one text.
      memory_BSD: The result of `encode`; None if it is in the cache.
      memory_segments_BS: Segments of the memory; by default all are 1.
      cache: The cache from `empty_cache` or an earlier call, or None.
      train: Whether dropout is on.

    Returns:
      `x_BTD`, and the cache with T more tokens and the memory.
    """
    d = shapes.bind(
        inputs_BT=inputs_BT, memory_BSD=memory_BSD,
        memory_segments_BS=memory_segments_BS)
    own = self._mask(inputs_BT, mask, causal=True)
    if memory_BSD is None:
      memory_segments_BS = None if cache is None else cache.memory_segments_BS
      if memory_segments_BS is None:
        raise errors.InputError(
            'The decoder has no memory to read: give `memory_BSD` from '
            '`encode`, or a cache that was once given it.')
    elif memory_segments_BS is None:
      memory_segments_BS = jnp.ones((d.B, d.S), jnp.int32)

    seen = cross.visible(own, memory_segments_BS)
    slots_B = layer_caches = None
    if cache is not None:
      slots_B, layer_caches = cache.slots_B, cache.layers
      cache, own = cache.extend(own)
    sight = decoder_block.Sight(own, cross.Memory(seen, memory_BSD))
    x_BTD, layer_caches = self.decoder(
        inputs_BT, own, sight, layer_caches, slots_B, train)
    if cache is not None:
      cache = cache.replace(
          layers=layer_caches, memory_segments_BS=memory_segments_BS)
    return x_BTD, cache

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for the decoder's hidden states."""
    return taps.tap(self, 'logits', self.head(x_BTD, self.embed))

  def empty_cache(self, batch: int, length: int) -> Cache:
    """Returns a cache with room for `length` tokens in each of `batch` rows."""
    config = self.config
    if length > config.context + _ROOM:
      raise errors.InputError(
          f'A cache of {length} tokens exceeds model.context = '
          f'{config.context}.')
    each = stack_lib.empty_caches(
        config.decoder_arrangement(), config.scan,
        lambda block: decoder_block.Cache(block.mixer.empty_cache(
            batch, length, config.width, config.dtype)))
    return Cache.empty(each, batch, length)

  def _mask(self, inputs_BT, mask, causal):
    """Returns the mask, or a default one for None."""
    config = self.config
    length = shapes.bind(inputs_BT=inputs_BT).T
    if mask is None:
      mask = masks.of_length(length, causal=causal)
    masks.check(mask, length)
    # Rows whose positions do not follow the index may have any length.
    if mask.square and length > config.context + _ROOM:
      raise errors.InputError(
          f'Got {length} tokens, but model.context is {config.context}.')
    return mask
