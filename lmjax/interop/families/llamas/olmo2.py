"""OLMo 2.

References:
  OLMo Team, 2 OLMo 2 Furious, arXiv:2501.00656.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.nn import layers
from lmjax.nn.residual import branch_norm


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(rms_norm_eps=1e-5)
  config = llama.read(fields, names)
  norm = config.final_norm
  mixer = dataclasses.replace(
      config.block.mixer, qk_norm=layers.RMSNorm(norm.epsilon, axes=2))
  return dataclasses.replace(config, block=branch_norm.BranchNorm(
      mixer=mixer, mlp=config.block.mlp, before=None, after=norm))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  return llama.descended(config) | {'architectures': ['Olmo2ForCausalLM']}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  norms = [*rows.norm('mixer_out_norm', 'post_attention_layernorm'),
           *rows.norm('mlp_out_norm', 'post_feedforward_layernorm')]
  return llama.around(
      config, all_heads_normed(config) + norms + llama.ATTENTION + llama.MLP)


def all_heads_normed(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of norms of the queries and keys of all heads at once."""
  mixer = config.block.mixer
  size = mixer.size(config.width)
  return [
      rows.row(f'mixer/{path}/scale', f'self_attn.{name}.weight',
               operations.Reshape((heads * size,), (heads, size)))
      for path, name, heads in (
          ('query_norm', 'q_norm', mixer.num_heads),
          ('key_norm', 'k_norm', mixer.kv_heads))]


FAMILY = family.Family(
    name='OLMo 2', model_types=('olmo2',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies)
