"""Files of pretrained tokenizers, known by their content."""
import base64
import json
import pathlib
import random

import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import gguf
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
     'tokenizer_config.json cannot be read: it should hold an object'),
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


def mixed(shared_data):
  """Returns about 1 MB of English, Chinese, code, emoji and odd text."""
  read = lambda name: (shared_data / name).read_text('utf-8')
  random_ = random.Random(0)
  ranges = ['<|>/[]MASKs', ' \t\n\r  ', [0x20, 0x7f], [0xa0, 0x370],
            [0x3040, 0x3100], [0x4e00, 0x9000], [0x1f300, 0x1f700],
            [0xac00, 0xad00], '\u200d\u2581\ufb01\uff21\u3000']
  letter = lambda kind: random_.choice(kind) if isinstance(kind, str) else chr(
      random_.randrange(*kind))
  odd = [''.join(letter(random_.choice(ranges))
                 for _ in range(random_.randrange(80))) for _ in range(3000)]
  specials = ['<s> a</s>', '[CLS] x [SEP][MASK]', '<|endoftext|>', '<unk>',
              '<0x41>', '<extra_id_0>', '', ' ', '\n\n\n   \t'] * 9
  code = pathlib.Path(pretrained.__file__).parent.glob('*.py')
  return [*odd, *specials, *(path.read_text() for path in code),
          read('tinyshakespeare/input.txt')[:300_000],
          *read('tatoeba_en_zh/cmn.txt')[:300_000].splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'bert_base_uncased/tokenizer.json', 'bert_base_uncased/vocab.txt',
    'bert_base_chinese/vocab.txt', 'gpt_neox_20b/20B_tokenizer.json'])
def test_ids_are_those_of_the_tokenizers_library(shared_data, name):
  import tokenizers
  path = shared_data / 'tokenizers' / name
  if not path.exists():
    pytest.skip('The tokenizer is absent.')
  if path.suffix == '.json':
    reference = tokenizers.Tokenizer.from_file(str(path))
    reference.no_truncation()
    reference.no_padding()
  else:
    reference = tokenizers.BertWordPieceTokenizer(str(path))._tokenizer
  tokenizer, texts = pretrained.read(path), mixed(shared_data)
  assert sum(len(text.encode()) for text in texts) > 1e6
  assert [tokenizer.encode_with_specials(text).tolist() for text in texts] == [
      row.ids for row in reference.encode_batch(
          texts, add_special_tokens=False)]
  reference.encode_special_tokens = True
  theirs = [row.ids for row in reference.encode_batch(texts)]
  assert [tokenizer.encode_document(text).tolist() for text in texts] == theirs
  control = set(tokenizer.control_ids)  # It does not skip [UNK] with them.
  assert [tokenizer.decode(row) for row in theirs] == [
      reference.decode([i for i in row if i not in control],
                       skip_special_tokens=False) for row in theirs]
  pair = reference.encode(texts[0], texts[1])
  ids, types, _ = tokenizer.frame(2).around(
      [tokenizer.encode(text) for text in texts[:2]])
  assert pair.ids == ids.tolist() and pair.type_ids == types.tolist()


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'llama2/tokenizer.model', 'sp_test/test_model.model',
    'sp_test/test_ja_model.model', 'maxtext_default/tokenizer.default.model'])
def test_ids_are_those_of_sentencepiece(shared_data, name):
  import sentencepiece
  path = shared_data / 'tokenizers' / name
  if not path.exists():
    pytest.skip('The tokenizer is absent.')
  reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
  tokenizer, texts = pretrained.read(path), mixed(shared_data)
  theirs = reference.encode(texts)
  ids, lengths = tokenizer.encode_all(texts)
  assert ids.tolist() == sum(theirs, [])
  assert lengths.tolist() == [len(row) for row in theirs]
  if tokenizer.roles['unk'] == '<unk>':
    known = [row for row in theirs if reference.unk_id() not in row]
    assert [tokenizer.decode(row) for row in known] == reference.decode(known)


@pytest.mark.slow
@pytest.mark.parametrize('name, specials', [
    ('gpt2', 1), ('llama3/tokenizer_llama3.tiktoken', 256)])
def test_ids_are_those_of_tiktoken(shared_data, name, specials):
  tiktoken = pytest.importorskip('tiktoken')
  from tiktoken import load
  path = shared_data / 'tokenizers' / name
  if not path.exists():
    pytest.skip('The tokenizer is absent.')
  ranks = load.data_gym_to_mergeable_bpe_ranks(
      str(path / 'vocab.bpe'), str(path / 'encoder.json')
      ) if path.is_dir() else load.load_tiktoken_bpe(str(path))
  pattern = gguf.PATTERNS['gpt-2' if path.is_dir() else 'llama-bpe'][0]
  reference = tiktoken.Encoding(
      name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
  tokenizer, texts = pretrained.read(path), mixed(shared_data)
  assert tokenizer.vocab_size == len(ranks) + specials
  theirs = reference.encode_ordinary_batch(texts)
  assert [tokenizer.encode(text).tolist() for text in texts] == theirs
  assert [tokenizer.decode(row) for row in theirs] == texts
  for text, row in zip(texts[:500], theirs):
    assert b''.join(map(tokenizer.token_bytes, row)) == text.encode()


@pytest.mark.slow
@pytest.mark.parametrize('kind, files', [
    ('BertTokenizer', {'vocab__txt': PIECES + 'a\nb\n'}),
    ('RobertaTokenizer', {
        'vocab__json': {**{LETTERS[i]: i + 4 for i in range(256)}, '<s>': 0,
                        '<pad>': 1, '</s>': 2, '<unk>': 3, '<mask>': 260},
        'merges__txt': '#version: 0.2\n'})])
def test_rows_are_those_of_transformers(tmp_path, kind, files):
  transformers = pytest.importorskip('transformers')
  write(tmp_path, tokenizer_config__json={'tokenizer_class': kind}, **files)
  theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
  tokenizer = pretrained.read(tmp_path)
  for texts in ['he'], ['a', 'b he'], ['', 'a'], ['']:
    row = theirs(*texts, return_token_type_ids=True)
    ids, types, _ = tokenizer.frame(len(texts)).around(
        [tokenizer.encode(text) for text in texts])
    assert row['input_ids'] == ids.tolist()
    assert row['token_type_ids'] == types.tolist()
  assert theirs.mask_token_id == tokenizer.special('[MASK]')


def damaged(content, random_):
  """Returns a file with a few bytes changed, cut, or doubled."""
  content = bytearray(content)
  for _ in range(random_.randrange(1, 4)):
    place = random_.randrange(len(content))
    kind = random_.randrange(5)
    if kind == 0:
      del content[place:]
      content += b' '
    elif kind == 1:
      content[place:place] = content[place:place + random_.randrange(99)]
    elif kind == 2:
      content[place:place + 1] = random_.choice(
          [b'0', b'-1', b'9' * 12, b'""', b'null', b'[]', b'{', b'\\ud800'])
    else:
      content[place] = random_.randrange(256)
  return bytes(content)


def attempt(path, content):
  """Reads a file; any exception other than InputError passes."""
  path.write_bytes(content)
  try:
    tokenizer = pretrained.read(path)
    tokenizer.decode(tokenizer.encode_document('he said </s> é'))
  except errors.InputError as error:
    assert len(str(error)) < 1000


SMALL = {'tokenizer.json': json.dumps(SPEC).encode(),
         'vocab.txt': PIECES.encode(), 'some.tiktoken': RANKS}


@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('count', [
    100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damaged_files_are_refused_or_read(tmp_path, name, count):
  random_ = random.Random(count)
  for _ in range(count):
    attempt(tmp_path / name, damaged(SMALL[name], random_))
