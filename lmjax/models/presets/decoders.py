"""Named decoder sizes, from a toy to the published ones.

Each is checked against its published parameter count. `vocab_size` is that of
the published tokenizer where there is one; None takes the run's.
"""
import dataclasses
from typing import Any

from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import positions
from lmjax.nn import rotary


def gpt2(width: int, num_layers: int, num_heads: int, *,
         vocab_size: int | None = 50257, context: int = 1024,
         dropout: float = 0.0, bias: bool = True) -> decoder.DecoderConfig:
  """Returns a decoder in the style of GPT-2 (Radford et al., 2019)."""
  norm = layers.LayerNorm(epsilon=1e-5, bias=bias)
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers, positions=positions.Learned(),
      embed=parts.Embed(dropout=dropout),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=num_heads, dropout=dropout, bias=bias, out_bias=bias),
          mlp=layers.MLPConfig(
              hidden=4 * width, activation='gelu_tanh', bias=bias),
          norm=norm, dropout=dropout),
      final_norm=norm)


def llama(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
          hidden: int, *, vocab_size: int | None, context: int,
          theta: float = 10_000.0, scaling: rotary.Scaling | None = None,
          tied: bool = True, head_size: int | None = None,
          qk_norm: bool = False, epsilon: float = 1e-5
          ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of Llama (Touvron et al., 2302.13971)."""
  norm = layers.RMSNorm(epsilon=epsilon)
  return decoder.DecoderConfig(
      vocab_size=vocab_size, context=context, width=width,
      num_layers=num_layers,
      positions=positions.Rotary(theta=theta, scaling=scaling),
      head=parts.Head(tied=tied),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=num_heads, num_kv_heads=num_kv_heads,
              head_size=head_size, bias=False, out_bias=False,
              qk_norm=norm if qk_norm else None),
          mlp=layers.MLPConfig(
              hidden=hidden, activation='silu', gated=True, bias=False),
          norm=norm),
      final_norm=norm)


def mixtral(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
            hidden: int, *, num_experts: int = 8, top_k: int = 2,
            **kwargs: Any) -> decoder.DecoderConfig:
  """Returns a Llama whose MLPs are mixtures of experts (2401.04088)."""
  config = llama(
      width, num_layers, num_heads, num_kv_heads, hidden, **kwargs)
  mlp = experts.MixtureOfExperts(
      hidden=hidden, activation='silu', gated=True, bias=False,
      num_experts=num_experts, top_k=top_k)
  return dataclasses.replace(
      config, block=dataclasses.replace(config.block, mlp=mlp))


PRESETS: dict[str, decoder.DecoderConfig] = {
    'tiny_gpt2': gpt2(128, 4, 4, vocab_size=None, context=256),
    'tiny_llama': llama(
        128, 5, 4, 2, 344, vocab_size=None, context=256),
    'gpt2': gpt2(768, 12, 12),
    'gpt2_medium': gpt2(1024, 24, 16),
    'gpt2_large': gpt2(1280, 36, 20),
    'gpt2_xl': gpt2(1600, 48, 25),
    'llama3_8b': llama(
        4096, 32, 32, 8, 14336, vocab_size=128256, context=8192,
        theta=500_000.0, tied=False),
    'llama3_1_8b': llama(
        4096, 32, 32, 8, 14336, vocab_size=128256, context=131072,
        theta=500_000.0, tied=False, scaling=rotary.Llama3Scaling()),
    'smollm2_135m': llama(
        576, 30, 9, 3, 1536, vocab_size=49152, context=8192,
        theta=100_000.0),
    'smollm2_360m': llama(
        960, 32, 15, 5, 2560, vocab_size=49152, context=8192,
        theta=100_000.0),
    'smollm2_1_7b': llama(
        2048, 24, 32, 32, 8192, vocab_size=49152, context=8192,
        theta=130_000.0),
    'qwen3_0_6b': llama(
        1024, 28, 16, 8, 3072, vocab_size=151936, context=40960,
        theta=1_000_000.0, head_size=128, qk_norm=True, epsilon=1e-6),
    'qwen3_8b': llama(
        4096, 36, 32, 8, 12288, vocab_size=151936, context=40960,
        theta=1_000_000.0, head_size=128, qk_norm=True, epsilon=1e-6,
        tied=False),
    # Jiang et al., Mixtral of Experts, arXiv:2401.04088, table 1; 46.7B
    # parameters, of which a token uses 12.9B (mistral.ai, 2023-12-11).
    'mixtral_8x7b': mixtral(
        4096, 32, 32, 8, 14336, vocab_size=32000, context=32768,
        theta=1_000_000.0, tied=False),
}
