"""DistilBERT: a BERT of half the layers, without token types and pooler.

References:
  Sanh et al., DistilBERT, arXiv:1910.01108.
"""
from collections.abc import Set
import dataclasses
from typing import Any

from lmjax.interop.families.encoders import bert
from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers

_NORM = layers.LayerNorm(epsilon=1e-12)  # No field has the epsilon.


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('tie_word_embeddings', True)
  fields.expect('tie_weights_', True)  # Of older files.
  dropout = fields.number('dropout', 0.1)
  config = encoder.EncoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 512),
      width=fields.whole('dim'),
      num_layers=fields.whole('n_layers'),
      embed=parts.TypedEmbed(norm=_NORM, dropout=dropout, types=0),
      block=block.PostNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('n_heads'),
              dropout=fields.number('attention_dropout', 0.1)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('hidden_dim'),
              activation=fields.choose(
                  'activation', activations.BY_NAME, 'gelu')),
          norm=_NORM, dropout=dropout))
  return dataclasses.replace(
      config, tokens=bert.token_head(names, 'vocab_transform', config))


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  head = ('DistilBertModel' if config.tokens is None
          else 'DistilBertForMaskedLM')
  return {
      'architectures': [head],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'dim': config.width,
      'n_layers': config.num_layers,
      'n_heads': mixer.num_heads,
      'hidden_dim': mlp.hidden,
      'activation': activations.name(mlp.activation),
      'dropout': config.block.dropout,
      'attention_dropout': mixer.dropout,
      'tie_word_embeddings': True}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [
      *bert.embeddings('distilbert.embeddings.'),
      *rows.each(
          config.num_layers, 'layer_{i}/', 'distilbert.transformer.layer.{i}.',
          [*rows.dense('mixer/query', 'attention.q_lin'),
           *rows.dense('mixer/key', 'attention.k_lin'),
           *rows.dense('mixer/value', 'attention.v_lin'),
           *rows.dense('mixer/out', 'attention.out_lin'),
           *rows.norm('mixer_norm', 'sa_layer_norm'),
           *rows.dense('mlp/in', 'ffn.lin1'),
           *rows.dense('mlp/out', 'ffn.lin2'),
           *rows.norm('mlp_norm', 'output_layer_norm')])]
  if config.tokens is not None:
    found += [*rows.dense('tokens/transform', 'vocab_transform'),
              *rows.norm('tokens/norm', 'vocab_layer_norm'),
              rows.row('tokens/bias', 'vocab_projector.bias')]
  return found


FAMILY = family.Family(
    name='DistilBERT', model_types=('distilbert',), kind=encoder.EncoderConfig,
    read=read, write=write, rows=table, base='distilbert.',
    ignored=bert.BUFFERS,
    copies={'vocab_projector.weight':
            'distilbert.embeddings.word_embeddings.weight'},
    # Sinusoids are only the initial values of the learned positions.
    ignorable=('sinusoidal_pos_embds', 'qa_dropout', 'seq_classif_dropout'))
