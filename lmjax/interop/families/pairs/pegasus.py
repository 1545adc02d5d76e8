"""Pegasus: BART with norms before the branches and sinusoidal positions.

References:
  Zhang et al., PEGASUS: Pre-training with Extracted Gap-sentences for
  Abstractive Summarization, arXiv:1912.08777.
"""
from collections.abc import Set
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.pairs import bart
from lmjax.interop.families.pairs import marian
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import encoder_decoder
from lmjax.nn import positions


def read(fields: fields_lib.Fields, names: Set[str]
         ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('static_position_embeddings', True)
  return bart.style(
      fields, names, positions.Sinusoidal(), normed=False, before=True)


def write(config: encoder_decoder.EncoderDecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  return {'architectures': ['PegasusForConditionalGeneration'],
          **bart.described(config), 'static_position_embeddings': True}


FAMILY = family.Family(
    name='Pegasus', model_types=('pegasus',),
    kind=encoder_decoder.EncoderDecoderConfig,
    read=read, write=write, rows=bart.table, base='model.',
    copies=bart.COPIES, ignored=bart.VERSIONS,
    ignorable=(*bart.IGNORABLE, 'extra_pos_embeddings'),
    constants=marian.CONSTANTS)
