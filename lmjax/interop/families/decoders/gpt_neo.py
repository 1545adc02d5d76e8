"""GPT-Neo: GPT-2 with windows in some layers, and unscaled attention.

References:
  Black et al., GPT-Neo, 2021.
"""
from collections.abc import Sequence
from typing import Any

from lmjax.core import errors
from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import layer_types
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions

_TYPES = {'global': layer_types.FULL, 'local': layer_types.SLIDING}


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  width = fields.whole('hidden_size')
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_epsilon', 1e-5))
  config = decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 2048),
      width=width,
      num_layers=fields.whole('num_layers'),
      positions=positions.Learned(),
      embed=parts.Embed(dropout=fields.number('embed_dropout', 0.0)),
      head=parts.Head(tied=fields.take('tie_word_embeddings', True)),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('num_heads'), bias=False, scale=1.0,
              dropout=fields.number('attention_dropout', 0.0)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('intermediate_size', 4 * width),
              activation=fields.choose(
                  'activation_function', activations.BY_NAME, 'gelu_new')),
          norm=norm, dropout=fields.number('resid_dropout', 0.0)),
      final_norm=norm)
  types = _repeated(
      fields.take('attention_types', [[['global', 'local'], 12]]),
      config.num_layers)
  fields.expect('attention_layers', types)
  return layer_types.windowed(
      config, [_TYPES[each] for each in types],
      fields.whole('window_size', 256))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  types, window = layer_types.written(config)
  names = {value: name for name, value in _TYPES.items()}
  return {
      'architectures': ['GPTNeoForCausalLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'num_layers': config.num_layers,
      'num_heads': mixer.num_heads,
      'intermediate_size': mlp.hidden,
      'attention_types': [[[names[each] for each in types], 1]],
      **({} if window is None else {'window_size': window}),
      'activation_function': activations.name(mlp.activation, 'gelu_new'),
      'layer_norm_epsilon': config.final_norm.epsilon,
      'resid_dropout': config.block.dropout,
      'embed_dropout': config.embed.dropout,
      'attention_dropout': mixer.dropout,
      'tie_word_embeddings': config.head.tied}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return [
      rows.row('embed/embedding', 'transformer.wte.weight'),
      rows.row('positions/embedding', 'transformer.wpe.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'transformer.h.{i}.', [
          *rows.norm('mixer_norm', 'ln_1'),
          *rows.dense('mixer/query', 'attn.attention.q_proj'),
          *rows.dense('mixer/key', 'attn.attention.k_proj'),
          *rows.dense('mixer/value', 'attn.attention.v_proj'),
          *rows.dense('mixer/out', 'attn.attention.out_proj'),
          *rows.norm('mlp_norm', 'ln_2'),
          *rows.dense('mlp/in', 'mlp.c_fc'),
          *rows.dense('mlp/out', 'mlp.c_proj'),
      ]),
      *rows.norm('final_norm', 'transformer.ln_f'),
      *rows.dense('head', 'lm_head'),
  ]


def _repeated(given: Sequence[Any], num_layers: int) -> list[str]:
  """Returns the type of each layer, of pairs (types, how often they repeat)."""
  try:
    found = [each for types, count in given
             for _ in range(min(count, num_layers + 1)) for each in types]
    if len(found) != num_layers or not set(found) <= _TYPES.keys():
      raise ValueError
  except (TypeError, ValueError):
    raise errors.InputError(
        'config.json: attention_types should be a list of pairs such as '
        f'[["global", "local"], 6], with one type for each of the {num_layers} '
        f'layers; got {given!r:.200}.') from None
  return found


FAMILY = family.Family(
    name='GPT-Neo', model_types=('gpt_neo',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='transformer.',
    ignored=(r'.*\.attn\.attention\.(masked_)?bias',),
    copies={'lm_head.weight': 'transformer.wte.weight'},
    ignorable=(
        'is_decoder', 'classifier_dropout',
        'summary_type', 'summary_use_proj', 'summary_activation',
        'summary_proj_to_labels', 'summary_first_dropout'))
