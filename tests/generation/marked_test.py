"""Names of specials are ids where they are asked for, and text elsewhere."""
import numpy as np

from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.generation import marked

TOKENIZER = specials.Extended(
    symbols.Bytes(bos=False).build(), ('[MASK]',), sentinels=2)


class Words:
  """A tokenizer whose words carry the space before them."""
  bos_id, eos_id, vocab_size, specials = None, None, 4, {'[M]': 3}
  pieces = [b'The', b' cat', b' ', b'']

  def special(self, name):
    return self.specials[name]

  def token_bytes(self, token):
    return self.pieces[token]

  def encode(self, text):
    return np.array([self.pieces.index(text.encode())] if text else [], int)


def test_names_become_ids_and_ids_names():
  both = marked.Marked(TOKENIZER)
  ids = both.encode('a <extra_id_1>b[MASK]<extra_id_0>')
  mask, zero, one = (TOKENIZER.special(name) for name in (
      '[MASK]', '<extra_id_0>', '<extra_id_1>'))
  assert ids.tolist() == [97, 32, one, 98, mask, zero]
  assert b''.join(map(both.token_bytes, ids)) == (
      b'a <extra_id_1>b[MASK]<extra_id_0>')
  assert both.vocab_size == TOKENIZER.vocab_size
  assert both.encode('').tolist() == []


def test_other_names_are_text():
  only = marked.Marked(TOKENIZER, ['[MASK]'])
  assert (only.encode('<extra_id_0>').tolist()
          == TOKENIZER.encode('<extra_id_0>').tolist())
  assert only.token_bytes(TOKENIZER.special('<extra_id_0>')) == b''
  assert marked.Marked(TOKENIZER, []).encode('[MASK]').tolist() == list(
      b'[MASK]')


def test_a_space_before_a_name_belongs_to_the_special():
  assert marked.Marked(Words()).encode('The [M] cat').tolist() == [0, 3, 1]
  assert marked.Marked(Words()).encode('The [M] ').tolist() == [0, 3, 2]
  assert marked.spaced(Words()) and not marked.spaced(TOKENIZER)
