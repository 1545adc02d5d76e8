"""The most probable tokens against the whole distributions."""
import numpy as np
import pytest

from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_best
from lmjax.models.counted import ngram_katz
from lmjax.models.counted import ngram_smoothing

_VOCAB, _BOS = 12, 0
_SMOOTHINGS = [
    ngram_smoothing.ModifiedKneserNey(), ngram_smoothing.WittenBell(),
    ngram_smoothing.AddK(), ngram_katz.Katz(),
    ngram_smoothing.StupidBackoff(1.0)]


def _model(smoothing, order):
  rng = np.random.default_rng(2)
  p = rng.dirichlet(np.full(10, 0.5))
  documents = [(_BOS, *(1 + rng.choice(10, rng.integers(1, 9), p=p)))
               for _ in range(60)]
  return ngram.NgramConfig(order, smoothing).fit(documents, _VOCAB, _BOS)


@pytest.mark.parametrize('order', [1, 3, 4])
@pytest.mark.parametrize('smoothing', _SMOOTHINGS,
                         ids=lambda s: type(s).__name__)
def test_best_is_the_most_probable_after_every_context(smoothing, order):
  model = _model(smoothing, order)
  contexts = [()]
  for length, best in enumerate(model.best):
    if length == 1:
      contexts = [(token,) for token in range(_VOCAB)]
    elif length:
      contexts = [(*contexts[key // model.radix], key % model.radix)
                  for key in model.keys[length - 1].tolist()]
    for context, token in zip(contexts, best):
      p = model.distribution(context)
      assert p[token] == pytest.approx(p.max(), rel=1e-12), context


@pytest.mark.parametrize('smoothing', _SMOOTHINGS[3:],
                         ids=lambda s: type(s).__name__)
def test_tokens_never_seen_after_a_context_may_win(monkeypatch, smoothing):
  # Else the search for them would be untested above.
  sought, outside = [], ngram_best._Search.outside

  def spy(self, order, nodes):
    sought.append(len(nodes))
    return outside(self, order, nodes)
  monkeypatch.setattr(ngram_best._Search, 'outside', spy)
  ngram_best.tokens(_model(smoothing, 4))
  assert sum(sought) > 0
