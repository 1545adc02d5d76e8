"""The tokenizers inside GGUF files."""
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers.converting import gguf

LETTERS = spelling.byte_letters()
BYTES = [f'<0x{byte:02X}>' for byte in range(256)]
GPT2 = {
    'model': 'gpt2', 'pre': 'smollm', 'eos_token_id': 257,
    'tokens': [*(LETTERS[i] for i in range(256)), 'he', '<|end|>', '  '],
    'token_type': [1] * 257 + [3, 4], 'merges': ['h e']}
LLAMA = {
    'model': 'llama', 'bos_token_id': 1, 'eos_token_id': 2,
    'unknown_token_id': 0,
    'tokens': ['<unk>', '<s>', '</s>', *BYTES, '▁a', '▁', 'a', 'b'],
    'scores': [0.0] * 259 + [-1.0, -2.0, -3.0, -4.0],
    'token_type': [2, 3, 3] + [6] * 256 + [1] * 4}
BERT = {
    'model': 'bert', 'cls_token_id': 1, 'seperator_token_id': 2,
    'tokens': ['[UNK]', '[CLS]', '[SEP]', '▁the', 're'],
    'token_type': [1] * 5}
T5 = LLAMA | {'model': 't5', 'add_space_prefix': True,
              'scores': [0.0] * 3 + [-9.0] * 256 + [-1.0, -2.0, -3.0, -4.0]}


def built(about, **changes):
  return pretrained.of_gguf({
      f'tokenizer.ggml.{key}': value
      for key, value in (about | changes).items()})


@pytest.mark.parametrize('about, text, document', [
    (GPT2, 'he12', [256, 49, 50]), (GPT2 | {'pre': 'gpt-2'}, 'he', [256]),
    (GPT2, 'a  b', [97, 258, 98]), (GPT2, '<|end|>', [*b'<|end|>']),
    (LLAMA, 'a b', [1, 259, 260, 262]), (LLAMA, '</s>', [
        1, 260, *(3 + byte for byte in b'</s>')]),
    (BERT, 'There', [1, 3, 4, 2]), (BERT, '[SEP]', [1, 0, 0, 0, 2]),
    (T5, 'a b', [259, 260, 262, 2])])
def test_a_document_has_the_ids_of_its_kind(about, text, document):
  assert built(about).encode_document(text).tolist() == document


def test_ends_are_as_the_metadata_says():
  assert built(GPT2, add_eos_token=True).encode_document('he').tolist() == [
      256, 257]
  assert built(LLAMA, add_bos_token=False).encode_document('a').tolist() == [
      259]
  with_bos = built(GPT2, pre='llama-bpe', bos_token_id=257, eos_token_id=258)
  assert with_bos.encode_document('he').tolist() == [257, 256]


def test_a_text_gets_no_space_if_the_metadata_says_so():
  assert built(LLAMA, add_space_prefix=False).encode('ab').tolist() == [
      261, 262]


def test_words_are_lowercased_unless_the_vocabulary_is_cased():
  assert built(BERT).encode('THE').tolist() == [3]
  cased = built(BERT, tokens=[*BERT['tokens'][:4], '▁A'])
  assert cased.encode('THE the A').tolist() == [0, 3, 4]


@pytest.mark.parametrize('about, changes, message', [
    (GPT2, {'model': 'rwkv'}, "one of gpt2, llama, t5, bert; got 'rwkv'"),
    (GPT2, {'pre': 'unheard'}, "got 'unheard'"),
    (GPT2, {'token_type': [1]}, '1 types'),
    (GPT2, {'eos_token_id': 999}, 'eos_token_id is 999'),
    (GPT2, {'tokens': ['a', 'a'], 'token_type': [1, 1], 'eos_token_id': 0},
     'a token occurs twice'),
    (GPT2, {'merges': ['q z']}, 'q|z'),
    (LLAMA, {'scores': []}, '0 scores')])
def test_bad_metadata_is_refused_in_a_sentence(about, changes, message):
  with pytest.raises(errors.InputError, match=message):
    built(about, **changes)


def test_a_file_without_a_tokenizer_is_refused():
  with pytest.raises(errors.InputError, match='no tokenizer.ggml.tokens'):
    pretrained.of_gguf({'general.architecture': 'llama'})


def test_patterns_split_as_the_models_do():
  split = lambda pre, text: [
      part for part, _ in specs.built(gguf.of_metadata({
          f'tokenizer.ggml.{key}': value for key, value in (
              GPT2 | {'pre': pre}).items()})[0]).pre_tokenizer
      .pre_tokenize_str(text)]
  assert split('gpt-2', 'a 1234') == ['a', 'Ġ1234']
  assert split('smollm', 'a 12') == ['a', 'Ġ', '1', '2']
  assert split('llama-bpe', "I'LL 1234") == ['I', "'LL", 'Ġ', '123', '4']
  assert split('qwen2', '12') == ['1', '2']
