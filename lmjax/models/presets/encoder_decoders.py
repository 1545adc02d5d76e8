"""Named encoder-decoder sizes, from a toy to the published ones.

Each is checked against its published parameter count. `vocab_size` is that of
the published tokenizer where there is one; None takes the run's.
"""
from lmjax.models import encoder_decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions


def transformer(width: int, num_layers: int, num_heads: int, hidden: int, *,
                vocab_size: int | None, context: int, dropout: float = 0.0
                ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns the original Transformer (Vaswani et al., 1706.03762).

  As in the paper: post-norm, ReLU, sinusoidal positions, and one embedding for
  both sides and the head, which is multiplied by sqrt(width).
  """
  return encoder_decoder.EncoderDecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Sinusoidal(),
      block=block.PostNorm(
          mixer=attention.AttentionConfig(
              num_heads=num_heads, bias=False, out_bias=False),
          mlp=layers.MLPConfig(hidden=hidden, activation='relu'),
          norm=layers.LayerNorm(epsilon=1e-6), dropout=dropout),
      final_norm=None, embed=parts.Embed(
          scale='sqrt_width', dropout=dropout, std=width ** -0.5))


def t5(width: int, num_layers: int, num_heads: int, hidden: int, *,
       vocab_size: int | None = 32128, context: int = 512,
       head_size: int = 64, dropout: float = 0.0, version: str = '1.1'
       ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns T5 (Raffel et al., 1910.10683): version '1.0' or '1.1'.

  1.1 has a gated GELU and a head of its own where 1.0 has a ReLU and ties the
  head, whose input it then multiplies by width ** -0.5.
  """
  first = version == '1.0'
  norm = layers.RMSNorm(epsilon=1e-6)
  return encoder_decoder.EncoderDecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Relative(),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=num_heads, head_size=head_size, bias=False,
              out_bias=False, scale=1.0, dropout=dropout),
          mlp=layers.MLPConfig(
              hidden=hidden, activation='relu' if first else 'gelu_tanh',
              gated=not first, bias=False, dropout=dropout),
          norm=norm, dropout=dropout),
      final_norm=norm, embed=parts.Embed(dropout=dropout, std=1.0),
      head=parts.Head(scale='rsqrt_width') if first
      else parts.Head(tied=False))


def bart(width: int, num_layers: int, num_heads: int, *,
         vocab_size: int | None = 50265, context: int = 1022,
         dropout: float = 0.0) -> encoder_decoder.EncoderDecoderConfig:
  """Returns BART (Lewis et al., 1910.13461).

  Its 1024 positions are those of the context and of the two ids that frame a
  text; two rows more of the table are never read. Unlike there, what leaves a
  stack is dropped too.
  """
  norm = layers.LayerNorm(epsilon=1e-5)
  return encoder_decoder.EncoderDecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Learned(offset=2),
      block=block.PostNorm(
          mixer=attention.AttentionConfig(
              num_heads=num_heads, dropout=dropout),
          mlp=layers.MLPConfig(hidden=4 * width, activation='gelu'),
          norm=norm, dropout=dropout),
      final_norm=None, embed=parts.Embed(norm=norm, dropout=dropout))


PRESETS: dict[str, encoder_decoder.EncoderDecoderConfig] = {
    'tiny_t5': t5(128, 2, 4, 256, vocab_size=None, context=256, head_size=32),
    'transformer_base': transformer(
        512, 6, 8, 2048, vocab_size=37_000, context=512, dropout=0.1),
    't5_small': t5(512, 6, 8, 2048, version='1.0'),
    't5_base': t5(768, 12, 12, 3072, version='1.0'),
    't5_1_1_small': t5(512, 8, 6, 1024),
    't5_1_1_base': t5(768, 12, 12, 2048),
    # Xue et al., mT5, arXiv:2010.11934, section 3.2: T5 1.1, many languages.
    'mt5_small': t5(512, 8, 6, 1024, vocab_size=250112),
    'bart_base': bart(768, 6, 12),
    'bart_large': bart(1024, 12, 16),
}
