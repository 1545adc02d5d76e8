"""Named decoder sizes: toy and published ones.

The parameter count of each is checked against the published one. `vocab_size`
is the published tokenizer's size; None means the size of the run's tokenizer.
"""
import dataclasses
from typing import Any

from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import pattern
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


def opt(width: int, num_layers: int, num_heads: int
        ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of OPT (Zhang et al., 2205.01068).

  It is GPT-2 with ReLU, and with two unused rows of positions.
  """
  config = gpt2(
      width, num_layers, num_heads, vocab_size=50272, context=2048)
  mlp = dataclasses.replace(config.block.mlp, activation='relu')
  return dataclasses.replace(
      config, positions=positions.Learned(offset=2),
      block=dataclasses.replace(config.block, mlp=mlp))


def post_norm_opt(width: int, num_layers: int, num_heads: int, size: int
                  ) -> decoder.DecoderConfig:
  """Returns an OPT with post-norm blocks and embeddings of size `size`."""
  config = opt(width, num_layers, num_heads)
  return dataclasses.replace(
      config, final_norm=None, block=block.PostNorm(**vars(config.block)),
      embed=parts.Embed(size=size, widen='first', widen_bias=False))


def bloom(width: int, num_layers: int, num_heads: int
          ) -> decoder.DecoderConfig:
  """Returns a decoder in the style of BLOOM (Le Scao et al., 2211.05100).

  It is GPT-2 with ALiBi, and with a norm on the embeddings.
  """
  config = gpt2(
      width, num_layers, num_heads, vocab_size=250880, context=2048)
  return dataclasses.replace(
      config, positions=positions.Alibi(),
      embed=parts.Embed(norm=config.final_norm))


def llama(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
          hidden: int, *, vocab_size: int | None, context: int,
          theta: float = 10_000.0, scaling: rotary.Scaling | None = None,
          tied: bool = True, head_size: int | None = None,
          qk_norm: bool = False, qkv_bias: bool = False,
          window: int | None = None, epsilon: float = 1e-5
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
              head_size=head_size, bias=qkv_bias, out_bias=False,
              window=window, qk_norm=norm if qk_norm else None),
          mlp=layers.MLPConfig(
              hidden=hidden, activation='silu', gated=True, bias=False),
          norm=norm),
      final_norm=norm)


def smollm3(width: int, num_layers: int, num_heads: int, num_kv_heads: int,
            hidden: int, **kwargs: Any) -> decoder.DecoderConfig:
  """Returns a Llama in which every fourth layer has no positions.

  References:
    Hugging Face, SmolLM3, 2025; Yang et al., RoPE to NoRoPE and Back Again,
    arXiv:2501.18795, section 4.
  """
  config = llama(
      width, num_layers, num_heads, num_kv_heads, hidden, **kwargs)
  turned = pattern.Layer()
  return dataclasses.replace(config, pattern=pattern.Periodic(
      (turned, turned, turned, pattern.Layer(
          positions=positions.NoPositions()))))


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
    'opt_125m': opt(768, 12, 12),
    'opt_350m': post_norm_opt(1024, 24, 16, 512),
    'opt_1_3b': opt(2048, 24, 32),
    'bloom_560m': bloom(1024, 24, 16),
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
    'smollm3_3b': smollm3(
        2048, 36, 16, 4, 11008, vocab_size=128256, context=65536,
        theta=5_000_000.0, epsilon=1e-6),
    'mistral_7b': llama(  # Jiang et al., Mistral 7B, arXiv:2310.06825.
        4096, 32, 32, 8, 14336, vocab_size=32000, context=32768, tied=False,
        window=4096),
    'phi3_mini': llama(  # Abdin et al., Phi-3, arXiv:2404.14219, section 2.
        3072, 32, 32, 32, 8192, vocab_size=32064, context=4096, tied=False,
        window=2047),
    'qwen2_5_0_5b': llama(  # Qwen Team, Qwen2.5, arXiv:2412.15115, section 2.
        896, 24, 14, 2, 4864, vocab_size=151936, context=32768,
        theta=1_000_000.0, qkv_bias=True, epsilon=1e-6),
    'qwen3_0_6b': llama(
        1024, 28, 16, 8, 3072, vocab_size=151936, context=40960,
        theta=1_000_000.0, head_size=128, qk_norm=True, epsilon=1e-6),
    'qwen3_8b': llama(
        4096, 36, 32, 8, 12288, vocab_size=151936, context=40960,
        theta=1_000_000.0, head_size=128, qk_norm=True, epsilon=1e-6,
        tied=False),
    # Jiang et al., Mixtral of Experts, arXiv:2401.04088, table 1; 46.7B
    # parameters, of which each token uses 12.9B (mistral.ai, 2023-12-11).
    'mixtral_8x7b': mixtral(
        4096, 32, 32, 8, 14336, vocab_size=32000, context=32768,
        theta=1_000_000.0, tied=False),
}
