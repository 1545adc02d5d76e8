"""GPT-J: parallel branches with one norm, and interleaved rotary positions.

References:
  Wang and Komatsuzaki, GPT-J-6B, 2021.
"""
import math
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.nn.residual import parallel


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.expect('scale_attn_weights', True)
  fields.expect('rotary', True)
  width, heads = fields.whole('n_embd'), fields.whole('n_head')
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_epsilon', 1e-5))
  mixer = attention.AttentionConfig(
      num_heads=heads, bias=False, out_bias=False,
      dropout=fields.number('attn_pdrop', 0.0))
  tied = fields.take('tie_word_embeddings', False)
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('n_positions', 2048),
      width=width,
      num_layers=fields.whole('n_layer'),
      positions=positions.Rotary(interleaved=True, fraction=_fraction(
          fields.whole('rotary_dim'), mixer.size(width))),
      embed=parts.Embed(dropout=fields.number('embd_pdrop', 0.0)),
      head=parts.Head(tied=tied, bias=True),
      block=parallel.Parallel(
          mixer=mixer,
          mlp=layers.MLPConfig(
              hidden=fields.whole('n_inner', 4 * width),
              activation=fields.choose(
                  'activation_function', activations.BY_NAME, 'gelu_new')),
          norm=norm, dropout=fields.number('resid_pdrop', 0.0)),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'architectures': ['GPTJForCausalLM'],
      'vocab_size': config.vocab_size,
      'n_positions': config.context,
      'n_embd': config.width,
      'n_layer': config.num_layers,
      'n_head': mixer.num_heads,
      'n_inner': mlp.hidden,
      'rotary_dim': int(config.positions.fraction * mixer.size(config.width)),
      'activation_function': activations.name(mlp.activation, 'gelu_new'),
      'layer_norm_epsilon': config.final_norm.epsilon,
      'resid_pdrop': config.block.dropout,
      'embd_pdrop': config.embed.dropout,
      'attn_pdrop': mixer.dropout,
      'tie_word_embeddings': config.head.tied}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return [
      rows.row('embed/embedding', 'transformer.wte.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'transformer.h.{i}.', [
          *rows.norm('mixer_norm', 'ln_1'),
          *rows.dense('mixer/query', 'attn.q_proj'),
          *rows.dense('mixer/key', 'attn.k_proj'),
          *rows.dense('mixer/value', 'attn.v_proj'),
          *rows.dense('mixer/out', 'attn.out_proj'),
          *rows.dense('mlp/in', 'mlp.fc_in'),
          *rows.dense('mlp/out', 'mlp.fc_out'),
      ]),
      *rows.norm('final_norm', 'transformer.ln_f'),
      *rows.dense('head', 'lm_head'),
  ]


def _fraction(turned: int, size: int) -> float:
  """Returns the fraction of a head, rounded so that `turned` are rotated."""
  found = turned / size
  return found if int(size * found) == turned else math.nextafter(found, 1)


FAMILY = family.Family(
    name='GPT-J', model_types=('gptj',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='transformer.',
    ignored=(r'.*\.attn\.(masked_)?bias', r'.*\.attn\.embed_positions'),
    copies={'lm_head.weight': 'transformer.wte.weight'},
    ignorable=(
        'is_decoder', 'n_ctx',  # Always n_positions.
        'summary_type', 'summary_use_proj', 'summary_activation',
        'summary_proj_to_labels', 'summary_first_dropout'))
