"""Files of pretrained tokenizers, known by their content."""
import base64
import json

import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import parts

LETTERS = spelling.byte_letters()
VOCAB = {LETTERS[i]: i for i in range(256)} | {'he': 256, '<|endoftext|>': 257}
SPEC = parts.spec(
    byte_level.model(VOCAB, ['h e']), [parts.added('<|endoftext|>', 257)],
    pre_tokenizer=parts.byte_level(), decoder=parts.byte_level())
RANKS = b''.join(base64.b64encode(bytes([i])) + f' {i}\n'.encode()
                 for i in range(256)) + b'aGU= 256\n'
PIECES = '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhe\nHe\n'


def write(folder, **files):
  for name, content in files.items():
    name = name.replace('__', '.')
    if not isinstance(content, (str, bytes)):
      content = json.dumps(content)
    content = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(content)
  return folder


@pytest.mark.parametrize('files, ids', [
    ({'tokenizer__json': SPEC}, [256]),
    ({'vocab__json': VOCAB, 'merges__txt': '#version: 0.2\nh e\n'}, [256]),
    ({'encoder__json': VOCAB, 'vocab__bpe': 'h e\n'}, [256]),
    ({'tokenizer__model': RANKS}, [256]), ({'any__tiktoken': RANKS}, [256]),
    ({'vocab__txt': PIECES}, [2, 5, 3]),
    ({'vocab__txt': PIECES.replace('\n', '\r\n')}, [2, 5, 3]),
])
def test_a_folder_and_its_file_give_the_same_tokenizer(tmp_path, files, ids):
  write(tmp_path, **files)
  tokenizer = pretrained.read(tmp_path)
  assert tokenizer.encode_document('he').tolist() == ids
  first = sorted(files)[-1 if 'vocab__json' in files else 0]
  again = pretrained.read(tmp_path / first.replace('__', '.'))
  assert again.digest == tokenizer.digest


def test_the_config_beside_it_names_roles_and_adds_tokens(tmp_path):
  write(tmp_path, tokenizer__json=SPEC, tokenizer_config__json={
      'eos_token': '<|im_end|>', 'mask_token': {'content': '<mask>'},
      'added_tokens_decoder': {
          '258': {'content': '<|im_end|>', 'special': True},
          '259': {'content': '\t\t', 'special': False}}},
      special_tokens_map__json={'eos_token': 'other', 'pad_token': '<|pad|>'})
  tokenizer = pretrained.read(tmp_path)
  assert tokenizer.eos_id == tokenizer.special('<|im_end|>') == 258
  assert tokenizer.encode('a\t\t').tolist() == [97, 259]
  assert {tokenizer.special('[MASK]'), tokenizer.special('[PAD]')} == {260, 261}


def test_old_added_tokens_are_read(tmp_path):
  write(tmp_path, vocab__json=VOCAB, merges__txt='h e',
        added_tokens__json={'<x>': 258, '  ': 259},
        special_tokens_map__json={'additional_special_tokens': ['<x>']})
  tokenizer = pretrained.read(tmp_path)
  assert tokenizer.encode('a  ').tolist() == [97, 259]
  assert tokenizer.special('<x>') == 258
  assert tokenizer.encode('<x>').max() < 256


@pytest.mark.parametrize('flags, ids', [
    ({'add_bos_token': True}, [257, 97]), ({'add_eos_token': True}, [97, 257]),
    ({'add_bos_token': False}, [97]), ({}, [97])])
def test_the_config_says_whether_documents_have_ends(tmp_path, flags, ids):
  write(tmp_path, tokenizer__json=SPEC, tokenizer_config__json=flags)
  assert pretrained.read(tmp_path).encode_document('a').tolist() == ids
  asked = pretrained.read(tmp_path, bos=False, eos=True)
  assert asked.encode_document('a').tolist() == [97, 257]


def test_the_config_says_whether_words_are_lowercased(tmp_path):
  write(tmp_path, vocab__txt=PIECES,
        tokenizer_config__json={'do_lower_case': False})
  assert pretrained.read(tmp_path).encode('He').tolist() == [6]


@pytest.mark.parametrize('files, message', [
    ({}, 'has no tokenizer; a folder should have one of tokenizer.json'),
    ({'tokenizer__json': '{"model": '}, 'not a usable tokenizer'),
    ({'tokenizer__json': b'\xff\xfe'}, 'it is none of'),
    ({'tokenizer__json': '[1]'}, 'it is none of'),
    ({'tokenizer__json': '{"a": 1, "a": 2}'}, "'a' comes twice"),
    ({'vocab__json': VOCAB}, "merges.txt' cannot be read"),
    ({'vocab__json': VOCAB, 'merges__txt': 'q z'}, "needs the token 'qz'"),
    ({'vocab__txt': 'just some text\n'}, 'it is none of'),
    ({'tokenizer__json': SPEC, 'tokenizer_config__json': '[]'},
     'tokenizer_config.json should be an object'),
    ({'tokenizer__json': SPEC, 'added_tokens__json': {'x': 300}},
     'id 258 has no token'),
    ({'tokenizer__json': SPEC, 'tokenizer_config__json': {'bos_token': 3}},
     'bos_token in tokenizer_config.json should be'),
])
def test_bad_files_are_refused_in_a_sentence(tmp_path, files, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    pretrained.read(write(tmp_path, **files))
  assert len(str(caught.value)) < 600 and '\n' not in str(caught.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
  secret = tmp_path / 'secret.json'
  secret.write_text(json.dumps(SPEC))
  folder = tmp_path / 'folder'
  folder.mkdir()
  (folder / 'tokenizer.json').symlink_to(secret)
  with pytest.raises(errors.InputError, match='leads out'):
    pretrained.read(folder)


def test_a_tokenizer_of_a_run_is_not_a_pretrained_one(tmp_path):
  symbols.Bytes().build().save(tmp_path)
  with pytest.raises(errors.InputError, match='lmjax wrote it'):
    pretrained.read(tmp_path)


def test_the_config_needs_a_path(tmp_path):
  with pytest.raises(errors.InputError, match='needs a path'):
    pretrained.PretrainedTokenizer().build()
  write(tmp_path, tokenizer__json=SPEC)
  config = pretrained.PretrainedTokenizer(path=str(tmp_path), eos=True)
  assert config.build().encode_document('a').tolist() == [97, 257]
