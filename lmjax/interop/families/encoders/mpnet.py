"""MPNet: BERT without token types, with a bias for distances.

References:
  Song et al., MPNet, arXiv:2004.09297.
"""
from collections.abc import Set
import dataclasses
from typing import Any

from lmjax.interop.families.encoders import bert
from lmjax.interop.families import family
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import encoder
from lmjax.nn import positions

_BUCKETS = 32  # Of both directions together; the field has no effect.


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`.

  The first token has position 2, whatever the padding id.
  """
  fields.expect('relative_attention_num_buckets', _BUCKETS)
  config = bert.style(fields, types=0, positions=positions.LearnedRelative(
      offset=2, relative=positions.Relative(
          _BUCKETS, max_distance=128, bidirectional=True)))
  return dataclasses.replace(
      config, tokens=bert.token_head(names, 'lm_head', config, 'gelu'),
      pooler=bert.pooler(names, 'pooler'))


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  head = 'MPNetModel' if config.tokens is None else 'MPNetForMaskedLM'
  return {'architectures': [head],
          'relative_attention_num_buckets':
              config.positions.relative.num_buckets,
          **bert.described(config)}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [
      *bert.embeddings('mpnet.embeddings.'),
      rows.row('distances/embedding',
               'mpnet.encoder.relative_attention_bias.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'mpnet.encoder.layer.{i}.', [
          *rows.dense('mixer/query', 'attention.attn.q'),
          *rows.dense('mixer/key', 'attention.attn.k'),
          *rows.dense('mixer/value', 'attention.attn.v'),
          *rows.dense('mixer/out', 'attention.attn.o'),
          *rows.norm('mixer_norm', 'attention.LayerNorm'),
          *bert.mlp()])]
  if config.tokens is not None:
    found += bert.plain_head()
  if config.pooler is not None:
    found += rows.dense('pooler', 'mpnet.pooler.dense')
  return found


FAMILY = family.Family(
    name='MPNet', model_types=('mpnet',), kind=encoder.EncoderConfig,
    read=read, write=write, rows=table, base='mpnet.', ignored=bert.BUFFERS,
    ignorable=bert.HEADS,
    copies=bert.copies('mpnet.embeddings.word_embeddings.weight'))
