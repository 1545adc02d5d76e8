"""Models of llama2.c become Llamas; damaged files are refused."""
import struct

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import llama2c
from tests.reference import fuzz

WIDTH, HIDDEN, LAYERS, HEADS, KEY_HEADS, WORDS, CONTEXT = 16, 24, 2, 4, 2, 5, 6
SIZES = WIDTH, HIDDEN, LAYERS, HEADS, KEY_HEADS, WORDS, CONTEXT


def model(tied=True, **changes):
  """Returns a file, in the order of run.c's `memory_map_weights`."""
  d, f, n, heads, key_heads, words, context = SIZES
  keys = d // heads * key_heads
  draw = np.random.default_rng(0)
  arrays = {name: draw.normal(size=shape).astype(np.float32)
            for name, shape in {
                'embed': (words, d), 'attn_norm': (n, d), 'q': (n, d, d),
                'k': (n, keys, d), 'v': (n, keys, d), 'o': (n, d, d),
                'mlp_norm': (n, d), 'w1': (n, f, d), 'w2': (n, d, f),
                'w3': (n, f, d), 'norm': (d,), 'cos': (context, 2),
                'sin': (context, 2), **({} if tied else {'out': (words, d)}),
            }.items()}
  header = list(SIZES)
  header[5] *= 1 if tied else -1
  for place, value in changes.items():
    header[int(place[1:])] = value
  return arrays, struct.pack('<7i', *header) + b''.join(
      array.tobytes() for array in arrays.values())


@pytest.mark.parametrize('tied', [True, False])
def test_tensors_have_hugging_faces_names(tmp_path, tied):
  arrays, content = model(tied)
  (tmp_path / 'x.bin').write_bytes(content)
  assert llama2c.is_model(tmp_path / 'x.bin')
  found = llama2c.read(tmp_path / 'x.bin')
  tensors = {name: tensor.read() for name, tensor in found.tensors.items()}
  assert found.config['tie_word_embeddings'] == tied
  assert found.config['num_key_value_heads'] == KEY_HEADS
  assert found.config['vocab_size'] == WORDS
  assert len(tensors) == 2 + 9 * LAYERS + (not tied)
  for name, ours in {
      'embed': 'model.embed_tokens', 'norm': 'model.norm',
      **({} if tied else {'out': 'lm_head'})}.items():
    np.testing.assert_array_equal(tensors[f'{ours}.weight'], arrays[name])
  for name, ours in {
      'attn_norm': 'input_layernorm', 'v': 'self_attn.v_proj',
      'o': 'self_attn.o_proj', 'mlp_norm': 'post_attention_layernorm',
      'w1': 'mlp.gate_proj', 'w2': 'mlp.down_proj', 'w3': 'mlp.up_proj',
  }.items():
    for layer in range(LAYERS):
      np.testing.assert_array_equal(
          tensors[f'model.layers.{layer}.{ours}.weight'], arrays[name][layer])
  for name, heads in (('q', HEADS), ('k', KEY_HEADS)):
    rows = arrays[name][1].reshape(heads, 2, 2, WIDTH)  # Pair, then side.
    np.testing.assert_array_equal(
        tensors[f'model.layers.1.self_attn.{name}_proj.weight'].reshape(
            heads, 2, 2, WIDTH), rows.transpose(0, 2, 1, 3))


@pytest.mark.parametrize('why, changes', [
    ('asks for', {'_5': WORDS + 1}), ('asks for', {'_5': WORDS - 1}),
    ('asks for', {'_2': 2**31 - 1}),
    ('not positive', {'_0': 0}), ('not positive', {'_4': -1}),
    ('cannot be divided', {'_3': 3}), ('cannot be divided', {'_4': 3})])
def test_a_header_that_does_not_fit_is_refused(tmp_path, why, changes):
  (tmp_path / 'x').write_bytes(model(**changes)[1])
  assert not llama2c.is_model(tmp_path / 'x')
  with pytest.raises(errors.InputError, match=why):
    llama2c.read(tmp_path / 'x')


def pieces(*items, longest=4):
  return struct.pack('<I', longest) + b''.join(
      struct.pack('<fI', score, len(piece)) + piece for piece, score in items)


def test_pieces_and_scores_are_read(tmp_path):
  (tmp_path / 'x').write_bytes(pieces((b'<unk>', 0), (b' t', -1), longest=5))
  assert llama2c.read_vocabulary(tmp_path / 'x') == llama2c.Vocabulary(
      (b'<unk>', b' t'), (0.0, -1.0))


@pytest.mark.parametrize('why, content', [
    ('piece 0 should have 5', pieces((b'abcde', 0))),
    ('piece 1 should have 4', pieces((b'a', 0), (b'bcde', 1))[:-1]),
    ('not a tokenizer', b'\0\0\0'),
    ('score nan', pieces((b'a', float('nan')))),
    ('not a tokenizer', pieces((b'a', 0)) + b'\0')])
def test_a_damaged_tokenizer_is_refused(tmp_path, why, content):
  (tmp_path / 'x').write_bytes(content)
  with pytest.raises(errors.InputError, match=why):
    llama2c.read_vocabulary(tmp_path / 'x')


def fuzzed(tmp_path, count):
  def read_all(path):
    for tensor in llama2c.read(path).tensors.values():
      tensor.read()
  content = model()[1]
  vocabulary = pieces(*((bytes([97 + i]) * 3, -i) for i in range(20)))
  outcomes = fuzz.check(
      read_all, tmp_path / 'x', fuzz.damaged(content, count, head=28))
  others = fuzz.check(llama2c.read_vocabulary, tmp_path / 'x',
                      fuzz.damaged(vocabulary, count))
  return *outcomes, *others


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
  assert all(fuzzed(tmp_path, 200))


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_a_sentence(tmp_path):
  assert all(fuzzed(tmp_path, 10_000))


@pytest.mark.slow
def test_published_stories_are_told_to_the_letter(shared_data):
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  folder = shared_data / 'w_stories260K'
  found = llama2c.read(folder / 'stories260K.bin')
  vocabulary = llama2c.read_vocabulary(folder / 'tok512.bin')
  model = transformers.LlamaForCausalLM(
      transformers.LlamaConfig(**found.config))
  missing, extra = model.load_state_dict(
      {name: torch.from_numpy(tensor.read().copy())
       for name, tensor in found.tensors.items()}, strict=False)
  assert missing == ['lm_head.weight'] and not extra
  model.tie_weights()
  with torch.no_grad():
    ids = model.generate(torch.tensor([[1]]), max_new_tokens=256,
                         do_sample=False)[0].tolist()
  told = b''.join(vocabulary.pieces[each] for each in ids[1:]).replace(
      b'<0x0A>', b'\n').decode()
  golden = (folder / 'stories260K.md').read_text().split(
      '-t 0.0\n')[1].split('\n```')[0]
  assert told.strip() == golden
