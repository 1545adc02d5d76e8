"""Named encoder sizes: toy and published ones.

Each has its pretraining heads, and its parameter count is checked against the
published one. `vocab_size` is the published tokenizer's size; None means the
size of the run's tokenizer.
"""
import dataclasses

from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import positions
from lmjax.nn.residual import branch_norm


def bert(width: int, num_layers: int, num_heads: int, *,
         hidden: int | None = None, activation: layers.Activation = 'gelu',
         epsilon: float = 1e-12, dropout: float = 0.1, types: int = 2,
         size: int | None = None,
         **changes) -> encoder.EncoderConfig:
  """Returns an encoder in the style of BERT (Devlin et al., 1810.04805).

  Args:
    width: Size D of the residual stream.
    num_layers: Number of blocks.
    num_heads: Number of attention heads.
    hidden: Width of the MLP; by default 4 * `width`.
    activation: Activation of the MLP and the token head.
    epsilon: Epsilon of all norms.
    dropout: Rate of all dropout.
    types: Number of token types.
    size: Size E of embeddings; by default `width`.
    **changes: Other fields of `EncoderConfig`.
  """
  norm = layers.LayerNorm(epsilon=epsilon)
  config = encoder.EncoderConfig(
      vocab_size=30522, context=512, width=width, num_layers=num_layers,
      block=block.PostNorm(
          mixer=attention.AttentionConfig(num_heads, dropout=dropout),
          mlp=layers.MLPConfig(hidden or 4 * width, activation),
          norm=norm, dropout=dropout),
      embed=parts.TypedEmbed(
          size=size, norm=norm, dropout=dropout, types=types),
      tokens=parts.TokenHead(activation=activation, norm=norm),
      pooler=encoder.Pooler())
  return dataclasses.replace(config, **changes)


def roberta(width: int, num_layers: int, num_heads: int,
            **changes) -> encoder.EncoderConfig:
  """Returns an encoder in the style of RoBERTa (Liu et al., 1907.11692)."""
  return bert(width, num_layers, num_heads, epsilon=1e-5, **(dict(
      vocab_size=50265, positions=positions.Learned(offset=2), types=1,
      pooler=None)
      | changes))


def albert(width: int, num_layers: int, num_heads: int,
           **changes) -> encoder.EncoderConfig:
  """Returns an encoder in the style of ALBERT (Lan et al., 1909.11942)."""
  return bert(width, num_layers, num_heads, activation='gelu_tanh', **(dict(
      vocab_size=30000, size=128, shared_layers=True, dropout=0.0)
      | changes))


def electra(width: int, num_layers: int, num_heads: int, *,
            generator: bool = False, **changes) -> encoder.EncoderConfig:
  """Returns one of ELECTRA's two encoders (Clark et al., 2003.10555)."""
  head = parts.TokenHead() if generator else None
  replaced = None if generator else encoder.ReplacedHead()
  return bert(width, num_layers, num_heads, **(dict(
      size=128, pooler=None, tokens=head, replaced=replaced)
      | changes))


def modern(width: int, num_layers: int, num_heads: int, hidden: int, *,
           epsilon: float = 1e-5, **changes) -> encoder.EncoderConfig:
  """Returns an encoder in the style of ModernBERT (Warner et al., 2412.13663).

  It has pre-norm blocks, rotary positions, GeGLU, no biases except on the
  logits, and global attention in every third layer. Unlike in the paper and in
  `modernbert`, the first layer also has a norm before its mixer, which adds
  `width` parameters.
  """
  norm = layers.LayerNorm(epsilon=epsilon, bias=False)
  config = encoder.EncoderConfig(
      context=8192, width=width, num_layers=num_layers,
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads, bias=False, out_bias=False),
          mlp=layers.MLPConfig(hidden, 'gelu', gated=True, bias=False),
          norm=norm),
      positions=positions.Rotary(theta=160_000.0),
      pattern=pattern_lib.LocalGlobal(
          window=65, every=3, global_layer='first',
          local_positions=positions.Rotary(theta=10_000.0)),
      embed=parts.TypedEmbed(norm=norm, types=0), final_norm=norm,
      tokens=parts.TokenHead(norm=norm, transform_bias=False))
  return dataclasses.replace(config, **changes)


def modernbert(width: int, num_layers: int, num_heads: int, hidden: int,
               **changes) -> encoder.EncoderConfig:
  """Returns the released ModernBERT (Warner et al., 2412.13663).

  It is `modern` without the norm before the first mixer, as the norm of the
  embeddings comes directly before it.
  """
  config = modern(width, num_layers, num_heads, hidden, **changes)
  first = pattern_lib.Layer(branch_norm.BranchNorm(
      mixer=config.block.mixer, mlp=config.block.mlp, before=None, after=None,
      mlp_norm=config.block.norm))
  return dataclasses.replace(config, pattern=dataclasses.replace(
      config.pattern, global_layer='last', first=(first,)))


PRESETS: dict[str, encoder.EncoderConfig] = {
    'tiny_bert': bert(128, 4, 4, vocab_size=None, context=256),
    'tiny_modern': modern(
        128, 5, 4, 192, vocab_size=None, context=256,
        pattern=pattern_lib.LocalGlobal(
            window=33, every=3, global_layer='first',
            local_positions=positions.Rotary(theta=10_000.0))),
    'bert_base': bert(768, 12, 12),
    'bert_large': bert(1024, 24, 16),
    'distilbert': bert(768, 6, 12, types=0, pooler=None),
    'roberta_base': roberta(768, 12, 12),
    'roberta_large': roberta(1024, 24, 16),
    # Conneau et al., XLM-R, arXiv:1911.02116: RoBERTa in a hundred languages.
    'xlm_r_base': roberta(768, 12, 12, vocab_size=250002),
    'albert_base': albert(768, 12, 12),
    'albert_large': albert(1024, 24, 16),
    'electra_small': electra(256, 12, 4),
    'electra_base': electra(768, 12, 12, size=768),
    'electra_small_generator': electra(64, 12, 1, generator=True),
    'modernbert_base': modernbert(768, 22, 12, 1152, vocab_size=50368),
    'modernbert_large': modernbert(1024, 28, 16, 2624, vocab_size=50368),
    'modern_encoder_base': modern(768, 22, 12, 1152, vocab_size=50368),
}
