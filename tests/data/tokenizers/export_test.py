"""Tokenizers as Hugging Face's files."""
import json

import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import byte_bpe
from lmjax.data.tokenizers import export
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import vocabulary
from lmjax.data.tokenizers import words
from lmjax.data.tokenizers.converting import word_pieces

TEXTS = ['the cat sat on the mat,\nthe dog on the log.\n', '  a\t é中😀 <s> ',
         '</s><unk> <0x41> [CLS]', '']
DOCUMENTS = TEXTS * 4
PIECES = ['[UNK]', '[CLS]', '[SEP]', '[MASK]', 'the', 'cat', '##s']


def wordpiece():
  spec, roles = word_pieces.of_vocab(PIECES, lower=True)
  return export.library.LibraryTokenizer(spec, roles)


BUILD = {
    'bytes': lambda: symbols.Bytes().build(),
    'bytes without ends': lambda: symbols.Bytes(False, False).build(),
    'characters': lambda: symbols.Characters(eos=False).build(DOCUMENTS),
    'words': lambda: words.Words(bos=True).build(['the cat\na é\n']),
    'words of one line': lambda: words.Words(5).build(['the cat on a']),
    'unigram': lambda: subwords.SentencePiece(400).build(
        [*DOCUMENTS, ' '.join('<>/0x41sunk[]') * 99]),
    'bpe': lambda: subwords.SentencePiece(
        vocab_size=340, model='bpe', bos=False).build(DOCUMENTS),
    'byte bpe': lambda: byte_bpe.ByteBPE(vocab_size=300).build(DOCUMENTS),
    'wordpiece': wordpiece,
    'extended': lambda: specials.Extended(
        byte_bpe.ByteBPE(vocab_size=300).build(DOCUMENTS),
        ['[CLS]', '[SEP]', '[MASK]'], sentinels=2),
}


@pytest.mark.parametrize('name', BUILD)
def test_a_tokenizer_json_gives_the_same_ids_and_frames(tmp_path, name):
  tokenizer = BUILD[name]()
  written = export.files(tokenizer, longest=77)
  assert json.loads(written['tokenizer_config.json'])['model_max_length'] == 77
  library = specs.built(specs.parsed(written['tokenizer.json']))
  library.encode_special_tokens = True
  for text in TEXTS:
    assert library.encode(text).ids == tokenizer.encode_document(text).tolist()
  pair = library.encode('the', 'cat')
  ids, types, _ = tokenizer.frame(2).around(
      [tokenizer.encode('the'), tokenizer.encode('cat')])
  assert pair.ids == ids.tolist() and pair.type_ids == types.tolist()
  for file, content in written.items():
    (tmp_path / file).write_bytes(content)
  back = pretrained.read(tmp_path)
  assert back.vocab_size == tokenizer.vocab_size
  assert back.encode_document(TEXTS[0]).tolist() == (
      tokenizer.encode_document(TEXTS[0]).tolist())
  assert back.specials.items() >= tokenizer.specials.items()
  assert (back.eos_id is None) == (tokenizer.eos_id is None)


def test_a_tokenizer_of_an_unknown_kind_is_refused():
  class Other(vocabulary.Tokenizer):
    name = 'another kind'
  with pytest.raises(errors.InputError, match='another kind cannot be written'):
    export.files(Other())


def test_a_word_that_bos_would_need_is_refused():
  tokenizer = words.Words(bos=True).build(['a <s> b'])
  with pytest.raises(errors.InputError, match="'<s>', which a tokenizer.json"):
    export.files(tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize('name', BUILD)
def test_transformers_gives_the_same_ids(tmp_path, name):
  transformers = pytest.importorskip('transformers')
  tokenizer = BUILD[name]()
  for file, content in export.files(tokenizer).items():
    (tmp_path / file).write_bytes(content)
  theirs = transformers.AutoTokenizer.from_pretrained(
      tmp_path, split_special_tokens=True)
  for text in TEXTS:
    assert theirs(text)['input_ids'] == (
        tokenizer.encode_document(text).tolist())
  assert len(theirs) == tokenizer.vocab_size
  assert theirs.eos_token_id == tokenizer.eos_id or name == 'wordpiece'
  pair = theirs('the', 'cat')
  assert pair['input_ids'] == tokenizer.frame(2).around(
      [tokenizer.encode('the'), tokenizer.encode('cat')])[0].tolist()
