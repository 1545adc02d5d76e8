"""Named encoder-decoder sizes: toy and published ones.

The parameter count of each is checked against the published one. `vocab_size`
is the published tokenizer's size; None means the size of the run's tokenizer.
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

  As in the paper, it has post-norm blocks, ReLU, sinusoidal positions, and one
  table for the embeddings of both sides and the head; embeddings are multiplied
  by sqrt(width).
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


def pre_norm(width: int, num_layers: int, num_heads: int, hidden: int, *,
             vocab_size: int | None = None, context: int
             ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns a Transformer that learns from few pairs without a long warmup.

  It is `transformer` with norms before the branches (Xiong et al., 2002.04745)
  and with biases in attention.
  """
  return encoder_decoder.EncoderDecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Sinusoidal(),
      embed=parts.Embed(scale='sqrt_width', std=width ** -0.5),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(num_heads=num_heads),
          mlp=layers.MLPConfig(hidden=hidden, activation='relu')))


def t5(width: int, num_layers: int, num_heads: int, hidden: int, *,
       vocab_size: int | None = 32128, context: int = 512,
       head_size: int = 64, dropout: float = 0.0, version: str = '1.1'
       ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns T5 (Raffel et al., 1910.10683): version '1.0' or '1.1'.

  Version 1.0 has ReLU and a tied head, whose input is multiplied by
  width ** -0.5. Version 1.1 has a gated GELU and an untied head.
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

  Its 1024 positions are the context and the two ids around a text; the table
  has two more rows, which are unused. Unlike in the paper, dropout also applies
  to the output of each stack.
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
    # Xue et al., mT5, arXiv:2010.11934, section 3.2: multilingual T5 1.1.
    'mt5_small': t5(512, 8, 6, 1024, vocab_size=250112),
    'bart_base': bart(768, 6, 12),
    'bart_large': bart(1024, 12, 16),
}
