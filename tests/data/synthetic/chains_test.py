"""Chains by hand, by Monte Carlo, and against the baseline that fits them."""
import itertools

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.synthetic import chains
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import baselines
from lmjax.evaluation import likelihood

MARKOV = chains.MarkovChain(order=2, symbols=3, mean_length=4.0)
HIDDEN = chains.HiddenMarkov(states=3, symbols=3, mean_length=4.0)


def probability(source, text):
  """The probability that the predictor gives a whole document."""
  numbers = np.array([source.alphabet.index(c) for c in text], int)
  p = source.predictions(numbers, begins=True)
  at = np.arange(len(text) + 1), np.append(numbers, p.shape[1] - 1)
  return np.prod(p[at])


def hidden_by_hand(source, text):
  """The same by a sum over all paths of hidden states."""
  total = 0.0
  for path in itertools.product(range(source.states), repeat=len(text)):
    p = source.stationary[path[0]]
    for a, b in zip(path, path[1:]):
      p *= source.transitions[a, b]
    for state, c in zip(path, text):
      p *= source.emissions[state, source.alphabet.index(c)]
    total += p
  end = 1 / source.mean_length
  return total * end * (1 - end) ** (len(text) - 1)


def test_the_chain_by_hand():
  end, t = 1 / 4, MARKOV.transitions
  # The context 'ab' is number 0 * 3 + 1, and 'bc' is 1 * 3 + 2.
  want = MARKOV.contexts[1] * t[1, 2] * t[5, 0] * (1 - end) ** 3 * end
  assert probability(MARKOV, 'abca') == pytest.approx(want, rel=1e-9)
  one = MARKOV.contexts[6:].sum() * end
  assert probability(MARKOV, 'c') == pytest.approx(one, rel=1e-9)
  np.testing.assert_allclose(t.sum(axis=1), 1)


def test_the_hidden_chain_is_a_sum_over_paths():
  for text in ('a', 'cb', 'abca'):
    assert probability(HIDDEN, text) == pytest.approx(
        hidden_by_hand(HIDDEN, text), rel=1e-9)


@pytest.mark.parametrize('source', [MARKOV, HIDDEN])
def test_a_window_knows_only_its_own_symbols(source):
  # A window 'b?' is a document's begin too, but that one may not end there.
  window = source.predictions(np.array([1]), begins=False)[1]
  start = source.predictions(np.array([1]), begins=True)
  np.testing.assert_allclose(window, start[1], rtol=1e-9)
  assert start[0, -1] == 0.0
  np.testing.assert_allclose(start.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize('source', [
    chains.MarkovChain(order=0, symbols=5, mean_length=9.0),
    chains.MarkovChain(order=1, mean_length=9.0),
    chains.MarkovChain(order=3, symbols=4, mean_length=9.0),
    chains.HiddenMarkov(mean_length=9.0),
], ids=['0', '1', '3', 'hidden'])
def test_the_entropy_is_what_the_optimum_loses(source):
  tokenizer = symbols.Characters().build([source.alphabet])
  ids = [tokenizer.encode_document(text) for text in source.documents()][:3000]
  report = likelihood.evaluate(
      source.optimal_score(tokenizer), ids, vocab_size=tokenizer.vocab_size,
      context=128, stride=128, batch_size=64, bos_id=tokenizer.bos_id)
  entropy = source.entropy()
  assert report.nats_per_token == pytest.approx(
      entropy.per_token, abs=3.5 * report.stderr)
  assert report.tokens / len(ids) == pytest.approx(entropy.tokens, rel=0.05)
  assert entropy.error < 1e-3 < entropy.rate


def test_the_rate_of_a_hidden_chain_that_shows_its_state_is_the_chains():
  clear = chains.HiddenMarkov(states=3, symbols=3)
  object.__setattr__(clear, '__dict__', clear.__dict__ | {
      'emissions': np.eye(3)})
  want = clear.stationary @ chains.language.entropy_of(clear.transitions)
  assert clear.entropy().rate == pytest.approx(want, abs=1e-9)


def test_counting_pairs_meets_the_bound_of_an_order_one_chain():
  def ids(seed, count):
    source = chains.MarkovChain(
        order=1, symbols=6, num_documents=count, seed=seed)
    tokenizer = symbols.Characters().build([source.alphabet])
    return source, tokenizer, [
        tokenizer.encode_document(text) for text in source.documents()]
  source, tokenizer, train = ids(0, 6000)
  _, _, test = ids(1, 300)
  scores = {
      'optimum': source.optimal_score(tokenizer),
      'bigram': baselines.Bigram.fit(train, tokenizer.vocab_size)}
  nats = {name: likelihood.evaluate(
      score, test, vocab_size=tokenizer.vocab_size, context=512, stride=512,
      bos_id=tokenizer.bos_id).nats_per_token
          for name, score in scores.items()}
  assert abs(nats['bigram'] - nats['optimum']) < 5e-4
  # A long document is cut: the optimum of its windows loses hardly more.
  cut = likelihood.evaluate(
      scores['optimum'], test, vocab_size=tokenizer.vocab_size, context=16,
      stride=8, bos_id=tokenizer.bos_id).nats_per_token
  assert cut == pytest.approx(nats['optimum'], abs=1e-6)


@pytest.mark.parametrize('changes, message', [
    (dict(order=-1), 'MarkovChain.order should be at least 0; got -1'),
    (dict(concentration=0.0), 'concentration should be above 0'),
    (dict(order=9, symbols=62), r'62 \*\* 10'),
])
def test_impossible_chains_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    chains.MarkovChain(**changes)
