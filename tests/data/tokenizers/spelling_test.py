"""The bytes of tokens."""
import pytest

from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers.converting import parts


@pytest.mark.parametrize('model, others, expected', [
    ({'type': 'BPE'}, {'decoder': parts.byte_level()},
     {'Ġa': b' a', 'Ã©': 'é'.encode(), 'Ã': b'\xc3', '  ': b'  '}),
    ({'type': 'BPE', 'byte_fallback': True},
     {'decoder': {'type': 'Sequence', 'decoders': [{
         'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '}]}},
     {'▁a': b' a', '<0x0A>': b'\n', '<0x0a>': b'<0x0a>', '  ': b'  '}),
    ({'type': 'Unigram'},
     {'pre_tokenizer': {'type': 'Metaspace', 'replacement': '▁'}},
     {'▁a': b' a', 'é': 'é'.encode()}),
    ({'type': 'WordPiece', 'continuing_subword_prefix': '##'}, {},
     {'the': b' the', '##re': b're', '  ': b'  '}),
    ({'type': 'BPE', 'end_of_word_suffix': '</w>'}, {},
     {'the</w>': b'the ', 'th': b'th'}),
])
def test_a_token_is_spelled_as_its_model_writes_it(model, others, expected):
  spec = parts.spec(model, [parts.added('  ', 9, special=False)], **others)
  spell = spelling.speller(spec)
  assert {token: spell(token) for token in expected} == expected


def test_every_byte_has_a_letter_of_its_own():
  letters = spelling.byte_letters()
  assert sorted(letters) == list(range(256))
  assert len(set(letters.values())) == 256
  assert not any(letter.isspace() for letter in letters.values())


def test_what_is_lost_is_named():
  spec = parts.spec({'type': 'WordPiece'}, normalizer={
      'type': 'Sequence', 'normalizers': [{'type': 'NFC'}, {
          'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'}]})
  assert spelling.losses(spec) == ['NFC', 'WordPiece']
