"""OLMoE: mixtures of experts, with norms on the queries and keys of all heads.

References:
  Muennighoff et al., OLMoE: Open Mixture-of-Experts Language Models,
  arXiv:2409.02060.
"""
import dataclasses
from typing import Any

from lmjax.interop.families.experts import mixtral
from lmjax.interop.families.experts import qwen3_moe
from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.families.llamas import olmo2
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.nn import layers
from lmjax.nn.mixture import experts


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(rms_norm_eps=1e-5, max_position_embeddings=4096)
  fields.expect('clip_qkv', None)
  config = llama.read(fields, names)
  block = config.block
  return dataclasses.replace(config, block=dataclasses.replace(
      block, mixer=dataclasses.replace(
          block.mixer, qk_norm=layers.RMSNorm(block.norm.epsilon, axes=2)),
      mlp=experts.MixtureOfExperts(
          **vars(block.mlp), num_experts=fields.whole('num_experts', 64),
          top_k=fields.whole('num_experts_per_tok', 8),
          normalize=fields.take('norm_topk_prob', False))))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mlp = config.block.mlp
  return llama.descended(config) | {
      'architectures': ['OlmoeForCausalLM'],
      'num_experts': mlp.num_experts,
      'num_experts_per_tok': mlp.top_k,
      'norm_topk_prob': mlp.normalize}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return llama.around(config, [
      *llama.NORMS, *llama.ATTENTION, *olmo2.all_heads_normed(config),
      *qwen3_moe.experts_of(config)])


FAMILY = family.Family(
    name='OLMoE', model_types=('olmoe',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies,
    ignorable=mixtral.ROUTER)
