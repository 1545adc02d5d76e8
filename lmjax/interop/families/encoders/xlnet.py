"""XLNet, without the memory of earlier segments.

References:
  Yang et al., XLNet, arXiv:1906.08237.
"""
from collections.abc import Set
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows
from lmjax.models import xlnet


def read(fields: fields_lib.Fields, names: Set[str]) -> xlnet.XLNetConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.expect('attn_type', 'bi')
  fields.expect('clamp_len', -1)
  fields.expect('same_length', False)
  fields.expect('untie_r', True)
  fields.expect('tie_word_embeddings', True)
  width, heads = fields.whole('d_model'), fields.whole('n_head')
  fields.expect('d_head', width // heads)
  vocab_size = fields.whole('vocab_size')
  fields.expect('n_token', vocab_size)  # The name in older files.
  return xlnet.XLNetConfig(
      vocab_size=vocab_size,
      # The published models have no limit, and were trained with this length.
      # Models that were exported from lmjax say their own.
      context=fields.whole('context', 512),
      width=width,
      num_layers=fields.whole('n_layer'),
      num_heads=heads,
      hidden=fields.whole('d_inner'),
      activation=fields.choose('ff_activation', activations.BY_NAME, 'gelu'),
      dropout=fields.number('dropout', 0.1),
      types=True,
      epsilon=fields.number('layer_norm_eps', 1e-12))


def write(config: xlnet.XLNetConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  return {
      'architectures': ['XLNetLMHeadModel'],
      'vocab_size': config.vocab_size,
      'context': config.context,
      'd_model': config.width,
      'n_layer': config.num_layers,
      'n_head': config.num_heads,
      'd_head': config.width // config.num_heads,
      'd_inner': config.hidden,
      'ff_activation': activations.name(config.activation),
      'dropout': config.dropout,
      'layer_norm_eps': config.epsilon,
      'attn_type': 'bi', 'untie_r': True, 'mem_len': None}


def table(config: xlnet.XLNetConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  width, heads = config.width, config.num_heads
  by_head = operations.Reshape((width, heads, width // heads), (width, width))
  return [
      rows.row('embed/embedding', 'transformer.word_embedding.weight'),
      rows.row('mask', 'transformer.mask_emb', operations.Reshape(
          (1, 1, width), (width,))),
      *rows.each(config.num_layers, 'layer_{i}/', 'transformer.layer.{i}.', [
          *(rows.row(f'mixer/{part}/kernel', f'rel_attn.{name}', by_head)
            for part, name in (('query', 'q'), ('key', 'k'), ('value', 'v'),
                               ('position', 'r'))),
          rows.row('mixer/out/kernel', 'rel_attn.o', by_head,
                   operations.Transpose()),
          rows.row('mixer/content_bias', 'rel_attn.r_w_bias'),
          rows.row('mixer/position_bias', 'rel_attn.r_r_bias'),
          rows.row('mixer/type_bias', 'rel_attn.r_s_bias'),
          rows.row('mixer/types', 'rel_attn.seg_embed'),
          *rows.norm('mixer_norm', 'rel_attn.layer_norm'),
          *rows.dense('mlp/in', 'ff.layer_1'),
          *rows.dense('mlp/out', 'ff.layer_2'),
          *rows.norm('mlp_norm', 'ff.layer_norm')]),
      rows.row('head_bias', 'lm_loss.bias')]


FAMILY = family.Family(
    name='XLNet', model_types=('xlnet',), kind=xlnet.XLNetConfig,
    read=read, write=write, rows=table, base='transformer.',
    copies={'lm_loss.weight': 'transformer.word_embedding.weight'},
    ignorable=(
        # Memory, which is used only if a caller passes it on.
        'mem_len', 'reuse_len', 'use_mems_eval', 'use_mems_train',
        # Of a way to prepare batches of pretraining.
        'bi_data',
        # Heads that are not imported.
        'summary_type', 'summary_use_proj', 'summary_activation',
        'summary_last_dropout', 'start_n_top', 'end_n_top'))
