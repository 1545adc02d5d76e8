"""Grammars and brackets by enumeration and by Monte Carlo."""
import itertools

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.synthetic import grammars

AMBIGUOUS = grammars.Grammar(  # 'aa': A twice, or B once.
    ('S 0.5 -> aA', 'S 0.2 -> aB', 'S 0.3 -> b', 'A 0.6 -> a', 'A 0.4 -> bS',
     'B 0.5 -> a', 'B 0.5 -> bb'))


def nats(source, text):
  numbers = np.array([source.alphabet.index(c) for c in text], int)
  p = source.predictions(numbers, begins=True)
  at = np.arange(len(text) + 1), np.append(numbers, p.shape[1] - 1)
  with np.errstate(divide='ignore'):
    return -np.log(p[at]).sum()


def by_derivations(grammar, form, text):
  """The chance that a sentential form becomes the text, by all derivations."""
  if not form or not text:
    return float(form == text)
  if not form[0].isupper():
    return (by_derivations(grammar, form[1:], text[1:])
            if form[0] == text[0] else 0.0)
  return sum(p * by_derivations(grammar, right + form[1:], text)
             for p, right in grammar.productions[form[0]])


@pytest.mark.parametrize('grammar', [AMBIGUOUS, grammars.Grammar()])
def test_a_sentence_is_as_probable_as_all_its_derivations(grammar):
  total = 0.0
  for n in range(1, 6):
    for text in map(''.join, itertools.product(grammar.alphabet, repeat=n)):
      want = by_derivations(grammar, 'S', text)
      total += want
      got = np.exp(-nats(grammar, text))
      assert got == pytest.approx(want, abs=1e-12)
  assert 0.7 < total < 1


@pytest.mark.parametrize('source', [
    grammars.Grammar(), grammars.Dyck(kinds=3), grammars.Dyck(1, max_depth=1)])
def test_the_entropy_is_what_the_optimum_loses(source):
  texts = list(source.documents())[:800]
  lost = np.array([nats(source, text) for text in texts])
  entropy = source.entropy()
  deviation = 3.5 / len(texts) ** 0.5
  assert lost.mean() == pytest.approx(
      entropy.document, abs=deviation * lost.std() + 1e-9)
  lengths = np.array([len(text) + 1 for text in texts])
  assert lengths.mean() == pytest.approx(
      entropy.tokens, abs=deviation * lengths.std())
  assert entropy.error == 0.0


def test_brackets_close_what_opened_last_and_never_go_too_deep():
  source = grammars.Dyck(kinds=3, open=0.7, max_depth=3, num_documents=99)
  pairs = dict(zip(')]}', '([{'))
  deepest = 0
  for text in source.documents():
    stack = []
    for c in text:
      if c in pairs:
        assert stack.pop() == pairs[c]
      else:
        stack.append(c)
      deepest = max(deepest, len(stack))
    assert not stack
  assert deepest == 3
  p = source.predictions(np.array([0, 1, 4]), begins=True)  # '([]'
  np.testing.assert_allclose(p.sum(axis=1), 1)
  np.testing.assert_allclose(p[3], [.7/3] * 3 + [.3, 0, 0, 0])


@pytest.mark.parametrize('rules, message', [
    ((), 'at least one rule'),
    (('S -> a',), 'write a rule as'),
    (('S 0.5 -> a',), 'sum to 1; they sum to 0.5'),
    (('S 0.5 -> a', 'S 0.5 -> Sa'), 'begin with a symbol'),
    (('S 1 -> aT',), 'no rule for T'),
    (('S 0.6 -> aSS', 'S 0.4 -> a'), 'go on without end'),
])
def test_impossible_grammars_are_refused(rules, message):
  with pytest.raises(errors.InputError, match=message):
    grammars.Grammar(rules)


def test_ambiguous_grammars_and_wrong_settings_are_refused():
  with pytest.raises(errors.InputError, match='average `optimal_score`'):
    AMBIGUOUS.entropy()
  with pytest.raises(errors.InputError, match='whole documents'):
    grammars.Dyck().predictions(np.array([0]), begins=False)
  with pytest.raises(errors.InputError, match='Dyck.kinds .* got 5'):
    grammars.Dyck(kinds=5)
  with pytest.raises(errors.InputError, match='Dyck.open .* got 1.5'):
    grammars.Dyck(open=1.5)
