"""ModernBERT: a pre-norm encoder with rotary positions and local layers.

References:
  Warner et al., ModernBERT, arXiv:2412.13663.
"""
from collections.abc import Set
from typing import Any

from lmjax.core import errors
from lmjax.interop.families.encoders import bert
from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import pattern
from lmjax.nn.residual import branch_norm

_GLOBAL, _LOCAL = 'full_attention', 'sliding_attention'


def read(fields: fields_lib.Fields, names: Set[str]) -> encoder.EncoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  norm = layers.LayerNorm(
      fields.number('norm_eps', 1e-5), fields.take('norm_bias', False))
  bias = fields.take('attention_bias', False)
  mixer = attention.AttentionConfig(
      num_heads=fields.whole('num_attention_heads'), bias=bias, out_bias=bias,
      dropout=fields.number('attention_dropout', 0.0))
  mlp = layers.MLPConfig(
      hidden=fields.whole('intermediate_size'), gated=True,
      activation=fields.choose(
          'hidden_activation', activations.BY_NAME, 'gelu'),
      bias=fields.take('mlp_bias', False),
      dropout=fields.number('mlp_dropout', 0.0))
  head = parts.TokenHead(
      tied=fields.take('tie_word_embeddings', True),
      bias=fields.take('decoder_bias', True), norm=norm,
      activation=fields.choose(
          'classifier_activation', activations.BY_NAME, 'gelu'),
      transform_bias=fields.take('classifier_bias', False))
  own = 'decoder' if head.bias or not head.tied else 'head'
  num_layers = fields.whole('num_hidden_layers')
  return encoder.EncoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 8192),
      width=fields.whole('hidden_size'), num_layers=num_layers,
      block=block.PreNorm(mixer=mixer, mlp=mlp, norm=norm),
      positions=rope.read(
          fields, theta=fields.number('global_rope_theta', 160_000.0),
          layers=_GLOBAL),
      pattern=pattern.LocalGlobal(
          window=fields.whole('local_attention', 128) // 2 + 1,
          every=_every(fields, num_layers), global_layer='last',
          local_positions=rope.read(
              fields, theta=fields.number('local_rope_theta', 10_000.0),
              layers=_LOCAL),
          first=(_first(mixer, mlp, norm),)),
      embed=parts.TypedEmbed(
          norm=norm, types=0, dropout=fields.number('embedding_dropout', 0.0)),
      final_norm=norm, tokens=head if bert.has(names, own) else None)


def _first(mixer, mlp, norm) -> pattern.Layer:
  """Returns the first layer, whose mixer comes right after a norm."""
  return pattern.Layer(branch_norm.BranchNorm(
      mixer=mixer, mlp=mlp, before=None, after=None, mlp_norm=norm))


def _every(fields, num_layers):
  """Returns the distance between global layers, of which the first is one."""
  every = fields.whole('global_attn_every_n_layers', 3)
  kinds = fields.take('layer_types', _kinds(every, num_layers))
  for found in (every, *range(2, num_layers + 1)):
    if kinds == _kinds(found, num_layers):
      return found
  raise errors.InputError(
      f'config.json: layer_types should be {_GLOBAL} for the first layer and '
      f'every n-th layer after it, and {_LOCAL} for the others of the '
      f'{num_layers} layers; got {kinds}.')


def _kinds(every, num_layers):
  return [_LOCAL if i % every else _GLOBAL for i in range(num_layers)]


def write(config: encoder.EncoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp, found = config.block.mixer, config.block.mlp, config.pattern
  head = config.tokens or parts.TokenHead(transform_bias=False)
  thetas = {'global_rope_theta': config.positions,
            'local_rope_theta': found.local_positions or config.positions}
  return {
      'architectures': ['ModernBertModel' if config.tokens is None
                        else 'ModernBertForMaskedLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'num_hidden_layers': config.num_layers,
      'intermediate_size': mlp.hidden,
      'num_attention_heads': mixer.num_heads,
      'hidden_activation': activations.name(mlp.activation),
      'norm_eps': config.final_norm.epsilon,
      'norm_bias': config.final_norm.bias,
      'attention_bias': mixer.bias,
      'attention_dropout': mixer.dropout,
      'mlp_bias': mlp.bias,
      'mlp_dropout': mlp.dropout,
      'embedding_dropout': config.embed.dropout,
      'decoder_bias': head.bias,
      'classifier_bias': head.transform_bias,
      'classifier_activation': activations.name(head.activation),
      'tie_word_embeddings': head.tied,
      'local_attention': 2 * (found.window - 1),
      'global_attn_every_n_layers': found.every,
      'layer_types': _kinds(found.every, config.num_layers),
      **{name: each.theta for name, each in thetas.items()},
      'rope_parameters': {
          kind: rope.write(each)['rope_parameters']
          for kind, each in zip((_GLOBAL, _LOCAL), thetas.values())}}


def table(config: encoder.EncoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [
      rows.row('embed/embedding', 'model.embeddings.tok_embeddings.weight'),
      *rows.norm('embed_norm', 'model.embeddings.norm'),
      *rows.each(config.num_layers, 'layer_{i}/', 'model.layers.{i}.', [
          *rows.norm('mixer_norm', 'attn_norm'),
          *_fused(['mixer/query', 'mixer/key', 'mixer/value'], 'attn.Wqkv'),
          *rows.dense('mixer/out', 'attn.Wo'),
          *rows.norm('mlp_norm', 'mlp_norm'),
          *_fused(['mlp/in', 'mlp/gate'], 'mlp.Wi'),
          *rows.dense('mlp/out', 'mlp.Wo')]),
      *rows.norm('final_norm', 'model.final_norm')]
  if config.tokens is not None:
    found += [*rows.dense('tokens/transform', 'head.dense'),
              *rows.norm('tokens/norm', 'head.norm'),
              rows.row('tokens/bias', 'decoder.bias')]
    if not config.tokens.tied:
      found.append(rows.row('tokens/kernel', 'decoder.weight',
                            operations.Transpose()))
  return found


def _fused(paths, name):
  """Returns the rows of dense layers of equal size in one tensor."""
  split = operations.Split((1,) * len(paths))
  return [rows.row([f'{path}/kernel' for path in paths], f'{name}.weight',
                   split, operations.Transpose()),
          rows.row([f'{path}/bias' for path in paths], f'{name}.bias', split)]


FAMILY = family.Family(
    name='ModernBERT', model_types=('modernbert',), kind=encoder.EncoderConfig,
    read=read, write=write, rows=table, base='model.',
    copies={'decoder.weight': 'model.embeddings.tok_embeddings.weight'},
    # How the model is initialised, computed and trained, and fields that the
    # reference does not use, though published files have them.
    ignorable=('initializer_cutoff_factor', 'deterministic_flash_attn',
               'reference_compile', 'repad_logits_with_grad',
               'sparse_prediction', 'sparse_pred_ignore_index',
               'classifier_pooling', 'classifier_dropout', 'compile_mode',
               'layer_norm_eps', 'position_embedding_type'))
