"""Qwen 3: Llama with norms on the queries and keys of each head.

References:
  Qwen Team, Qwen3 Technical Report, arXiv:2505.09388, section 2.
"""
import dataclasses
from typing import Any

from lmjax.interop.families.llamas import llama
from lmjax.interop.families.llamas import qwen2
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import decoder


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  config = llama.read(fields, names)
  mixer = dataclasses.replace(
      config.block.mixer, qk_norm=config.final_norm,
      head_size=config.block.mixer.head_size or 128)
  return qwen2.read_windows(fields, dataclasses.replace(
      config, block=dataclasses.replace(config.block, mixer=mixer)))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  tree = llama.write(config)
  del tree['mlp_bias']  # There never is one.
  return tree | qwen2.write_windows(config) | {
      'architectures': ['Qwen3ForCausalLM']}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return [
      *llama.table(config),
      *rows.each(config.num_layers, 'layer_{i}/', 'model.layers.{i}.', [
          *rows.norm('mixer/query_norm', 'self_attn.q_norm'),
          *rows.norm('mixer/key_norm', 'self_attn.k_norm'),
      ])]


FAMILY = dataclasses.replace(
    llama.FAMILY, name='Qwen 3', model_types=('qwen3',), read=read,
    write=write, rows=table)
