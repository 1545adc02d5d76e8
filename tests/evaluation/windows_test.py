"""Windows against hand-made ones and against what they promise."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation import windows


def _documents(*lengths):
  rng = np.random.default_rng(0)
  return [rng.integers(1, 50, n) for n in lengths]


def test_rolled_windows_by_hand():
  # 9 tokens, context 4, stride 2: targets 1-4, then 5-6, then 7-8.
  pieces = list(windows.cut([np.arange(9)], context=4, stride=2))
  assert [(p.tokens.tolist(), p.unscored) for p in pieces] == [
      ([0, 1, 2, 3, 4], 0), ([2, 3, 4, 5, 6], 2), ([4, 5, 6, 7, 8], 2)]


def test_a_batch_by_hand():
  batch, = windows.Windows([[7, 8, 9, 5], [6, 4]], 4, 4, batch_size=2)
  assert batch['inputs'].tolist() == [[7, 8, 9, 6], [0, 0, 0, 0]]
  assert batch['targets'].tolist() == [[8, 9, 5, 4], [0, 0, 0, 0]]
  assert batch['weights'].tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
  assert batch['positions'].tolist() == [[0, 1, 2, 0], [0, 0, 0, 0]]
  assert batch['segments'].tolist() == [[1, 1, 1, 2], [0, 0, 0, 0]]
  assert batch['documents'].tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
  assert batch['places'].tolist() == [[1, 2, 3, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize('context', [1, 2, 5, 16])
def test_each_token_once_with_enough_context(context, packed):
  documents = _documents(0, 1, 2, 3, 5, 6, 16, 17, 18, 33, 40, 100)
  for stride in {1, (context + 1) // 2, max(context - 1, 1), context}:
    scored, placed = [np.zeros(len(d), int) for d in documents], {}
    for batch in windows.Windows(documents, context, stride, 3, packed):
      assert batch['inputs'].shape == (3, context)
      for b, t in zip(*np.nonzero(batch['weights'])):
        document = batch['documents'][b, t]
        tokens, position = documents[document], batch['positions'][b, t]
        # The context is the run of the same segment that ends here.
        same = batch['segments'][b] == batch['segments'][b, t]
        seen = batch['inputs'][b, :t + 1][same[:t + 1]]
        assert len(seen) == position + 1
        at = next(i for i in range(len(tokens)) if scored[document][i] == 0
                  and i >= len(seen) and tokens[i] == batch['targets'][b, t]
                  and (tokens[i - len(seen):i] == seen).all())
        scored[document][at] += 1
        place = batch['places'][b, t]
        assert tokens[place] == tokens[at] and place >= len(seen)
        placed[document, place] = placed.get((document, place), 0) + 1
        assert len(seen) >= min(at, context - stride + 1)
    for counts in scored:
      assert (counts[:1] == 0).all() and (counts[1:] == 1).all()
    assert placed == {(number, at): 1 for number, tokens in enumerate(documents)
                      for at in range(1, len(tokens))}


def test_best_fit_fills_rows():
  lengths = np.array([3, 6, 2, 5, 4])
  row, offset, number = windows.pack(lengths, 10)
  assert row.max() + 1 == 2  # 20 tokens fit in 2 rows of 10, and do.
  cells = [(r, o + i) for r, o, n in zip(row, offset, lengths)
           for i in range(n)]
  assert len(set(cells)) == 20 and max(o for _, o in cells) == 9
  for r in range(2):
    order = np.argsort(offset[row == r])
    assert number[row == r][order].tolist() == list(range(1, len(order) + 1))


def test_batch_size_changes_no_row(monkeypatch):
  monkeypatch.setattr(windows, '_POOL_TOKENS', 50)  # Several pools.
  documents = _documents(*range(1, 40))
  def rows(batch_size):
    batches = list(windows.Windows(documents, 8, 3, batch_size))
    stacked = {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}
    real = stacked['segments'].any(axis=1)
    return {k: v[real] for k, v in stacked.items()}
  one, three, eight = rows(1), rows(3), rows(8)
  for name in one:
    np.testing.assert_array_equal(one[name], three[name])
    np.testing.assert_array_equal(one[name], eight[name])


def test_memory_is_bounded_by_rows_not_by_tokens(monkeypatch):
  monkeypatch.setattr(windows, '_POOL_TOKENS', 50)
  laid = []
  rows = windows.rows
  def counted(*args):
    laid.append(rows(*args))
    return laid[-1]
  monkeypatch.setattr(windows, 'rows', counted)
  for packed in (True, False):
    list(windows.Windows(_documents(*[3] * 100), 10, 10, 1, packed))
  assert max(table['inputs'].size for table in laid) <= 60


@pytest.mark.parametrize('wrong, words', [
    ({'context': 0}, 'context'), ({'stride': 0}, 'stride'),
    ({'stride': 9}, 'from 1 to the context, 8'), ({'batch_size': 0}, 'batch')])
def test_impossible_settings_are_refused(wrong, words):
  with pytest.raises(errors.InputError, match=words):
    windows.Windows([[1, 2]], **({'context': 8, 'stride': 4} | wrong))
