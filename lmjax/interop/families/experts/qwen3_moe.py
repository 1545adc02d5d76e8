"""Qwen 3 with mixtures of experts.

References:
  Qwen Team, Qwen3 Technical Report, arXiv:2505.09388.
"""
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.interop.families.experts import mixtral
from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import experts as experts_lib
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import layer_types
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.nn.mixture import experts
from lmjax.nn import pattern


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(max_position_embeddings=32768, num_key_value_heads=4)
  fields.expect('use_sliding_window', False)
  config = llama.read(fields, names)
  dense = dataclasses.replace(
      config.block, mixer=dataclasses.replace(
          config.block.mixer, qk_norm=config.final_norm))
  mixed = dataclasses.replace(dense, mlp=experts.MixtureOfExperts(
      **vars(dense.mlp) | {'hidden': fields.whole('moe_intermediate_size')},
      num_experts=_count(fields),
      top_k=fields.whole('num_experts_per_tok', 8),
      normalize=fields.take('norm_topk_prob', False)))
  every = fields.whole('decoder_sparse_step', 1)
  if every < 1:
    raise errors.InputError(
        f'config.json: decoder_sparse_step should be at least 1; got {every}.')
  only_dense = fields.take('mlp_only_layers', [])
  layers = [
      pattern.Layer(None if (i + 1) % every == 0 and i not in only_dense
                    else dense) for i in range(config.num_layers)]
  return dataclasses.replace(
      config, block=mixed, pattern=layer_types.repeated(layers))


def _count(fields: fields_lib.Fields) -> int:
  """Returns the number of experts, which has another name since transformers 5.
  """
  count = fields.whole('num_local_experts', None)
  if count is None:
    return fields.whole('num_experts')
  fields.expect('num_experts', count, None)
  return count


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mlp = config.block.mlp
  dense = {i: layer.block.mlp.hidden
           for i, layer in enumerate(config.arrangement.layers)
           if layer.block.mlp.mixture is None}
  return llama.descended(config) | {
      'architectures': ['Qwen3MoeForCausalLM'],
      'intermediate_size': next(iter(dense.values()), mlp.hidden),
      'moe_intermediate_size': mlp.hidden,
      'num_experts': mlp.num_experts,
      'num_experts_per_tok': mlp.top_k,
      'norm_topk_prob': mlp.normalize,
      'decoder_sparse_step': 1,
      'mlp_only_layers': list(dense),
      'use_sliding_window': False}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return llama.around(config, [
      *llama.NORMS, *llama.ATTENTION, *llama.HEAD_NORMS, *llama.MLP,
      *experts_of(config)])


def experts_of(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of a layer's router and experts."""
  return [
      *rows.dense('mlp/router', 'mlp.gate'),
      *experts_lib.separate(config.block.mlp.num_experts, 'mlp.experts', (
          'gate_proj', 'up_proj', 'down_proj')),
      *experts_lib.stacked('mlp.experts')]


FAMILY = family.Family(
    name='Qwen 3 MoE', model_types=('qwen3_moe',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies,
    # A window is given to no layer, since use_sliding_window is false.
    ignorable=(*mixtral.ROUTER, 'sliding_window', 'max_window_layers'))
