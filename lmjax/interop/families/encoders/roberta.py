"""RoBERTa, XLM-RoBERTa and CamemBERT: BERT with other positions and names.

References:
  Liu et al., RoBERTa, arXiv:1907.11692; Conneau et al., XLM-R,
  arXiv:1911.02116; Martin et al., CamemBERT, arXiv:1911.03894.
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


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`.

  The first token has the position after the padding id.
  """
  config = bert.style(fields, positions=positions.Learned(
      offset=fields.whole('pad_token_id', 1) + 1))
  return dataclasses.replace(
      config, tokens=bert.token_head(names, 'lm_head', config, 'gelu'),
      pooler=bert.pooler(names, 'pooler'))


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  head = 'RobertaModel' if config.tokens is None else 'RobertaForMaskedLM'
  return {'architectures': [head], 'type_vocab_size': config.embed.types,
          'pad_token_id': config.positions.offset - 1,
          **bert.described(config)}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = bert.trunk(config, 'roberta.')
  if config.tokens is not None:
    found += bert.plain_head()
  if config.pooler is not None:
    found += rows.dense('pooler', 'roberta.pooler.dense')
  return found


FAMILY = family.Family(
    name='RoBERTa', model_types=('roberta', 'xlm-roberta', 'camembert'),
    kind=encoder.EncoderConfig, read=read, write=write, rows=table,
    base='roberta.', older=bert.OLDER, ignored=bert.BUFFERS,
    ignorable=bert.HEADS,
    copies=bert.copies('roberta.embeddings.word_embeddings.weight'))
