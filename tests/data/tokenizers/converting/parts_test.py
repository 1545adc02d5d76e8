"""The parts of a tokenizer.json."""
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers.converting import parts

VOCAB = {'<s>': 0, '</s>': 1, 'a': 2, 'b': 3}
MODEL = {'type': 'WordLevel', 'vocab': VOCAB, 'unk_token': 'a'}


def laid_out(post_processor):
  row = specs.built(parts.spec(MODEL, post_processor=post_processor)).encode(
      'a', 'b')
  return row.ids, row.type_ids


def test_a_frame_is_what_the_library_lays_out():
  around = ['<s>'], ['</s>', '</s>'], ['</s>']
  assert laid_out(parts.frame(VOCAB, *around)) == (
      [0, 2, 1, 1, 3, 1], [0, 0, 0, 0, 1, 1])
  assert laid_out(parts.frame(VOCAB, *around, typed=False)) == (
      [0, 2, 1, 1, 3, 1], [0] * 6)
  assert laid_out(parts.frame(VOCAB, [], [], [])) == ([2, 3], [0, 1])


def test_one_part_is_not_a_sequence():
  assert parts.sequence('decoders', []) is None
  assert parts.sequence('decoders', [{'type': 'Fuse'}]) == {'type': 'Fuse'}
  assert parts.sequence('decoders', [{}, {}])['decoders'] == [{}, {}]


def test_text_is_split_by_the_pattern_and_written_in_bytes():
  spec = parts.spec(MODEL, pre_tokenizer=parts.split('[0-9]'))
  pieces = specs.built(spec).pre_tokenizer.pre_tokenize_str('a 12é')
  assert [piece for piece, _ in pieces] == ['aĠ', '1', '2', 'Ã©']


def test_an_added_token_is_special_unless_said():
  assert parts.added('<s>', 3)['special']
  assert not parts.added('  ', 3, special=False)['special']
