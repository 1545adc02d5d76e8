"""Marian: BART with sinusoidal positions, without a norm of embeddings.

References:
  Junczys-Dowmunt et al., Marian, arXiv:1804.00344; Tiedemann and Thottingal,
  OPUS-MT, EAMT 2020.
"""
from collections.abc import Set
from typing import Any

import numpy as np

from lmjax.interop.families import family
from lmjax.interop.families.pairs import bart
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import encoder_decoder
from lmjax.nn import positions
from lmjax.nn import rotary


def read(fields: fields_lib.Fields, names: Set[str]
         ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('static_position_embeddings', True)
  fields.expect('share_encoder_decoder_embeddings', True)
  fields.expect('decoder_vocab_size', fields.whole('vocab_size'))
  return bart.style(fields, names, positions.Sinusoidal(), normed=False)


def write(config: encoder_decoder.EncoderDecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  return {'architectures': ['MarianMTModel'], **bart.described(config),
          'static_position_embeddings': True,
          'share_encoder_decoder_embeddings': True,
          'decoder_vocab_size': config.vocab_size}


def sinusoids(shape: tuple[int, ...]) -> np.ndarray:
  """Returns the table of positions: the sines, then the cosines, of each."""
  count, width = shape
  angle_TD = np.arange(count)[:, None] * rotary.frequencies(
      positions.Sinusoidal().theta, width)[None]
  return np.concatenate([np.sin(angle_TD), np.cos(angle_TD)], axis=1)


CONSTANTS = {f'model.{side}.embed_positions.weight': sinusoids
             for side in ('encoder', 'decoder')}
FAMILY = family.Family(
    name='Marian', model_types=('marian',),
    kind=encoder_decoder.EncoderDecoderConfig,
    read=read, write=write, rows=bart.table, base='model.',
    copies=bart.COPIES, ignored=bart.VERSIONS,
    # A size of a table of positions, which sinusoids do not have.
    ignorable=(*bart.IGNORABLE, 'extra_pos_embeddings'),
    constants=CONSTANTS)
