"""The architectures of GGUF files, and what Hugging Face calls their parts.

An architecture has rows of names for its tensors (see `names`) and rows of
settings: a key of the file, a field of config.json and a kind of value. Both
are read from left to right and written from right to left.
"""
from collections.abc import Callable, Mapping, Set
import dataclasses
from typing import Any

from lmjax.interop.formats.gguf import keys as keys_lib
from lmjax.interop.formats.gguf import names
from lmjax.interop.formats.gguf import rope

Fields = dict[str, Any]
Settings = tuple[tuple[str, str, str], ...]
_VOCABULARY = {'vocab_size': 'token_embd.weight'}


@dataclasses.dataclass(frozen=True)
class Architecture:
  """An architecture, or one variant of it.

  Attributes:
    name: Its name in GGUF.
    model_type: The field `model_type` of config.json.
    kind: The class of the model in transformers.
    rows: The names of its tensors.
    settings: Rows of a key, a field and a kind of value.
    constants: Fields that a GGUF file does not say.
    also: Other values of `model_type` that are written as this architecture.
    present: Fields that say whether there is a tensor of some name.
    sizes: Fields whose value is the number of rows of a tensor.
    extra: Function that returns further fields; it takes the keys and the
      fields so far.
    values: Function from the fields to further values to write, by key.
    variant: Function that says if a file is of this variant, from the keys and
      the names of its tensors.
    written: Function that says if a config.json is of this variant.
    heads: The field with the number of heads.
    key_heads: The field with the number of key heads.
    width: The field with the width.
    layers: The field with the number of layers.
    rotary: Whether its positions are rotary.
    base: A prefix that the names of tensors may have in Hugging Face's files.
  """
  name: str
  model_type: str
  kind: str
  rows: tuple[names.Row, ...]
  settings: Settings
  constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  also: tuple[str, ...] = ()
  present: Mapping[str, str] = dataclasses.field(default_factory=dict)
  sizes: Mapping[str, str] = dataclasses.field(
      default_factory=lambda: _VOCABULARY)
  extra: Callable[[keys_lib.Keys, Fields], Fields] = lambda keys, fields: {}
  values: Callable[[Fields], dict[str, tuple[str, Any]]] = lambda fields: {}
  variant: Callable[[Mapping[str, Any], Set[str]], bool] = (
      lambda metadata, tensors: True)
  written: Callable[[Fields], bool] = lambda fields: True
  heads: str = 'num_attention_heads'
  key_heads: str = 'num_key_value_heads'
  width: str = 'hidden_size'
  layers: str = 'num_hidden_layers'
  rotary: bool = True
  base: str = ''


def _settings(*names_of_fields: str, norm: str) -> Settings:
  """Returns the settings that all architectures have."""
  keys = ('context_length', 'embedding_length', 'block_count',
          'feed_forward_length', 'attention.head_count',
          'attention.head_count_kv')
  rms = 'rms' in norm
  return (*((key, field, 'whole')
            for key, field in zip(keys, names_of_fields, strict=True)
            if field),
          ('attention.layer_norm_rms_epsilon' if rms
           else 'attention.layer_norm_epsilon', norm, 'real'))


_COMMON = ('max_position_embeddings', 'hidden_size', 'num_hidden_layers',
           'intermediate_size', 'num_attention_heads', 'num_key_value_heads')
_LLAMA = _settings(*_COMMON, norm='rms_norm_eps')
_HEAD = ('attention.key_length', 'head_dim', 'whole'),
_SILU = {'hidden_act': 'silu'}
_GEMMA = {'hidden_act': 'gelu_pytorch_tanh',
          'hidden_activation': 'gelu_pytorch_tanh'}
_BIAS = {'attention_bias': 'blk.0.attn_q.bias'}
_MLP_BIAS = {'mlp_bias': 'blk.0.ffn_up.bias'}


def _attention_scalar(keys: keys_lib.Keys, fields: Fields) -> Fields:
  """Returns `query_pre_attn_scalar`, which llama.cpp derives from the size.

  The largest Gemma 2 and 3 divide by the width of a head of the residual
  stream rather than of the attention; they are told by their number of layers.
  """
  largest = fields['num_hidden_layers'] in (46, 62)
  return {'query_pre_attn_scalar': (
      fields['hidden_size'] // fields['num_attention_heads'] if largest
      else fields['head_dim'])}


def _gemma3(keys: keys_lib.Keys, fields: Fields) -> Fields:
  """Returns the fields of local and global layers."""
  return {**_attention_scalar(keys, fields), 'sliding_window_pattern': 6,
          'rope_local_base_freq': keys.take(
              'rope.freq_base_swa', 'real', 10_000.0)}


def _gemma3_values(fields: Fields) -> dict[str, tuple[str, Any]]:
  local = rope.parameters(fields, 'sliding_attention').get(
      'rope_theta', fields.get('rope_local_base_freq', 10_000.0))
  return {'rope.freq_base_swa': ('real', local)}


def _rotated(fields: Fields, name: str, default: float) -> float:
  """Returns the fraction of a head that is rotated."""
  return rope.parameters(fields).get(
      'partial_rotary_factor', fields.get(name, default))


def _neox(keys: keys_lib.Keys, fields: Fields) -> Fields:
  head = fields['hidden_size'] // fields['num_attention_heads']
  return {
      'rotary_pct': keys.need('rope.dimension_count', 'whole') / head,
      'use_parallel_residual': keys.take(
          'use_parallel_residual', 'truth', True)}


def _neox_values(fields: Fields) -> dict[str, tuple[str, Any]]:
  head = fields['hidden_size'] // fields['num_attention_heads']
  return {
      'rope.dimension_count': ('whole', int(
          _rotated(fields, 'rotary_pct', 0.25) * head)),
      'use_parallel_residual': (
          'truth', fields.get('use_parallel_residual', True))}


def _phi3(keys: keys_lib.Keys, fields: Fields) -> Fields:
  window = keys.take('attention.sliding_window', 'whole', 0)
  head = fields['hidden_size'] // fields['num_attention_heads']
  return {
      'sliding_window': window or None,
      'partial_rotary_factor': keys.take(
          'rope.dimension_count', 'whole', head) / head}


def _phi3_values(fields: Fields) -> dict[str, tuple[str, Any]]:
  head = fields['hidden_size'] // fields['num_attention_heads']
  window = fields.get('sliding_window') or 0
  if 0 < window < fields['max_position_embeddings']:
    raise ValueError(
        f'llama.cpp reads a Phi-3 without its sliding_window = {window}, and '
        'would compute something else for longer texts')
  return {
      'attention.sliding_window': ('whole', window),
      'rope.dimension_count': (
          'whole', int(_rotated(fields, 'partial_rotary_factor', 1.0) * head))}


def _falcon(keys: keys_lib.Keys, fields: Fields) -> Fields:
  keys.expect('tensor_data_layout', 'text', 'jploski')
  keys.take('context_length', 'whole')  # llama.cpp writes 2,048 for all.
  keys.expect('feed_forward_length', 'whole', 4 * fields['hidden_size'])
  return {} if fields['new_decoder_architecture'] else {
      'multi_query': fields.get('num_kv_heads') == 1}


def _falcon_values(fields: Fields) -> dict[str, tuple[str, Any]]:
  query = fields['num_attention_heads']
  key = (fields['num_kv_heads'] if fields.get('new_decoder_architecture')
         else 1 if fields.get('multi_query', True) else query)
  return {
      'attention.head_count_kv': ('whole', key),
      'tensor_data_layout': ('text', 'jploski'),
      'context_length': ('whole', fields.get('max_position_embeddings', 2048)),
      'feed_forward_length': ('whole', 4 * fields['hidden_size'])}


def _gpt2_values(fields: Fields) -> dict[str, tuple[str, Any]]:
  inner = fields.get('n_inner') or 4 * fields['n_embd']
  return {'feed_forward_length': ('whole', inner)}


def _bloom(keys: keys_lib.Keys, fields: Fields) -> Fields:
  keys.take('context_length', 'whole')  # ALiBi has no longest context.
  keys.expect('feed_forward_length', 'whole', 4 * fields['hidden_size'])
  keys.expect('attention.head_count_kv', 'whole', fields['n_head'])
  return {}


def _bloom_values(fields: Fields) -> dict[str, tuple[str, Any]]:
  return {
      'context_length': ('whole', fields.get('seq_length', 2048)),
      'feed_forward_length': ('whole', 4 * fields['hidden_size']),
      'attention.head_count_kv': ('whole', fields['n_head'])}


def _bert(keys: keys_lib.Keys, fields: Fields) -> Fields:
  keys.expect('attention.causal', 'truth', False)
  return {}


def _llama(keys: keys_lib.Keys, fields: Fields) -> Fields:
  # Older files say in whose order the rotated rows are.
  keys.expect('tensor_data_layout', 'text', 'Meta AI original pth')
  return {}


def _has_experts(metadata, tensors) -> bool:
  return bool(metadata.get('llama.expert_count'))


ARCHITECTURES = (
    Architecture(
        'llama', 'mixtral', 'MixtralForCausalLM', names.MIXTRAL,
        _LLAMA + _HEAD + (
            ('expert_count', 'num_local_experts', 'whole'),
            ('expert_used_count', 'num_experts_per_tok', 'whole')),
        _SILU, extra=_llama, variant=_has_experts),
    Architecture(
        'llama', 'llama', 'LlamaForCausalLM', names.LLAMA, _LLAMA + _HEAD,
        _SILU, also=('mistral',), present=_BIAS | _MLP_BIAS, extra=_llama),
    Architecture(
        'qwen2', 'qwen2', 'Qwen2ForCausalLM', names.QWEN2, _LLAMA,
        _SILU | {'use_sliding_window': False}),
    Architecture(
        'qwen3', 'qwen3', 'Qwen3ForCausalLM', names.QWEN3, _LLAMA + _HEAD,
        _SILU | {'use_sliding_window': False}, present=_BIAS),
    Architecture(
        'gemma', 'gemma', 'GemmaForCausalLM', names.GEMMA, _LLAMA + _HEAD,
        _GEMMA, present=_BIAS),
    Architecture(
        'gemma2', 'gemma2', 'Gemma2ForCausalLM', names.GEMMA2,
        _LLAMA + _HEAD + (
            ('attn_logit_softcapping', 'attn_logit_softcapping', 'real'),
            ('final_logit_softcapping', 'final_logit_softcapping', 'real'),
            ('attention.sliding_window', 'sliding_window', 'whole')),
        _GEMMA, present=_BIAS, extra=_attention_scalar),
    Architecture(
        'gemma3', 'gemma3_text', 'Gemma3ForCausalLM', names.GEMMA3,
        _LLAMA + _HEAD + (
            ('final_logit_softcapping', 'final_logit_softcapping', 'real'),
            ('attention.sliding_window', 'sliding_window', 'whole')),
        _GEMMA, present=_BIAS, extra=_gemma3, values=_gemma3_values),
    Architecture(
        'phi3', 'phi3', 'Phi3ForCausalLM', names.PHI3, _LLAMA, _SILU,
        extra=_phi3, values=_phi3_values),
    Architecture(
        'olmo2', 'olmo2', 'Olmo2ForCausalLM', names.OLMO2, _LLAMA, _SILU,
        present=_BIAS),
    Architecture(
        'granite', 'granite', 'GraniteForCausalLM', names.LLAMA, _LLAMA + (
            ('attention.scale', 'attention_multiplier', 'real'),
            ('embedding_scale', 'embedding_multiplier', 'real'),
            ('residual_scale', 'residual_multiplier', 'real'),
            ('logit_scale', 'logits_scaling', 'real')),
        _SILU, present=_BIAS | _MLP_BIAS),
    Architecture(
        'smollm3', 'smollm3', 'SmolLM3ForCausalLM', names.LLAMA,
        _LLAMA + _HEAD, _SILU | {'no_rope_layer_interval': 4},
        present=_BIAS | _MLP_BIAS),
    Architecture(
        'gpt2', 'gpt2', 'GPT2LMHeadModel', names.GPT2,
        _settings('n_positions', 'n_embd', 'n_layer', 'n_inner', 'n_head', '',
                  norm='layer_norm_epsilon'),
        {'activation_function': 'gelu_new'}, values=_gpt2_values,
        heads='n_head', width='n_embd', layers='n_layer', rotary=False),
    Architecture(
        'gptneox', 'gpt_neox', 'GPTNeoXForCausalLM', names.NEOX,
        _settings(*_COMMON[:-1], '', norm='layer_norm_eps'),
        {'hidden_act': 'gelu'}, extra=_neox, values=_neox_values),
    Architecture(
        'falcon', 'falcon', 'FalconForCausalLM', names.FALCON_TWO_NORMS,
        _settings('', 'hidden_size', 'num_hidden_layers', '',
                  'num_attention_heads', 'num_kv_heads',
                  norm='layer_norm_epsilon'),
        {'new_decoder_architecture': True, 'parallel_attn': True,
         'alibi': False}, present={'bias': 'blk.0.attn_qkv.bias'},
        extra=_falcon, values=_falcon_values, key_heads='num_kv_heads',
        variant=lambda metadata, tensors: 'blk.0.attn_norm_2.weight' in tensors,
        written=lambda fields: fields.get('new_decoder_architecture', False)),
    Architecture(
        'falcon', 'falcon', 'FalconForCausalLM', names.FALCON,
        _settings('', 'hidden_size', 'num_hidden_layers', '',
                  'num_attention_heads', 'num_kv_heads',
                  norm='layer_norm_epsilon'),
        {'new_decoder_architecture': False, 'parallel_attn': True,
         'alibi': False}, present={'bias': 'blk.0.attn_qkv.bias'},
        extra=_falcon, values=_falcon_values, key_heads='num_kv_heads'),
    Architecture(
        'bloom', 'bloom', 'BloomForCausalLM', names.BLOOM,
        _settings('', 'hidden_size', 'n_layer', '', 'n_head', '',
                  norm='layer_norm_epsilon'),
        extra=_bloom, values=_bloom_values, heads='n_head', layers='n_layer',
        rotary=False),
    Architecture(
        'bert', 'bert', 'BertModel', names.BERT,
        _settings(*_COMMON[:-1], '', norm='layer_norm_eps'),
        {'hidden_act': 'gelu'}, extra=_bert,
        values=lambda fields: {'attention.causal': ('truth', False)},
        sizes=_VOCABULARY | {'type_vocab_size': 'token_types.weight'},
        rotary=False, base='bert.'),
)
