"""Mixtral: a Llama with mixtures of experts.

References:
  Jiang et al., Mixtral of Experts, arXiv:2401.04088.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import experts as experts_lib
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.nn.mixture import experts

# What a router adds to the loss, and the noise in it, are about training.
ROUTER = ('output_router_logits', 'router_aux_loss_coef', 'router_jitter_noise')


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(num_key_value_heads=8, rms_norm_eps=1e-5)
  config = llama.read(fields, names, rope.read(fields, theta=1_000_000.0))
  block = config.block
  return dataclasses.replace(config, block=dataclasses.replace(
      block, mixer=dataclasses.replace(
          block.mixer, window=fields.whole('sliding_window', None)),
      mlp=experts.MixtureOfExperts(
          **vars(block.mlp), num_experts=fields.whole('num_local_experts', 8),
          top_k=fields.whole('num_experts_per_tok', 2))))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mlp = config.block.mlp
  return llama.descended(config) | {
      'architectures': ['MixtralForCausalLM'],
      'num_local_experts': mlp.num_experts,
      'num_experts_per_tok': mlp.top_k,
      'sliding_window': config.block.mixer.window}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  count = config.block.mlp.num_experts
  return llama.around(config, [
      *llama.NORMS, *llama.ATTENTION,
      *rows.dense('mlp/router', 'block_sparse_moe.gate'),
      *experts_lib.separate(
          count, 'block_sparse_moe.experts', ('w1', 'w3', 'w2')),
      *rows.dense('mlp/router', 'mlp.gate'),
      *experts_lib.stacked('mlp.experts')])


FAMILY = family.Family(
    name='Mixtral', model_types=('mixtral',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies,
    ignorable=ROUTER)
