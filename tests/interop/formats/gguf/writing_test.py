"""Models are written as GGUF files that read back the same, bit by bit."""
import dataclasses

import gguf
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop import checkpoint
from lmjax.interop import families
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats.gguf import adapter
from lmjax.interop.formats.gguf import architectures
from lmjax.interop.formats.gguf import container
from lmjax.interop.formats.gguf import names
from lmjax.interop.formats.gguf import writing
from lmjax.interop import importing

VOCABULARY = {
    'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a', 'b', '</s>'],
    'tokenizer.ggml.token_type': [1, 1, 3],
    'tokenizer.ggml.scores': np.float32([0.5, 1, 2]),
    'tokenizer.ggml.merges': [],
    'tokenizer.ggml.eos_token_id': 2, 'tokenizer.ggml.add_bos_token': False}
_NUMBERS = {'whole': 2, 'real': 0.25}
_FIELDS = {  # Fields that decide how others or the tensors are read.
    'n_inner': 256, 'intermediate_size': 256,
    'rotary_pct': 0.5, 'multi_query': False, 'rope_theta': 5000.0,
    'use_parallel_residual': False, 'type_vocab_size': 96,
    'partial_rotary_factor': 1.0}


def write(path, *args):
  container.write(path, *writing.contents(*args))


def config_for(architecture):
  """Returns a small config.json."""
  found = {field: _NUMBERS[kind] for _, field, kind in architecture.settings}
  found |= architecture.constants | {
      field: value for field, value in _FIELDS.items()}
  found |= {architecture.width: 64, architecture.heads: 4,
            architecture.layers: 2, 'vocab_size': 96,
            'tie_word_embeddings': False}
  if architecture.key_heads in found:
    found[architecture.key_heads] = 2
  if architecture.model_type == 'falcon' and (
      not found['new_decoder_architecture']):
    found['num_kv_heads'] = 4
  if 'head_dim' in found:
    found['head_dim'] = 16
  return found | {'model_type': architecture.model_type}


def tensors_for(architecture, seed=0):
  """Returns random tensors for every row of the architecture."""
  draw = np.random.default_rng(seed)
  found = {}
  for row in architecture.rows:
    for layer in range(2) if row.layers else (0,):
      for expert in range(2) if row.experts else (0,):
        name = row.hf.replace('{e}', str(expert)).format(layer)
        for suffix, shape in zip(names.SUFFIXES, ((96, 64), (96,))):
          if 'norm' in name.lower() or 'ln_' in name:
            shape = shape[:1]
          if suffix == '.weight' or architecture.name in ('gpt2', 'bert'):
            found[name + suffix] = tensors_lib.Tensor.of(
                draw.normal(size=shape).astype(np.float32))
  return found


def of(name):
  return next(each for each in architectures.ARCHITECTURES
              if each.model_type == name)


EACH = pytest.mark.parametrize(
    'architecture', architectures.ARCHITECTURES,
    ids=lambda each: f'{each.model_type}-{len(each.rows)}')


@EACH
def test_a_model_comes_back(tmp_path, architecture):
  config = config_for(architecture)
  tensors = tensors_for(architecture)
  write(tmp_path / 'x.gguf', config, tensors, VOCABULARY, 'F32')
  found = adapter.read(tmp_path / 'x.gguf')
  assert found.tensors.keys() == tensors.keys()
  for name, tensor in tensors.items():
    ours, theirs = found.tensors[name], tensor.read()
    assert ours.shape == theirs.shape, name
    if any(row.layout.__class__.__name__ == 'PlusOne' and row.hf.split('.')[-1]
           in name for row in architecture.rows):
      np.testing.assert_allclose(ours.read(), theirs, rtol=0, atol=3e-7)
    else:
      assert ours.read().tobytes() == theirs.tobytes(), name
  different = {field: (config[field], value)
               for field, value in found.config.items()
               if field in config and config[field] != value}
  assert not different
  assert found.generation == {'eos_token_id': 2}
  assert found.vocabulary == VOCABULARY | {
      'tokenizer.ggml.scores': [0.5, 1, 2]}


@pytest.mark.parametrize('kind', writing.FILE_TYPES)
def test_the_library_reads_the_same(tmp_path, kind):
  architecture = of('llama')
  config = config_for(architecture)
  tensors = tensors_for(architecture)
  write(tmp_path / 'x', config, tensors, VOCABULARY, kind)
  reader = gguf.GGUFReader(tmp_path / 'x')
  assert reader.fields['general.file_type'].contents() == gguf.LlamaFileType[
      {'F32': 'ALL_F32', 'F16': 'MOSTLY_F16', 'Q8_0': 'MOSTLY_Q8_0'}[kind]]
  assert reader.fields['llama.attention.head_count_kv'].contents() == 2
  assert reader.fields['llama.rope.freq_base'].contents() == 5000
  assert reader.fields['tokenizer.ggml.tokens'].contents() == ['a', 'b', '</s>']
  assert reader.fields['tokenizer.ggml.token_type'].contents() == [1, 1, 3]
  assert len(reader.tensors) == len(tensors)
  by_name = {tensor.name: tensor for tensor in reader.tensors}
  for ours, theirs in (('model.layers.1.mlp.up_proj', 'blk.1.ffn_up'),
                       ('model.layers.0.self_attn.v_proj', 'blk.0.attn_v'),
                       ('model.norm', 'output_norm')):
    array = tensors[f'{ours}.weight'].read()
    stored = by_name[f'{theirs}.weight']
    wanted = kind if array.ndim == 2 else 'F32'
    assert stored.tensor_type.name == wanted
    assert stored.data.tobytes() == gguf.quantize(
        array, gguf.GGMLQuantizationType[wanted]).tobytes()
  query = tensors['model.layers.0.self_attn.q_proj.weight'].read()
  np.testing.assert_allclose(  # llama.cpp's converter, in its own words.
      gguf.dequantize(by_name['blk.0.attn_q.weight'].data,
                      by_name['blk.0.attn_q.weight'].tensor_type),
      query.reshape(4, 2, 12, 64).swapaxes(1, 2).reshape(96, 64),
      atol=0 if kind == 'F32' else 0.03)


def test_rows_that_are_no_whole_blocks_are_written_as_f16(tmp_path):
  architecture = of('llama')
  config = config_for(architecture)
  tensors = tensors_for(architecture) | {
      'model.layers.0.mlp.up_proj.weight': tensors_lib.Tensor.of(
          np.ones((4, 60), np.float32))}
  write(tmp_path / 'x', config, tensors, {}, 'Q8_0')
  found = adapter.read(tmp_path / 'x').tensors
  assert found['model.layers.0.mlp.up_proj.weight'].dtype == 'F16'
  assert found['model.layers.1.mlp.up_proj.weight'].dtype == 'Q8_0'


def test_tensors_are_read_one_at_a_time(tmp_path):
  alive, most = set(), 0

  class Array(np.ndarray):
    def __del__(self):
      alive.discard(id(self))

  def counted(tensor):
    def read():
      nonlocal most
      array = tensor.read().copy().view(Array)
      alive.add(id(array))
      most = max(most, len(alive))
      return array
    return dataclasses.replace(tensor, read=read)

  architecture = of('qwen2')
  config = config_for(architecture)
  write(tmp_path / 'x', config, {
      name: counted(tensor)
      for name, tensor in tensors_for(architecture).items()}, {}, 'F32')
  assert 0 < most <= 2


def test_a_tied_model_has_no_output_layer(tmp_path):
  architecture = of('llama')
  config = config_for(architecture) | {'tie_word_embeddings': True}
  tensors = tensors_for(architecture)
  write(tmp_path / 'x', config, tensors, {})
  found = adapter.read(tmp_path / 'x')
  assert tensors.keys() - found.tensors.keys() == {'lm_head.weight'}
  assert found.config['tie_word_embeddings']


@pytest.mark.parametrize('why, changes', [
    ("llama.cpp has no 'xlnet'", {'model_type': 'xlnet'}),
    ("hidden_act = 'relu', but", {'hidden_act': 'relu'}),
    ('no field', {'vocab_size': ...}),
    ('no llama with sliding_window = 8', {'sliding_window': 8}),
    ("'spiral' have no form", {'rope_scaling': {'rope_type': 'spiral'}}),
])
def test_a_model_that_llama_cpp_lacks_is_refused(tmp_path, why, changes):
  architecture = of('llama')
  config = config_for(architecture)
  changed = {name: value for name, value in (config | changes).items()
             if value is not ...}
  with pytest.raises(errors.InputError, match=why):
    write(tmp_path / 'x', changed,
                  tensors_for(architecture), {})
  assert not list(tmp_path.iterdir())


def test_a_scalar_that_llama_cpp_would_take_otherwise_is_refused(tmp_path):
  architecture = of('gemma2')
  config = config_for(architecture) | {'query_pre_attn_scalar': 224}
  with pytest.raises(errors.InputError, match='query_pre_attn_scalar = 224'):
    write(tmp_path / 'x', config,
                  tensors_for(architecture), {})


def test_a_tensor_without_a_place_is_named(tmp_path):
  architecture = of('llama')
  config = config_for(architecture)
  tensors = tensors_for(architecture) | {
      'score.weight': tensors_lib.Tensor.of(np.ones(3))}
  with pytest.raises(errors.InputError, match="no place for .* 'score.weight'"):
    write(tmp_path / 'x', config, tensors, {})


def test_a_missing_expert_is_named(tmp_path):
  architecture = of('mixtral')
  config = config_for(architecture)
  tensors = tensors_for(architecture)
  del tensors['model.layers.1.block_sparse_moe.experts.0.w2.weight']
  with pytest.raises(errors.InputError, match='1 of the 2 tensors'):
    write(tmp_path / 'x', config, tensors, {})


def test_a_missing_tensor_is_named(tmp_path):
  architecture = of('llama')
  tensors = tensors_for(architecture)
  del tensors['lm_head.weight']
  with pytest.raises(errors.InputError, match="'lm_head.weight' are missing"):
    write(tmp_path / 'x', config_for(architecture), tensors, {})


def test_another_type_of_elements_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match="F32, F16, Q8_0; got 'Q4_1'"):
    write(tmp_path / 'x', {}, {}, {}, 'Q4_1')


def transformers_configs():
  """Returns tiny configs of transformers by name, and the class of a model."""
  transformers = pytest.importorskip('transformers')
  common = dict(
      hidden_size=64, intermediate_size=96, num_hidden_layers=2,
      num_attention_heads=4, vocab_size=96, max_position_embeddings=64)
  grouped = common | dict(num_key_value_heads=2)
  llama3 = {
      'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,
      'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192,
      'rope_theta': 500_000.0}
  gemma = grouped | dict(
      head_dim=16, query_pre_attn_scalar=16, sliding_window=16,
      num_hidden_layers=7)
  del grouped['max_position_embeddings']
  return {
      'llama': transformers.LlamaConfig(
          **grouped, rope_parameters=llama3, tie_word_embeddings=True,
          max_position_embeddings=16384),
      'llama with biases': transformers.LlamaConfig(
          **grouped, attention_bias=True, mlp_bias=True, head_dim=32),
      'mixtral': transformers.MixtralConfig(
          **grouped, num_local_experts=4, sliding_window=None),
      'qwen2': transformers.Qwen2Config(**grouped),
      'qwen3': transformers.Qwen3Config(**grouped, head_dim=32),
      'gemma': transformers.GemmaConfig(**grouped, head_dim=16),
      'gemma2': transformers.Gemma2Config(**gemma),
      'gemma3': transformers.Gemma3TextConfig(**gemma),
      'phi3': transformers.Phi3Config(**grouped, pad_token_id=0),
      'olmo2': transformers.Olmo2Config(**grouped),
      'granite': transformers.GraniteConfig(
          **grouped, attention_multiplier=0.1, embedding_multiplier=12.0,
          residual_multiplier=0.2, logits_scaling=8.0),
      'smollm3': transformers.SmolLM3Config(
          **grouped | dict(num_hidden_layers=5), pad_token_id=0),
      'gpt2': transformers.GPT2Config(
          n_embd=64, n_layer=2, n_head=4, vocab_size=96, n_positions=64),
      'neox': transformers.GPTNeoXConfig(**common),
      'falcon': transformers.FalconConfig(
          hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
          vocab_size=96, multi_query=True),
      'falcon of two norms': transformers.FalconConfig(
          hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
          num_kv_heads=2, vocab_size=96, new_decoder_architecture=True),
      'bloom': transformers.BloomConfig(
          hidden_size=64, n_layer=2, n_head=4, vocab_size=96),
      'bert': transformers.BertConfig(**common)}


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'llama', 'llama with biases', 'mixtral', 'qwen2', 'qwen3', 'gemma',
    'gemma2', 'gemma3', 'phi3', 'olmo2', 'granite', 'smollm3', 'gpt2', 'neox',
    'falcon', 'falcon of two norms', 'bloom', 'bert'])
def test_a_model_of_transformers_is_imported_as_from_its_own_files(
    tmp_path, name):
  torch = pytest.importorskip('torch')
  import transformers
  config = transformers_configs()[name]
  model = (transformers.BertModel(config, add_pooling_layer=False)
           if name == 'bert' else
           transformers.AutoModelForCausalLM.from_config(config)).float()
  torch.manual_seed(0)
  for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.1)
  model.save_pretrained(tmp_path / 'hf')
  ours = checkpoint.open_source(tmp_path / 'hf')
  write(tmp_path / 'x.gguf', ours.config, ours.tensors, {}, 'F32')
  found = adapter.read(tmp_path / 'x.gguf')
  assert found.tensors.keys() == ours.tensors.keys()
  for each, tensor in ours.tensors.items():
    np.testing.assert_allclose(
        found.tensors[each].read(), tensor.read(), rtol=0,
        atol=1e-7 if name.startswith('gemma') else 0, err_msg=each)
  if found.config['model_type'] in families.FAMILIES:
    again = checkpoint.Checkpoint(
        tmp_path / 'x.gguf', found.config, found.tensors)
    assert importing.convert(again).config == importing.convert(ours).config
