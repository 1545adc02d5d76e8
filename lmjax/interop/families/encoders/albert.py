"""ALBERT: one layer that is applied many times, and small embeddings.

References:
  Lan et al., ALBERT, arXiv:1909.11942.
"""
from collections.abc import Set
import dataclasses
from typing import Any

from lmjax.interop.families.encoders import bert
from lmjax.interop.families import family
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import encoder

_LAYER = 'albert.encoder.albert_layer_groups.0.albert_layers.0.'


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('num_hidden_groups', 1)
  fields.expect('inner_group_num', 1)
  config = bert.style(
      fields, size=fields.whole('embedding_size', 128), activation='gelu_new',
      dropout=0.0)
  config = dataclasses.replace(config, shared_layers=True)
  return dataclasses.replace(
      config, tokens=bert.token_head(names, 'predictions', config),
      pooler=bert.pooler(names, 'pooler', 'sop_classifier'))


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  pairs = config.pooler is not None and config.pooler.pairs
  head = ('AlbertModel' if config.tokens is None else
          'AlbertForPreTraining' if pairs else 'AlbertForMaskedLM')
  return {'architectures': [head], 'type_vocab_size': config.embed.types,
          'embedding_size': config.embed.table_size(config.width),
          'num_hidden_groups': 1, 'inner_group_num': 1,
          **bert.described(config)}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [
      *bert.embeddings('albert.embeddings.'),
      *rows.dense('widen', 'albert.encoder.embedding_hidden_mapping_in'),
      *rows.dense('layer_0/mixer/query', f'{_LAYER}attention.query'),
      *rows.dense('layer_0/mixer/key', f'{_LAYER}attention.key'),
      *rows.dense('layer_0/mixer/value', f'{_LAYER}attention.value'),
      *rows.dense('layer_0/mixer/out', f'{_LAYER}attention.dense'),
      *rows.norm('layer_0/mixer_norm', f'{_LAYER}attention.LayerNorm'),
      *rows.dense('layer_0/mlp/in', f'{_LAYER}ffn'),
      *rows.dense('layer_0/mlp/out', f'{_LAYER}ffn_output'),
      *rows.norm('layer_0/mlp_norm', f'{_LAYER}full_layer_layer_norm')]
  if config.tokens is not None:
    found += [*rows.dense('tokens/transform', 'predictions.dense'),
              *rows.norm('tokens/norm', 'predictions.LayerNorm'),
              rows.row('tokens/bias', 'predictions.bias')]
  if config.pooler is not None:
    found += rows.dense('pooler', 'albert.pooler')
    if config.pooler.pairs:
      found += rows.dense('pairs', 'sop_classifier.classifier')
  return found


FAMILY = family.Family(
    name='ALBERT', model_types=('albert',), kind=encoder.EncoderConfig,
    read=read, write=write, rows=table, base='albert.', ignored=bert.BUFFERS,
    copies={'predictions.decoder.weight':
            'albert.embeddings.word_embeddings.weight',
            'predictions.decoder.bias': 'predictions.bias'},
    # The last four are of older files, and were never used.
    ignorable=('classifier_dropout_prob', 'down_scale_factor', 'gap_size',
               'net_structure_type', 'num_memory_blocks'))
