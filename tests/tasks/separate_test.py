"""Rows of texts that are read apart."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import separate

BYTES = symbols.Bytes(bos=False, eos=False).build()
FEATURES = rows_lib.Features(lengths=(4, 8), batch_size=2)
TEXTS = {'': [('ab', 'x:1'), ('c', 'x:2'), ('abc', 'x:3')],
         'positive_': [('abcde', 'x:1'), ('d', 'x:2'), ('z', 'x:3')]}


def rows(texts=None):
  return separate.build(FEATURES, texts or TEXTS, BYTES,
                        {'labels': np.array([0.5, 1.0, 0.0], np.float32)})


def test_texts_of_a_batch_have_one_length_and_their_own_arrays():
  found = dict(zip(('short', 'long'), rows().once()))
  chosen, batch = found['short']
  assert chosen.tolist() == [1, 2]
  assert batch['inputs'].shape == batch['positive_inputs'].shape == (2, 4)
  assert bytes(batch['inputs'][1, :3].astype(np.uint8)) == b'abc'
  assert bytes(batch['positive_inputs'][1, :1].astype(np.uint8)) == b'z'
  assert batch['positive_segments'].sum(axis=1).tolist() == [1, 1]
  assert batch['labels'].tolist() == [1.0, 0.0]
  chosen, batch = found['long']
  assert chosen.tolist() == [0] and batch['inputs'].shape == (2, 8)
  assert batch['weights'].tolist() == [1.0, 0.0]  # Padded to the batch size.


def test_a_text_without_tokens_is_refused():
  with pytest.raises(errors.InputError, match='x:2: the text'):
    rows({**TEXTS, 'positive_': [('a', 'x:1'), ('', 'x:2'), ('b', 'x:3')]})
