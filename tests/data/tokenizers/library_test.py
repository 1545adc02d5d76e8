"""Tokenizers of the `tokenizers` library: special tokens, frames, bad specs."""
import copy
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import parts

LETTERS = spelling.byte_letters()
BYTES = {LETTERS[i]: i for i in range(256)}
MODEL = byte_level.model(BYTES | {'he': 256, '</s>': 257}, ['h e'])
SPEC = parts.spec(
    MODEL, [parts.added('</s>', 257), parts.added('<pad>', 258),
            parts.added('   ', 259, special=False)],
    pre_tokenizer=parts.byte_level(), decoder=parts.byte_level())
ROLES = {'eos': '</s>', 'pad': '<pad>'}
UNIGRAM = parts.spec(
    {'type': 'Unigram', 'unk_id': 0, 'vocab': [
        ['<unk>', 0.0], ['</s>', 0.0], ['▁a', -1.0], ['▁', -2.0], ['a', -2.0],
        ['<', -3.0], ['/', -3.0], ['s', -3.0], ['>', -3.0]]},
    [parts.added('<unk>', 0), parts.added('</s>', 1)],
    pre_tokenizer={'type': 'Metaspace', 'replacement': '▁',
                   'prepend_scheme': 'always', 'split': True},
    decoder={'type': 'Metaspace', 'replacement': '▁',
             'prepend_scheme': 'always', 'split': True})


def built(spec=SPEC, roles=ROLES, **ends):
  return library.LibraryTokenizer(
      specs.parsed(json.dumps(spec).encode()), roles, **ends)


HARD = ['', ' ', 'he said  é中😀', '</s><pad>', 'a   b', '\0\r\n\t', 'x' * 999]


@pytest.mark.parametrize('text', HARD)
def test_text_comes_back_exactly_and_never_becomes_a_special(text):
  tokenizer = built()
  ids = tokenizer.encode(text)
  assert tokenizer.decode(ids) == text
  assert b''.join(map(tokenizer.token_bytes, ids)) == text.encode()
  assert not {257, 258} & set(ids.tolist())
  assert ids.dtype == tokenizer.dtype == np.uint16


def test_a_text_alone_follows_bos_even_if_documents_do_not_begin_with_it():
  assert (built().bos_id, built().first_id) == (None, 257)
  begun = built(roles=ROLES | {'bos': '<pad>'}, bos=False)
  assert (begun.bos_id, begun.first_id) == (None, 258)
  assert specials.Extended(begun, ['[MASK]']).first_id == 258


def test_added_tokens_that_are_not_special_match_text():
  assert built().encode('a   b').tolist() == [97, 259, 98]


def test_specials_are_encoded_when_asked():
  ids = built().encode_with_specials('he</s>').tolist()
  assert ids == [256, 257]
  assert built().decode(ids) == 'he'
  assert built().token_bytes(257) == b''


def test_a_piece_of_the_vocabulary_is_not_a_special_of_a_text():
  tokenizer = built(UNIGRAM, {'eos': '</s>', 'unk': '<unk>'})
  assert tokenizer.encode('a</s>').tolist() == [2, 5, 6, 7, 8]
  assert tokenizer.encode('é').tolist() == [3, 0]
  assert tokenizer.token_bytes(0) == b'<unk>' and 0 not in tokenizer.control_ids
  assert tokenizer.decode([2, 3, 4, 1]) == 'a a'
  assert tokenizer.word_prefix == '' and built().word_prefix == ' '


def test_many_texts_are_encoded_as_each_alone():
  tokenizer = built(bos=False, eos=True)
  ids, lengths = tokenizer.encode_documents(HARD)
  alone = [tokenizer.encode_document(text) for text in HARD]
  assert lengths.tolist() == list(map(len, alone))
  np.testing.assert_array_equal(ids, np.concatenate(alone))
  assert ids.dtype == tokenizer.dtype


@pytest.mark.parametrize('ends, ids', [
    ({}, []), ({'eos': True}, [257]), ({'bos': False, 'eos': False}, [])])
def test_documents_end_as_asked(ends, ids):
  tokenizer = built(**ends)
  assert tokenizer.encode_document('a').tolist() == [97, *ids]
  assert tokenizer.eos_id == 257 and tokenizer.bos_id is None
  assert tokenizer.frame(2).ids == ((), tuple(ids), tuple(ids))


@pytest.mark.parametrize('ends, roles, message', [
    ({'bos': True}, ROLES, 'has no BOS; set bos=False'),
    ({'eos': True}, {}, 'has no EOS; set eos=False'),
    ({'bos': True, 'eos': True}, ROLES | {'bos': '</s>'}, 'are one token')])
def test_an_end_that_cannot_be_is_refused(ends, roles, message):
  with pytest.raises(errors.InputError, match=message):
    built(roles=roles, **ends)


def test_the_post_processor_is_the_frame():
  spec = SPEC | {'post_processor': parts.frame(
      {'</s>': 257, '<pad>': 258}, ['<pad>'], ['</s>', '</s>'], ['</s>'])}
  tokenizer = built(spec)
  assert tokenizer.encode_document('a').tolist() == [258, 97, 257]
  assert tokenizer.frame(2).ids == ((258,), (257, 257), (257,))
  assert tokenizer.frame(2).types == ((0,), (0, 0), (1,))
  assert tokenizer.bos_id == 258
  assert 'BOS <pad> (258) + tokens + EOS </s> (257)' in tokenizer.describe()


def test_a_token_of_a_role_is_added_to_the_vocabulary():
  tokenizer = built(roles=ROLES | {'mask': '<mask>'})
  assert tokenizer.special('[MASK]') == tokenizer.special('<mask>') == 260
  assert tokenizer.vocab_size == 261
  assert tokenizer.encode_with_specials('<mask>').tolist() == [260]


@pytest.mark.parametrize('ends', [{}, {'eos': True}])
def test_a_saved_tokenizer_is_the_same(tmp_path, ends):
  tokenizer = specials.Extended(built(**ends), ['[CLS]', '[PAD]'])
  tokenizer.save(tmp_path)
  loaded = tokenizer_lib.load(tmp_path)
  assert loaded.digest == tokenizer.digest
  assert loaded.describe() == tokenizer.describe()
  assert loaded.special('[PAD]') == 258 and loaded.special('[CLS]') == 260
  assert loaded.encode_document('a</s>').tolist() == (
      tokenizer.encode_document('a</s>').tolist())


def test_specials_that_are_added_leave_the_frame_as_it_is():
  base = built(SPEC | {'post_processor': parts.frame(
      {'</s>': 257, '<pad>': 258}, ['<pad>'], ['</s>', '</s>'], ['</s>'])})
  tokenizer = specials.Extended(base, ['[MASK]'])
  assert tokenizer.frame(2) == base.frame(2) and base.frame(2).between
  assert tokenizer.pair_prefix == base.pair_prefix == ''
  own = specials.Extended(base, ['[CLS]', '[SEP]'])
  assert own.frame(2).ids == ((260,), (261,), (261,))


def test_a_changed_file_is_seen(tmp_path):
  built().save(tmp_path)
  path = tmp_path / library.FILE
  path.write_text(path.read_text().replace('<pad>', '<qad>'))
  with pytest.raises(errors.InputError, match='was changed|usable tokenizer'):
    tokenizer_lib.load(tmp_path)


def test_the_id_that_a_decoder_starts_from_is_kept(tmp_path):
  plain, started = built(), built().started(258)
  assert (plain.start_id, started.start_id) == (None, 258)
  assert started.digest != plain.digest == started.started(None).digest
  assert started.describe().endswith('; a decoder starts from <pad> (258)')
  extended = specials.Extended(started, ['[MASK]'])
  extended.save(tmp_path)
  assert tokenizer_lib.load(tmp_path).start_id == 258
  for wrong in (260, -1, True, '<pad>'):
    with pytest.raises(errors.InputError, match='starts from .* 0 to 259; got'):
      started.started(wrong)


@pytest.mark.parametrize('roles', [3, {'bos': 3}, {'what': '</s>'}])
def test_roles_of_another_kind_are_refused(tmp_path, roles):
  built().save(tmp_path)
  path = tmp_path / 'tokenizer.json'
  state = json.loads(path.read_text()) | {'roles': roles}
  path.write_text(json.dumps(state))
  with pytest.raises(errors.InputError, match='not a saved tokenizer'):
    tokenizer_lib.load(tmp_path)


def changed(**changes):
  """Returns SPEC with changes, by paths such as model__vocab."""
  spec = copy.deepcopy(SPEC)
  for path, value in changes.items():
    *way, last = path.split('__')
    place = spec
    for name in way:
      place = place[name]
    place[last] = value
  return spec


GROW = {'type': 'Replace', 'pattern': {'String': 'a'}, 'content': 'aa'}


@pytest.mark.parametrize('spec, message', [
    ([], 'an object with a model'), ({}, 'an object with a model'),
    (changed(model__vocab={'a': 0, 'b': 0}), "'a' and 'b' have the same id"),
    (changed(model__vocab={'a': 0, 'b': 7}), 'id 1 has no token'),
    (changed(model__vocab={'a': 2**40}), 'cannot have id'),
    (changed(model__vocab={'a': -1}), 'cannot have id -1'),
    (changed(model__vocab={'a': True}), 'cannot have id True'),
    (changed(model__merges=['h zz']), 'zz'),
    (changed(model__type='Other'), 'Other|variant'),
    (changed(added_tokens=[{'content': 'x'}]), "lacks 'id'"),
    (changed(added_tokens=[parts.added('a', 300)]), 'id 258 has no token'),
    (changed(added_tokens=[parts.added('</s>', 258)]), 'cannot have id'),
    (changed(normalizer={'type': 'Sequence', 'normalizers': [GROW] * 11}),
     'should write at most 1,024 characters for one; they write 2,048'),
    (changed(normalizer={'type': 'Prepend', 'prepend': 'x' * 2000}),
     'they write 2,000'),
    (changed(pre_tokenizer={'type': 'Split', 'pattern': {'Regex': '('},
                            'behavior': 'Isolated', 'invert': False}),
     'unmatched parenthesis'),
    (changed(post_processor={
        'type': 'BertProcessing', 'sep': ['x', 999], 'cls': ['y', 3]}),
     'id 999, outside the vocabulary'),
])
def test_a_bad_spec_is_refused_in_a_sentence(spec, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    built(spec)
  assert len(str(caught.value)) < 500 and '\n' not in str(caught.value)


def test_a_panic_of_the_library_is_an_input_error():
  endless = changed(pre_tokenizer={
      'type': 'Split', 'pattern': {'Regex': '(b+)+$'}, 'behavior': 'Isolated',
      'invert': False})
  with pytest.raises(errors.InputError, match='retry-limit'):
    built(endless).encode('b' * 60 + '!')


def test_lone_surrogates_are_refused():
  for encode in built().encode, built().encode_with_specials:
    with pytest.raises(errors.InputError, match='lone surrogate'):
      encode('fox \ud800')
  with pytest.raises(errors.InputError, match='lone surrogate'):
    built().encode_all(['fox \ud800'])


def test_truncation_and_padding_of_a_file_are_not_taken_over():
  spec = changed(truncation={
      'max_length': 2, 'strategy': 'LongestFirst', 'stride': 0,
      'direction': 'Right'})
  assert len(built(spec).encode('abcd')) == 4
