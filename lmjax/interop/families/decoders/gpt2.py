"""GPT-2, and models that differ from it in numbers only.

References:
  Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
"""
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.expect('scale_attn_by_inverse_layer_idx', False)
  fields.expect('add_cross_attention', False)
  width = fields.whole('n_embd')
  dropout = fields.number('resid_pdrop', 0.1)
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_epsilon', 1e-5))
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('n_positions', 1024),
      width=width,
      num_layers=fields.whole('n_layer'),
      positions=positions.Learned(),
      embed=parts.Embed(dropout=fields.number('embd_pdrop', 0.1)),
      head=parts.Head(tied=fields.take('tie_word_embeddings', True)),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('n_head'),
              scale=None if fields.take('scale_attn_weights', True) else 1.0,
              dropout=fields.number('attn_pdrop', 0.1)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('n_inner', 4 * width),
              activation=fields.choose(
                  'activation_function', activations.BY_NAME, 'gelu_new')),
          norm=norm, dropout=dropout),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'architectures': ['GPT2LMHeadModel'],
      'vocab_size': config.vocab_size,
      'n_positions': config.context,
      'n_embd': config.width,
      'n_layer': config.num_layers,
      'n_head': mixer.num_heads,
      'n_inner': mlp.hidden,
      'activation_function': activations.name(
          mlp.activation, 'gelu_new'),
      'layer_norm_epsilon': config.final_norm.epsilon,
      'scale_attn_weights': mixer.scale is None,
      'resid_pdrop': config.block.dropout,
      'embd_pdrop': config.embed.dropout,
      'attn_pdrop': mixer.dropout,
      'tie_word_embeddings': config.head.tied}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return [
      rows.row('embed/embedding', 'transformer.wte.weight'),
      rows.row('positions/embedding', 'transformer.wpe.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'transformer.h.{i}.', [
          *rows.norm('mixer_norm', 'ln_1'),
          *_fused(('mixer/query', 'mixer/key', 'mixer/value'), 'attn.c_attn'),
          *_dense('mixer/out', 'attn.c_proj'),
          *rows.norm('mlp_norm', 'ln_2'),
          *_dense('mlp/in', 'mlp.c_fc'),
          *_dense('mlp/out', 'mlp.c_proj'),
      ]),
      *rows.norm('final_norm', 'transformer.ln_f'),
      *rows.dense('head', 'lm_head'),
  ]


def _dense(path: str, name: str) -> list[rows.Row]:
  """Returns the rows of a dense layer; GPT-2 keeps weights as [in, out]."""
  return [rows.row(f'{path}/kernel', f'{name}.weight'),
          rows.row(f'{path}/bias', f'{name}.bias')]


def _fused(paths: tuple[str, ...], name: str) -> list[rows.Row]:
  """Returns the rows of layers whose outputs are those of one layer."""
  split = operations.Split((1,) * len(paths), axis=-1)
  return [rows.row([f'{path}/{leaf}' for path in paths],
                   f'{name}.{named}', split)
          for leaf, named in (('kernel', 'weight'), ('bias', 'bias'))]


FAMILY = family.Family(
    name='GPT-2', model_types=('gpt2',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='transformer.',
    ignored=(r'.*\.attn\.(masked_)?bias',),
    copies={'lm_head.weight': 'transformer.wte.weight'},
    ignorable=(
        'is_decoder', 'n_ctx',  # Always n_positions.
        'n_special', 'predict_special_tokens',  # Of GPT, without effect here.
        'reorder_and_upcast_attn',  # Only rounds differently.
        'summary_type', 'summary_use_proj', 'summary_activation',
        'summary_proj_to_labels', 'summary_first_dropout'))
