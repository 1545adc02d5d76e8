"""The names of tensors: Hugging Face's on the left, llama.cpp's on the right.

A row is a module of the model: it stands for the module's weight and, where
there is one, its bias. `{}` is the number of a layer and `{e}` of an expert;
llama.cpp stacks all experts of a layer in one tensor.
"""
import dataclasses

from lmjax.interop.formats.gguf import layouts

SUFFIXES = '.weight', '.bias'


@dataclasses.dataclass(frozen=True)
class Row:
  """One module.

  Attributes:
    hf: Its name in Hugging Face's files.
    gguf: Its name in GGUF files.
    layout: How llama.cpp rearranges its weights.
  """
  hf: str
  gguf: str
  layout: layouts.Same = layouts.Same()

  @property
  def experts(self) -> bool:
    """Whether the tensor holds all experts of a layer."""
    return '{e}' in self.hf

  @property
  def layers(self) -> bool:
    """Whether every layer has one."""
    return '{}' in self.gguf


def _rows(*pairs) -> tuple[Row, ...]:
  return tuple(Row(*pair) for pair in pairs)


def _replaced(rows: tuple[Row, ...], layout: layouts.Same, *ends: str
              ) -> tuple[Row, ...]:
  """Returns rows in which modules with these ends have another layout."""
  return tuple(
      dataclasses.replace(row, layout=layout) if row.gguf.endswith(ends)
      else row for row in rows)


_TRUNK = _rows(
    ('model.embed_tokens', 'token_embd'),
    ('model.norm', 'output_norm'),
    ('lm_head', 'output'),
    ('model.layers.{}.self_attn.q_proj', 'blk.{}.attn_q'),
    ('model.layers.{}.self_attn.k_proj', 'blk.{}.attn_k'),
    ('model.layers.{}.self_attn.v_proj', 'blk.{}.attn_v'),
    ('model.layers.{}.self_attn.o_proj', 'blk.{}.attn_output'),
    ('model.layers.{}.mlp.gate_proj', 'blk.{}.ffn_gate'),
    ('model.layers.{}.mlp.up_proj', 'blk.{}.ffn_up'),
    ('model.layers.{}.mlp.down_proj', 'blk.{}.ffn_down'))
_PRE_NORMS = _rows(
    ('model.layers.{}.input_layernorm', 'blk.{}.attn_norm'),
    ('model.layers.{}.post_attention_layernorm', 'blk.{}.ffn_norm'))
_QK_NORMS = _rows(
    ('model.layers.{}.self_attn.q_norm', 'blk.{}.attn_q_norm'),
    ('model.layers.{}.self_attn.k_norm', 'blk.{}.attn_k_norm'))
_POST_NORMS = _rows(
    ('model.layers.{}.post_attention_layernorm',
     'blk.{}.post_attention_norm'),
    ('model.layers.{}.post_feedforward_layernorm', 'blk.{}.post_ffw_norm'))
_SANDWICH_NORMS = _POST_NORMS + _rows(
    ('model.layers.{}.input_layernorm', 'blk.{}.attn_norm'),
    ('model.layers.{}.pre_feedforward_layernorm', 'blk.{}.ffn_norm'))

QWEN2 = _TRUNK + _PRE_NORMS
QWEN3 = QWEN2 + _QK_NORMS
LLAMA = _replaced(
    _replaced(QWEN2, layouts.RopeRows(), '.attn_q'),
    layouts.RopeRows(keys=True), '.attn_k')
MIXTRAL = tuple(row for row in LLAMA if '.mlp.' not in row.hf) + _rows(
    ('model.layers.{}.block_sparse_moe.gate', 'blk.{}.ffn_gate_inp'),
    ('model.layers.{}.block_sparse_moe.experts.{e}.w1',
     'blk.{}.ffn_gate_exps'),
    ('model.layers.{}.block_sparse_moe.experts.{e}.w2',
     'blk.{}.ffn_down_exps'),
    ('model.layers.{}.block_sparse_moe.experts.{e}.w3',
     'blk.{}.ffn_up_exps'))
GEMMA = _replaced(QWEN2, layouts.PlusOne(), '_norm')
GEMMA2 = _replaced(_TRUNK + _SANDWICH_NORMS, layouts.PlusOne(), '_norm')
GEMMA3 = _replaced(
    _TRUNK + _SANDWICH_NORMS + _QK_NORMS, layouts.PlusOne(), '_norm')
OLMO2 = _TRUNK + _POST_NORMS + _QK_NORMS
PHI3 = tuple(
    row for row in QWEN2
    if not row.gguf.endswith(('_q', '_k', '_v', '_gate', '_up'))) + _rows(
        ('model.layers.{}.self_attn.qkv_proj', 'blk.{}.attn_qkv'),
        ('model.layers.{}.mlp.gate_up_proj', 'blk.{}.ffn_up'))
GPT2 = _rows(
    ('transformer.wte', 'token_embd'),
    ('transformer.wpe', 'position_embd'),
    ('transformer.ln_f', 'output_norm'),
    ('lm_head', 'output'),
    ('transformer.h.{}.ln_1', 'blk.{}.attn_norm'),
    ('transformer.h.{}.attn.c_attn', 'blk.{}.attn_qkv', layouts.Transposed()),
    ('transformer.h.{}.attn.c_proj', 'blk.{}.attn_output',
     layouts.Transposed()),
    ('transformer.h.{}.ln_2', 'blk.{}.ffn_norm'),
    ('transformer.h.{}.mlp.c_fc', 'blk.{}.ffn_up', layouts.Transposed()),
    ('transformer.h.{}.mlp.c_proj', 'blk.{}.ffn_down', layouts.Transposed()))
NEOX = _rows(
    ('gpt_neox.embed_in', 'token_embd'),
    ('gpt_neox.final_layer_norm', 'output_norm'),
    ('embed_out', 'output'),
    ('gpt_neox.layers.{}.input_layernorm', 'blk.{}.attn_norm'),
    ('gpt_neox.layers.{}.attention.query_key_value', 'blk.{}.attn_qkv',
     layouts.Grouped()),
    ('gpt_neox.layers.{}.attention.dense', 'blk.{}.attn_output'),
    ('gpt_neox.layers.{}.post_attention_layernorm', 'blk.{}.ffn_norm'),
    ('gpt_neox.layers.{}.mlp.dense_h_to_4h', 'blk.{}.ffn_up'),
    ('gpt_neox.layers.{}.mlp.dense_4h_to_h', 'blk.{}.ffn_down'))
_FALCON = _rows(
    ('transformer.word_embeddings', 'token_embd'),
    ('transformer.ln_f', 'output_norm'),
    ('lm_head', 'output'),
    ('transformer.h.{}.self_attention.query_key_value', 'blk.{}.attn_qkv',
     layouts.Grouped()),
    ('transformer.h.{}.self_attention.dense', 'blk.{}.attn_output'),
    ('transformer.h.{}.mlp.dense_h_to_4h', 'blk.{}.ffn_up'),
    ('transformer.h.{}.mlp.dense_4h_to_h', 'blk.{}.ffn_down'))
FALCON = _FALCON + _rows(
    ('transformer.h.{}.input_layernorm', 'blk.{}.attn_norm'))
FALCON_TWO_NORMS = _FALCON + _rows(
    ('transformer.h.{}.ln_mlp', 'blk.{}.attn_norm'),
    ('transformer.h.{}.ln_attn', 'blk.{}.attn_norm_2'))
BLOOM = _FALCON + _rows(
    ('transformer.word_embeddings_layernorm', 'token_embd_norm'),
    ('transformer.h.{}.input_layernorm', 'blk.{}.attn_norm'),
    ('transformer.h.{}.post_attention_layernorm', 'blk.{}.ffn_norm'))
BERT = _rows(
    ('embeddings.word_embeddings', 'token_embd'),
    ('embeddings.position_embeddings', 'position_embd'),
    ('embeddings.token_type_embeddings', 'token_types'),
    ('embeddings.LayerNorm', 'token_embd_norm'),
    ('encoder.layer.{}.attention.self.query', 'blk.{}.attn_q'),
    ('encoder.layer.{}.attention.self.key', 'blk.{}.attn_k'),
    ('encoder.layer.{}.attention.self.value', 'blk.{}.attn_v'),
    ('encoder.layer.{}.attention.output.dense', 'blk.{}.attn_output'),
    ('encoder.layer.{}.attention.output.LayerNorm',
     'blk.{}.attn_output_norm'),
    ('encoder.layer.{}.intermediate.dense', 'blk.{}.ffn_up'),
    ('encoder.layer.{}.output.dense', 'blk.{}.ffn_down'),
    ('encoder.layer.{}.output.LayerNorm', 'blk.{}.layer_output_norm'))
