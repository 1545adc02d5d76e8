"""Named sizes of decoders with norms or multipliers after their branches.

The parameter count of each is checked against the published one. `vocab_size`
is the size in the published weights.
"""
import dataclasses

from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.nn.residual import branch_norm
from lmjax.nn import rotary


def granite(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
            hidden: int, *, vocab_size: int = 49155, context: int = 131072,
            theta: float = 5_000_000.0, logits: float = 8.0
            ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of Granite 3 (Granite Team, IBM, 2024).

  It is a Llama with multipliers on embeddings, branches, attention and logits.

  Args:
    width: Size D of the residual stream.
    num_layers: Number of blocks.
    num_heads: Number of query heads.
    num_kv_heads: Number of key and value heads.
    hidden: Width of the MLP.
    vocab_size: Vocabulary size V.
    context: The longest sequence, in tokens.
    theta: Base of the wavelengths.
    logits: The divisor of the logits.
  """
  norm = layers.RMSNorm(epsilon=1e-5)
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Rotary(theta=theta),
      block=branch_norm.BranchNorm(
          mixer=attention.AttentionConfig(
              num_heads, num_kv_heads, bias=False, out_bias=False,
              scale=num_heads / width),
          mlp=layers.MLPConfig(hidden, 'silu', gated=True, bias=False),
          before=norm, after=None, multiplier=0.22),
      final_norm=norm, embed=parts.Embed(scale=12.0),
      head=parts.Head(scale=1 / logits))


def olmo2(width: int, num_layers: int, num_heads: int, hidden: int, *,
          vocab_size: int = 100352, context: int = 4096
          ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of OLMo 2 (OLMo Team, 2501.00656).

  Norms are applied after the branches, and to queries and keys, where each norm
  is over all heads together.
  """
  norm = layers.RMSNorm(epsilon=1e-6)
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Rotary(theta=500_000.0),
      block=branch_norm.BranchNorm(
          mixer=attention.AttentionConfig(
              num_heads, bias=False, out_bias=False,
              qk_norm=layers.RMSNorm(epsilon=1e-6, axes=2)),
          mlp=layers.MLPConfig(hidden, 'silu', gated=True, bias=False),
          before=None, after=norm),
      final_norm=norm, head=parts.Head(tied=False))


def gemma2(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
           hidden: int, *, vocab_size: int = 256000, context: int = 8192,
           head_size: int = 256, window: int = 4096) -> decoder.DecoderConfig:
  """Returns a decoder in the style of Gemma 2 (Gemma Team, 2408.00118).

  Norms come before and after the branches, attention logits and output logits
  are soft-capped, and every other layer, starting with the first, is local.
  """
  norm = layers.RMSNorm(epsilon=1e-6, around_one=True)
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Rotary(),
      block=branch_norm.BranchNorm(
          mixer=attention.AttentionConfig(
              num_heads, num_kv_heads, head_size, bias=False, out_bias=False,
              softcap=50.0),
          mlp=layers.MLPConfig(hidden, 'gelu_tanh', gated=True, bias=False),
          before=norm, after=norm),
      pattern=pattern.LocalGlobal(window=window, every=2, global_layer='last'),
      final_norm=norm, embed=parts.Embed(scale='sqrt_width'),
      head=parts.Head(softcap=30.0))


def gemma3(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
           hidden: int, *, vocab_size: int = 262144, context: int = 32768,
           head_size: int = 256, window: int = 512,
           scaling: rotary.Scaling | None = None) -> decoder.DecoderConfig:
  """Returns a decoder in the style of Gemma 3 (Gemma Team, 2503.19786).

  It differs from Gemma 2 in two ways: queries and keys are normed instead of
  capping logits, and five of every six layers are local, with shorter
  wavelengths.
  """
  config = gemma2(
      width, num_layers, num_heads, num_kv_heads, hidden,
      vocab_size=vocab_size, context=context, head_size=head_size)
  mixer = dataclasses.replace(
      config.block.mixer, softcap=None, qk_norm=config.final_norm)
  return dataclasses.replace(
      config, block=dataclasses.replace(config.block, mixer=mixer),
      positions=positions.Rotary(theta=1_000_000.0, scaling=scaling),
      pattern=pattern.LocalGlobal(
          window=window, every=6, global_layer='last',
          local_positions=positions.Rotary(theta=10_000.0)),
      head=parts.Head())


PRESETS: dict[str, decoder.DecoderConfig] = {
    'granite3_1_2b': granite(2048, 40, 32, 8, 8192),
    'granite3_3_8b': granite(
        4096, 40, 32, 8, 12800, vocab_size=49159, theta=10_000_000.0,
        logits=16.0),
    'olmo2_1b': olmo2(2048, 16, 16, 8192),
    'olmo2_7b': olmo2(4096, 32, 32, 11008),
    'gemma2_2b': gemma2(2304, 26, 8, 4, 9216),
    'gemma2_9b': gemma2(3584, 42, 16, 8, 14336),
    'gemma3_270m': gemma3(640, 18, 4, 1, 2048),
    'gemma3_1b': gemma3(1152, 26, 4, 1, 6912),
    'gemma3_4b': gemma3(  # Without the image encoder.
        2560, 34, 8, 4, 10240, context=131072, window=1024,
        scaling=rotary.LinearScaling(8.0)),
}
