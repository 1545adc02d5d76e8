"""mBART: BART with norms before the branches.

References:
  Liu et al., Multilingual Denoising Pre-training for Neural Machine
  Translation, arXiv:2001.08210; Tang et al., Multilingual Translation with
  Extensible Multilingual Pretraining and Finetuning, arXiv:2008.00401.
"""
from collections.abc import Set
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.pairs import bart
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import encoder_decoder
from lmjax.nn import positions


def read(fields: fields_lib.Fields, names: Set[str]
         ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('static_position_embeddings', False)
  fields.expect('extra_pos_embeddings', 2)
  return bart.style(
      fields, names, positions.Learned(offset=2), normed=True, before=True)


def write(config: encoder_decoder.EncoderDecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  return {'architectures': ['MBartForConditionalGeneration'],
          **bart.described(config)}


FAMILY = family.Family(
    name='mBART', model_types=('mbart',),
    kind=encoder_decoder.EncoderDecoderConfig,
    read=read, write=write, rows=bart.table, base='model.',
    copies=bart.COPIES, ignored=bart.VERSIONS, ignorable=bart.IGNORABLE)
