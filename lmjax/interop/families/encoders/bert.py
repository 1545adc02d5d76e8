"""BERT, and what its relatives share with it.

References:
  Devlin et al., BERT, arXiv:1810.04805.
"""
from collections.abc import Set
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib

# Buffers that some versions save: 0, 1, 2, ... and zeros.
BUFFERS = (r'(.*\.)?embeddings\.(position_ids|token_type_ids)',)
# Older files have TensorFlow's names for the parameters of norms.
OLDER = (('LayerNorm.weight', 'LayerNorm.gamma'),
         ('LayerNorm.bias', 'LayerNorm.beta'))
# Fields of heads that are not imported; the last three, of TinyBERT, are empty.
HEADS = ('classifier_dropout', 'directionality', 'pooler_fc_size',
         'pooler_num_attention_heads', 'pooler_num_fc_layers',
         'pooler_size_per_head', 'pooler_type', 'cell', 'pre_trained',
         'structure')


def style(fields: fields_lib.Fields, *,
          positions: positions_lib.Positions = positions_lib.Learned(),
          types: int | None = None, size: int | None = None,
          activation: str = 'gelu', dropout: float = 0.1
          ) -> encoder.EncoderConfig:
  """Returns an encoder in the style of BERT, without heads.

  Args:
    fields: The fields of its config.json.
    positions: How positions enter; the first `offset` rows of a table of
      learned ones are not used.
    types: Number of token types; None takes the field for it.
    size: Size of the embeddings; None means that of the residual stream.
    activation: Name of the default activation.
    dropout: The default of both dropout rates.
  """
  fields.expect('position_embedding_type', 'absolute')
  fields.expect('is_decoder', False)
  fields.expect('add_cross_attention', False)
  fields.expect('tie_word_embeddings', True)
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_eps', 1e-12))
  rate = fields.number('hidden_dropout_prob', dropout)
  width = fields.whole('hidden_size')
  if types is None:
    types = fields.whole('type_vocab_size', 2)
    if types < 1:
      raise errors.InputError(
          'config.json: type_vocab_size should be at least 1, since tokens of '
          f'this family have a type; got {types}.')
  return encoder.EncoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 512) - offset(positions),
      width=width,
      num_layers=fields.whole('num_hidden_layers'),
      positions=positions,
      embed=parts.TypedEmbed(
          size=None if size == width else size, norm=norm, dropout=rate,
          types=types),
      block=block.PostNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('num_attention_heads'),
              dropout=fields.number('attention_probs_dropout_prob', dropout)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('intermediate_size'),
              activation=fields.choose(
                  'hidden_act', activations.BY_NAME, activation)),
          norm=norm, dropout=rate),
      tokens=None)


def offset(positions: positions_lib.Positions) -> int:
  """Returns the number of unused rows of a table of positions."""
  return getattr(positions, 'offset', 0)


def token_head(names: Set[str], part: str, config: encoder.EncoderConfig,
               activation: layers.Activation | None = None
               ) -> parts.TokenHead | None:
  """Returns the head of masked language models if a file has it.

  Args:
    names: The names of the tensors in the file.
    part: The module of the head.
    config: The model, whose norm the head has.
    activation: Its activation; None means that of the MLPs.
  """
  return parts.TokenHead(
      activation=activation or config.block.mlp.activation,
      norm=config.embed.norm) if has(names, part) else None


def pooler(names: Set[str], part: str, pairs: str | None = None
           ) -> encoder.Pooler | None:
  """Returns the pooler if a file has it.

  Args:
    names: The names of the tensors in the file.
    part: The module of the pooler.
    pairs: The module of a head for pairs, which needs the pooler.
  """
  has_pairs = pairs is not None and has(names, pairs)
  return encoder.Pooler(pairs=has_pairs) if (
      has_pairs or has(names, part)) else None


def has(names: Set[str], part: str) -> bool:
  """Returns whether a file has tensors of a module, with any prefix."""
  return any(f'.{part}.' in f'.{name}' for name in names)


def described(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields for an encoder in the style of BERT."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context + offset(config.positions),
      'hidden_size': config.width,
      'num_hidden_layers': config.num_layers,
      'num_attention_heads': mixer.num_heads,
      'intermediate_size': mlp.hidden,
      'hidden_act': activations.name(mlp.activation),
      'hidden_dropout_prob': config.block.dropout,
      'attention_probs_dropout_prob': mixer.dropout,
      'layer_norm_eps': config.block.norm.epsilon,
      'tie_word_embeddings': True}


def trunk(config: encoder.EncoderConfig, base: str) -> list[rows.Row]:
  """Returns the rows of the embeddings and the layers."""
  return [
      *embeddings(f'{base}embeddings.'),
      *rows.each(config.num_layers, 'layer_{i}/', base + 'encoder.layer.{i}.', [
          *rows.dense('mixer/query', 'attention.self.query'),
          *rows.dense('mixer/key', 'attention.self.key'),
          *rows.dense('mixer/value', 'attention.self.value'),
          *rows.dense('mixer/out', 'attention.output.dense'),
          *rows.norm('mixer_norm', 'attention.output.LayerNorm'),
          *mlp(),
      ])]


def embeddings(base: str) -> list[rows.Row]:
  """Returns the rows of the embeddings."""
  return [
      rows.row('embed/embedding', f'{base}word_embeddings.weight'),
      rows.row('positions/embedding', f'{base}position_embeddings.weight'),
      rows.row('types/embedding', f'{base}token_type_embeddings.weight'),
      *rows.norm('embed_norm', f'{base}LayerNorm')]


def mlp() -> list[rows.Row]:
  """Returns the rows of a layer's MLP and its norm."""
  return [*rows.dense('mlp/in', 'intermediate.dense'),
          *rows.dense('mlp/out', 'output.dense'),
          *rows.norm('mlp_norm', 'output.LayerNorm')]


def plain_head() -> list[rows.Row]:
  """Returns the rows of the head of RoBERTa and its relatives."""
  return [*rows.dense('tokens/transform', 'lm_head.dense'),
          *rows.norm('tokens/norm', 'lm_head.layer_norm'),
          rows.row('tokens/bias', 'lm_head.bias')]


def copies(embedding: str) -> dict[str, str]:
  """Returns the copies in a file with `plain_head`; see `Family.copies`."""
  return {'lm_head.decoder.weight': embedding,
          'lm_head.decoder.bias': 'lm_head.bias'}


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  config = style(fields)
  return dataclasses.replace(
      config, tokens=token_head(names, 'cls.predictions', config),
      pooler=pooler(names, 'pooler', 'cls.seq_relationship'))


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  pairs = config.pooler is not None and config.pooler.pairs
  head = {(True, True): 'BertForPreTraining', (True, False): 'BertForMaskedLM',
          (False, True): 'BertForNextSentencePrediction',
          (False, False): 'BertModel'}[config.tokens is not None, pairs]
  return {'architectures': [head], 'type_vocab_size': config.embed.types,
          **described(config)}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = trunk(config, 'bert.')
  if config.tokens is not None:
    found += [
        *rows.dense('tokens/transform', 'cls.predictions.transform.dense'),
        *rows.norm('tokens/norm', 'cls.predictions.transform.LayerNorm'),
        rows.row('tokens/bias', 'cls.predictions.bias')]
  if config.pooler is not None:
    found += rows.dense('pooler', 'bert.pooler.dense')
    if config.pooler.pairs:
      found += rows.dense('pairs', 'cls.seq_relationship')
  return found


FAMILY = family.Family(
    name='BERT', model_types=('bert',), kind=encoder.EncoderConfig,
    read=read, write=write, rows=table, base='bert.', older=OLDER,
    ignored=BUFFERS, ignorable=HEADS, copies={
        'cls.predictions.decoder.weight':
            'bert.embeddings.word_embeddings.weight',
        'cls.predictions.decoder.bias': 'cls.predictions.bias'})
