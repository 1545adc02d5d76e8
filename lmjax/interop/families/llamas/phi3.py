"""Phi-3, Phi-3.5 and Phi-4: a Llama with fused projections.

References:
  Abdin et al., Phi-3 Technical Report, arXiv:2404.14219.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.nn import rotary

_OLD_NAMES = {'su': 'longrope', 'yarn': 'longrope'}


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(max_position_embeddings=4096, rms_norm_eps=1e-5,
                 original_max_position_embeddings=4096)
  config = llama.read(fields, names, rope.read(fields, renamed=_OLD_NAMES))
  window = fields.whole('sliding_window', None)
  for name, value in ('full_attn_mod', 1), ('interpolate_factor', 1), (
      'lm_head_bias', False):  # Of Phi-4-mini, whose own code reads them.
    fields.expect(name, value)
  return dataclasses.replace(
      config, embed=dataclasses.replace(
          config.embed, dropout=fields.number('embd_pdrop', 0.0)),
      block=dataclasses.replace(
          config.block, dropout=fields.number('resid_pdrop', 0.0),
          mixer=dataclasses.replace(config.block.mixer, window=window)))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  found = llama.descended(config) | {
      'architectures': ['Phi3ForCausalLM'],
      'sliding_window': config.block.mixer.window,
      'original_max_position_embeddings': config.context}
  scaling = config.positions.scaling
  if isinstance(scaling, rotary.LongRopeScaling):
    # Transformers 4 wants three fields in it; the others follow from sizes.
    found['rope_scaling'] = {
        'type': 'longrope', 'short_factor': list(scaling.short),
        'long_factor': list(scaling.long)}
    found['original_max_position_embeddings'] = scaling.original_context
  return found


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  mixer = config.block.mixer
  heads = operations.Split((mixer.num_heads, mixer.kv_heads, mixer.kv_heads))
  return llama.around(config, [
      *llama.NORMS,
      rows.row([f'mixer/{name}/kernel' for name in ('query', 'key', 'value')],
               'self_attn.qkv_proj.weight', heads, operations.Transpose()),
      *rows.dense('mixer/out', 'self_attn.o_proj'),
      rows.row([f'mlp/{name}/kernel' for name in ('in', 'gate')],
               'mlp.gate_up_proj.weight', operations.Split((1, 1)),
               operations.Transpose()),
      *rows.dense('mlp/out', 'mlp.down_proj')])


FAMILY = family.Family(
    name='Phi-3', model_types=('phi3',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies)
