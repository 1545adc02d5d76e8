"""Multiple choice: credits and reports, against plain sums."""
import dataclasses
import json
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import baselines
from lmjax.evaluation import choices
from lmjax.evaluation import continuations
from lmjax.evaluation import questions

_BYTES = symbols.Bytes().build()
_NO_BOS = symbols.Bytes(bos=False).build()


def _item(contexts, continuations, gold=0):
  return questions.Item(tuple(contexts), tuple(continuations), gold, 'f:1')


class Bigram:
  """Scores pairs by a fixed random table; remembers no more than a token."""

  def __init__(self, vocab_size):
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(vocab_size, vocab_size))
    self.log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))

  def __call__(self, batch):
    log_p = self.log_p[batch['inputs']]
    nll_BT = -np.take_along_axis(log_p, batch['targets'][..., None], -1)[..., 0]
    return nll_BT, log_p.argmax(-1) == batch['targets']


def _rate(score, batch_size=8, context=64):
  return continuations.alone(score, context, batch_size)


def _questions(n):
  rng = np.random.default_rng(4)
  word = lambda: ''.join(map(chr, rng.integers(97, 123, rng.integers(1, 20))))
  return [_item([word()] * 3, [word(), word()[:4] + 9 * 'é', word()],
                int(rng.integers(3))) for _ in range(n)]


def test_losses_equal_plain_sums():
  items, score = _questions(20), Bigram(_BYTES.vocab_size)
  found = choices.evaluate(_rate(score), items, _BYTES, context=64)
  right, right_norm, gold = [], [], []
  for item in items:
    nats = []
    for context, choice in zip(item.contexts, item.continuations):
      head = _BYTES.encode(context).tolist()
      tail = _BYTES.encode(' ' + choice).tolist()
      ids = [256] + head + tail
      pairs = list(zip(ids, ids[1:]))[len(head):]
      nats.append(-sum(score.log_p[v, w] for v, w in pairs))
    right.append(np.argmin(nats) == item.gold)
    right_norm.append(np.argmin(
        [n / len(c.encode()) for n, c in zip(nats, item.continuations)])
                      == item.gold)
    gold.append(nats[item.gold])
  assert found.accuracy == pytest.approx(np.mean(right))
  assert found.accuracy_norm == pytest.approx(np.mean(right_norm))
  assert np.mean(right) != np.mean(right_norm)  # Else this could not fail.
  assert found.accuracy_stderr == pytest.approx(
      math.sqrt(np.var(right, ddof=1) / 20))
  assert found.nats_per_item == pytest.approx(np.mean(gold), abs=1e-5)
  assert (found.items, found.chance) == (20, pytest.approx(1 / 3))
  assert (found.truncated, found.uncontexted, found.nonfinite) == (0, 0, 0)


def test_batch_size_and_order_change_nothing():
  items, score = _questions(20), Bigram(_BYTES.vocab_size)
  def run(items, batch_size):
    found = choices.evaluate(
        _rate(score, batch_size), items, _BYTES, context=64)
    return dataclasses.replace(
        found, seconds=0, data_hash='', nats_per_item=round(
            found.nats_per_item, 9))
  assert run(items, 1) == run(items, 3) == run(items[::-1], 8)


def test_a_guess_earns_chance_and_counts_what_nothing_precedes():
  items = [_item(['', ''], ['ab', 'cd'], 1), _item(['a', 'a'], ['bb', 'cc'], 1)]
  found = choices.evaluate(
      _rate(baselines.Uniform(_NO_BOS.vocab_size)), items, _NO_BOS, context=16)
  assert found.accuracy == found.accuracy_norm == found.chance == 0.5
  assert found.uncontexted == 2
  assert found.nats_per_item == pytest.approx(
      2.5 * math.log(_NO_BOS.vocab_size))  # 'ab', and ' cc'.


def test_the_continuation_of_two_contexts():
  score = Bigram(_BYTES.vocab_size)
  a, c = ord('a'), ord('c')
  better = int(score.log_p[a, c] > score.log_p[c, c])
  found = choices.evaluate(
      _rate(score), [_item(['c', 'a'], ['c', 'c'], better)], _BYTES, context=16,
      delimiter='')
  assert found.accuracy == 1


def test_greedy_wants_every_token():
  score = Bigram(_BYTES.vocab_size)
  best = score.log_p.argmax(axis=1)
  chains = []
  for start in range(97, 123):
    ids = [start, int(best[start]), int(best[best[start]])]
    if max(ids) < 128 and all(chr(i).isprintable() for i in ids):
      chains.append(''.join(map(chr, ids)))
  assert len(chains) >= 3
  items = [_item([text[0]], [text[1:]]) for text in chains]
  items += [_item([text[0]], [text[1] + '~']) for text in chains]
  found = choices.evaluate(
      _rate(score), items, _BYTES, context=16, delimiter='')
  assert found.accuracy == 0.5 and found.kind == 'greedy'
  assert found.accuracy_norm is None and found.chance is None


def test_a_loss_that_is_not_finite_counts_as_wrong():
  def broken(batch):
    nll_BT, correct_BT = Bigram(_BYTES.vocab_size)(batch)
    return np.where(batch['targets'] == ord('!'), np.nan, nll_BT), correct_BT
  items = [_item(['a', 'a'], ['b', '!'], gold) for gold in (0, 1)]
  found = choices.evaluate(_rate(broken), items, _BYTES, context=16)
  assert found.nonfinite == 2 and found.accuracy == 0
  tree = json.loads(json.dumps(found.to_dict(), allow_nan=False))
  assert tree['nats_per_item'] is None
  assert math.isnan(choices.ChoiceReport.from_dict(tree).nats_per_item)


def test_a_config_reports_each_file(tmp_path):
  for name in ('one', 'two'):
    (tmp_path / f'{name}.jsonl').write_text(
        '{"query": "a", "choices": ["b", "c"], "gold": 1}\n' * 3)
  found = choices.Choices((str(tmp_path / '*.jsonl'),), limit=2).evaluate(
      _rate(Bigram(_BYTES.vocab_size)), _BYTES, context=16, parameters_hash='p')
  assert [(r.name, r.items, r.parameters_hash) for r in found] == [
      ('one', 2, 'p'), ('two', 2, 'p')]
  assert choices.ChoiceReport.from_dict(found[0].to_dict()) == found[0]
  assert len(choices.table(found).columns) == 9
  assert choices.Choices().evaluate(None, _BYTES, context=16) == []
  with pytest.raises(errors.InputError, match='limit'):
    choices.Choices(limit=0)
