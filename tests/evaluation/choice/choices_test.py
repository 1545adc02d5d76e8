"""Multiple choice: credits and reports, against plain sums."""
import dataclasses
import io
import json
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import baselines
from lmjax.evaluation.choice import choices
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import shots
from lmjax.evaluation.choice import wording
from lmjax.evaluation import continuations
from lmjax.evaluation import report

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
  table, = choices.tables(found)
  assert len(table.columns) == 9
  assert choices.Choices().evaluate(None, _BYTES, context=16) == []
  with pytest.raises(errors.InputError, match='limit'):
    choices.Choices(limit=0)


def _files(tmp_path, count=6):
  (tmp_path / 'q.jsonl').write_text(''.join(json.dumps(
      {'query': f'{i} {chr(97 + i)}', 'gold': i % 2,
       'choices': ['yes', 'no', 'so'][:2 + i % 2]}) + '\n'
      for i in range(count)))
  return choices.Choices((str(tmp_path / 'q.jsonl'),))


def _seen(config):
  """Returns reports and the texts that were scored."""
  texts = []
  def rate(spans):
    texts.extend(_BYTES.decode(span.ids) for span in spans)
    return _rate(Bigram(_BYTES.vocab_size))(spans)
  return config.evaluate(rate, _BYTES, context=64), texts


def test_examples_come_from_beyond_the_limit(tmp_path):
  config = dataclasses.replace(_files(tmp_path), limit=1, shots=shots.Shots(
      count=5, draw='first', separator='|', delimiter='='))
  (found,), texts = _seen(config)
  assert texts[0] == '1 b=no|2 c=yes|3 d=no|4 e=yes|5 f=no|0 a yes'
  assert (found.items, found.shots, found.seed) == (1, 5, None)
  assert [len(table.columns) for table in choices.tables([found])] == [5, 6]
  other = tmp_path / 'solved.jsonl'
  other.write_text('{"query": "Z", "choices": ["a", "b"], "gold": 0}\n')
  config = dataclasses.replace(config, shots=shots.Shots(1, str(other)))
  assert _seen(config)[1][0] == 'Z a\n\n0 a yes'


def test_each_template_and_seed_is_a_report(tmp_path):
  config = dataclasses.replace(
      _files(tmp_path), shots=shots.Shots(count=1, seeds=(3, 4)),
      more_templates=(wording.Template('{query} {options} =', True,
                                       delimiter=''),), limit=2)
  found, texts = _seen(config)
  assert [(r.seed, r.template) for r in found] == [
      (3, 0), (4, 0), (3, 1), (4, 1)]
  assert found[2].title == 'q (seed 3, template 1)'
  assert len({r.data_hash for r in found}) > 2
  assert any(text.endswith('0 a A. yes\nB. no =B') for text in texts)


def test_calibration_and_rotations_are_reported(tmp_path):
  config = _files(tmp_path)
  plain = _seen(config)[0][0]
  (found,), texts = _seen(dataclasses.replace(config, calibration=('N/A',)))
  assert found.accuracy == plain.accuracy
  assert 0 <= found.accuracy_calibrated <= 1 and texts[2:4] == [
      'N/A yes', 'N/A no']
  rotated, texts = _seen(dataclasses.replace(
      config, template=wording.Template(letters=True, rotations=True)))
  assert 0 <= rotated[0].changed <= 1
  assert len(texts) == 3 * (2 * 2 + 3 * 3)
  for one in found, rotated[0]:
    assert choices.ChoiceReport.from_dict(one.to_dict()) == one
  heads = lambda reports: [
      column.header for column in choices.tables(reports)[0].columns][5:]
  assert heads([found]) == ['calibrated', '±']
  assert heads(rotated) == ['changed']
  out = io.StringIO()
  long = dataclasses.replace(
      found, name='winograd_wsc', seed=1234, template=2, changed=0.5)
  for table in choices.tables([long]):
    report.display(table, out)
  assert 'winograd_wsc (seed 1234, template 2)' in out.getvalue()
  assert '…' not in out.getvalue()  # Nothing had to be cut.


def test_examples_precede_what_has_no_content_and_are_worded_alike(tmp_path):
  config = dataclasses.replace(
      _files(tmp_path), limit=1, calibration=('-',),
      template=wording.Template('{query} {options} =', letters=True),
      shots=shots.Shots(count=1, draw='first', separator='|'))
  _, texts = _seen(config)
  solved = '1 b A. yes\nB. no\nC. so = B|'
  assert texts == [solved + text for text in (
      '0 a A. yes\nB. no = A', '0 a A. yes\nB. no = B',
      '- A. -\nB. - = A', '- A. -\nB. - = B')]
