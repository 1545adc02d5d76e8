"""ELECTRA: a discriminator or a generator, each an encoder with one head.

References:
  Clark et al., ELECTRA, arXiv:2003.10555.
"""
from collections.abc import Set
import dataclasses
from typing import Any

from lmjax.interop.families.encoders import bert
from lmjax.interop.families import family
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import encoder


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  config = bert.style(fields, size=fields.whole('embedding_size', 128))
  replaced = encoder.ReplacedHead(config.block.mlp.activation) if bert.has(
      names, 'discriminator_predictions') else None
  return dataclasses.replace(
      config, replaced=replaced, tokens=bert.token_head(
          names, 'generator_predictions', config, 'gelu'))


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  head = ('ElectraForMaskedLM' if config.tokens is not None else
          'ElectraForPreTraining' if config.replaced is not None else
          'ElectraModel')
  return {'architectures': [head], 'type_vocab_size': config.embed.types,
          'embedding_size': config.embed.table_size(config.width),
          **bert.described(config)}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [*bert.trunk(config, 'electra.'),
           *rows.dense('widen', 'electra.embeddings_project')]
  if config.tokens is not None:
    found += [*rows.dense('tokens/transform', 'generator_predictions.dense'),
              *rows.norm('tokens/norm', 'generator_predictions.LayerNorm'),
              rows.row('tokens/bias', 'generator_lm_head.bias')]
  if config.replaced is not None:
    found += [
        *rows.dense('replaced/transform', 'discriminator_predictions.dense'),
        *rows.dense('replaced/output',
                    'discriminator_predictions.dense_prediction')]
  return found


FAMILY = family.Family(
    name='ELECTRA', model_types=('electra',), kind=encoder.EncoderConfig,
    read=read, write=write, rows=table, base='electra.', older=bert.OLDER,
    ignored=bert.BUFFERS,
    copies={'generator_lm_head.weight':
            'electra.embeddings.word_embeddings.weight'},
    ignorable=('classifier_dropout', 'summary_activation',
               'summary_last_dropout', 'summary_type', 'summary_use_proj'))
