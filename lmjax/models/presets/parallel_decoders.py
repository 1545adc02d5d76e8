"""Named sizes of decoders whose attention and MLP are in parallel.

The parameter count of each is checked against the published one. `vocab_size`
is the size in the published weights, which may have extra rows for speed.
"""
import dataclasses

from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.nn.residual import parallel

NORM = layers.LayerNorm(epsilon=1e-5)


def neox(width: int, num_layers: int, num_heads: int, *,
         vocab_size: int = 50304, activation: layers.Activation = 'gelu'
         ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of GPT-NeoX (Black et al., 2204.06745).

  Each branch has its own norm; a quarter of each head is rotated.
  """
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=2048, width=width, num_layers=num_layers,
      positions=positions.Rotary(fraction=0.25),
      block=parallel.Parallel(
          mixer=attention.AttentionConfig(num_heads),
          mlp=layers.MLPConfig(4 * width, activation), norm=NORM,
          mlp_norm=NORM),
      final_norm=NORM, head=parts.Head(tied=False))


def gptj(width: int, num_layers: int, num_heads: int, *,
         vocab_size: int = 50400, turned: int = 64) -> decoder.DecoderConfig:
  """Returns a decoder in the style of GPT-J (Wang and Komatsuzaki, 2021).

  Both branches share one norm; neighbouring dimensions are rotated as pairs.

  Args:
    width: Size D of the residual stream.
    num_layers: Number of blocks.
    num_heads: Number of attention heads.
    vocab_size: Vocabulary size V.
    turned: Number of dimensions of each head that are rotated.
  """
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=2048, width=width, num_layers=num_layers,
      positions=positions.Rotary(
          fraction=turned * num_heads / width, interleaved=True),
      block=parallel.Parallel(
          mixer=attention.AttentionConfig(
              num_heads, bias=False, out_bias=False),
          mlp=layers.MLPConfig(4 * width, 'gelu_tanh'), norm=NORM),
      final_norm=NORM, head=parts.Head(tied=False, bias=True))


def phi(width: int, num_layers: int, num_heads: int, *,
        vocab_size: int = 51200, fraction: float = 0.4
        ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of Phi-2 (Javaheripi and Bubeck, 2023).

  It is GPT-J with biases in attention, and with the rotation of GPT-NeoX.
  """
  config = gptj(width, num_layers, num_heads, vocab_size=vocab_size,
                turned=width // num_heads)
  return dataclasses.replace(
      config, positions=positions.Rotary(fraction=fraction),
      block=dataclasses.replace(
          config.block, mixer=attention.AttentionConfig(num_heads)))


def falcon(width: int, num_layers: int, num_heads: int, *,
           vocab_size: int = 65024) -> decoder.DecoderConfig:
  """Returns a decoder in the style of Falcon (Almazrouei et al., 2311.16867).

  All heads share one key and value; only norms have biases.
  """
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=2048, width=width, num_layers=num_layers,
      positions=positions.Rotary(),
      block=parallel.Parallel(
          mixer=attention.AttentionConfig(
              num_heads, num_kv_heads=1, bias=False, out_bias=False),
          mlp=layers.MLPConfig(4 * width, 'gelu', bias=False), norm=NORM),
      final_norm=NORM)


PRESETS: dict[str, decoder.DecoderConfig] = {
    'gptj_6b': gptj(4096, 28, 16),
    'gpt_neox_20b': neox(
        6144, 44, 64, vocab_size=50432, activation='gelu_tanh'),
    # Biderman et al., Pythia, arXiv:2304.01373, table 1.
    'pythia_70m': neox(512, 6, 8),
    'pythia_160m': neox(768, 12, 12),
    'pythia_410m': neox(1024, 24, 16),
    'pythia_1b': neox(2048, 16, 8),
    'pythia_1_4b': neox(2048, 24, 16),
    'pythia_2_8b': neox(2560, 32, 32),
    'pythia_6_9b': neox(4096, 32, 32, vocab_size=50432),
    'pythia_12b': neox(5120, 36, 40, vocab_size=50688),
    'phi_2': phi(2560, 32, 32),
    'falcon_7b': falcon(4544, 32, 71),
}
