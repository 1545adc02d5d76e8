"""GPT-NeoX and Pythia: parallel branches, and rotary positions in part.

References:
  Black et al., GPT-NeoX-20B, arXiv:2204.06745; Biderman et al., Pythia,
  arXiv:2304.01373.
"""
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn.residual import parallel


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.alias(rotary_emb_base='rope_theta', rotary_pct='partial_rotary_factor')
  if not fields.take('rope_parameters', {}, dict):
    fields.default(partial_rotary_factor=0.25)
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_eps', 1e-5))
  bias = fields.take('attention_bias', True)
  branches = dict(
      mixer=attention.AttentionConfig(
          num_heads=fields.whole('num_attention_heads'), bias=bias,
          out_bias=bias, dropout=fields.number('attention_dropout', 0.0)),
      mlp=layers.MLPConfig(
          hidden=fields.whole('intermediate_size'),
          activation=fields.choose('hidden_act', activations.BY_NAME, 'gelu')),
      norm=norm, dropout=fields.number('hidden_dropout', 0.0))
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 2048),
      width=fields.whole('hidden_size'),
      num_layers=fields.whole('num_hidden_layers'),
      positions=rope.read(fields),
      head=parts.Head(tied=fields.take('tie_word_embeddings', False)),
      block=(parallel.Parallel(**branches, mlp_norm=norm)
             if fields.take('use_parallel_residual', True)
             else block.PreNorm(**branches)),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'architectures': ['GPTNeoXForCausalLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'num_hidden_layers': config.num_layers,
      'num_attention_heads': mixer.num_heads,
      'intermediate_size': mlp.hidden,
      'hidden_act': activations.name(mlp.activation, 'gelu_new'),
      'layer_norm_eps': config.final_norm.epsilon,
      'attention_bias': mixer.bias,
      'use_parallel_residual': isinstance(config.block, parallel.Parallel),
      'attention_dropout': mixer.dropout,
      'hidden_dropout': config.block.dropout,
      'tie_word_embeddings': config.head.tied,
      'rotary_emb_base': config.positions.theta,
      'rotary_pct': config.positions.fraction,
      **rope.write(config.positions)}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  split = operations.SplitHeads(config.block.mixer.num_heads)
  return [
      rows.row('embed/embedding', 'gpt_neox.embed_in.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'gpt_neox.layers.{i}.', [
          *rows.norm('mixer_norm', 'input_layernorm'),
          *rows.fused(('mixer/query', 'mixer/key', 'mixer/value'),
                      'attention.query_key_value', split),
          *rows.dense('mixer/out', 'attention.dense'),
          *rows.norm('mlp_norm', 'post_attention_layernorm'),
          *rows.dense('mlp/in', 'mlp.dense_h_to_4h'),
          *rows.dense('mlp/out', 'mlp.dense_4h_to_h'),
      ]),
      *rows.norm('final_norm', 'gpt_neox.final_layer_norm'),
      *rows.dense('head', 'embed_out'),
  ]


FAMILY = family.Family(
    name='GPT-NeoX', model_types=('gpt_neox',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='gpt_neox.',
    ignored=(r'.*\.attention\.(masked_)?bias', r'.*\.rotary_emb\.inv_freq'),
    copies={'embed_out.weight': 'gpt_neox.embed_in.weight'},
    older=(('embed_out.', 'lm_head.'),),  # The second is by transformers 5.
    ignorable=(
        'is_decoder', 'classifier_dropout',
        # Of the first files. Published models have none of either.
        'attention_probs_dropout_prob', 'hidden_dropout_prob'))
