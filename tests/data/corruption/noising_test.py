"""BART's noise: the target is the text, the source what the noise says."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import noising
from lmjax.data.corruption import pieces
from lmjax.data import packing
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 40, 80)
MASK = corruptions.SPECIALS['[MASK]']
OFF = dict(rate=0.0, permute=False)


def built(config, length=32, bos=1, eos=2, plain=None, start=None):
  plain = plain or corruptions.rows(LENGTHS, length, bos=bos, eos=eos)
  every = np.arange(plain.num_rows)
  rows = config.build(
      plain, corruptions.tokenizer(bos=bos, eos=eos, start=start), length,
      seed=0)
  sources, targets = corruptions.sources_and_targets(rows.rows(0, every))
  return corruptions.texts(plain.rows(0, every)), sources, targets


@pytest.mark.parametrize('config', [
    noising.Bart(), noising.Bart(joined=True), noising.Bart(0.9, 1.0),
    noising.Bart(mask_rate=0.3, delete_rate=0.3, rotate_rate=1.0)])
@pytest.mark.parametrize('bos, eos, own', [
    (1, 2, None), (None, 2, None), (1, 2, 2)])
def test_the_target_is_the_text_and_ends_stay_in_their_places(
    config, bos, eos, own):
  texts, sources, targets = built(config, bos=bos, eos=eos, start=own)
  for key, text in texts.items():
    start = (not config.joined and own) or bos or eos
    want = text if text[0] == start else [start] + text
    if len(want) == 1:
      assert key not in targets
      continue
    assert targets[key] == want
    source = sources.get(key, [])
    assert (source[:1] == [1]) == (text[0] == 1)
    assert (source[-1:] == [2]) == (text[-1] == 2)


def whole(config, length=200, count=50):
  """Returns texts of one length and their sources."""
  plain = corruptions.rows(
      [length * count + 1], length, kind=packing.Concatenated)
  texts, sources, _ = built(config, length, bos=None, plain=plain)
  assert len(texts) == count
  return [(texts[key], sources[key]) for key in texts]


def test_infilling_hides_an_exact_share_and_keeps_the_order():
  spans = []
  for text, source in whole(noising.Bart(0.3, permute=False)):
    kept = [i for i in source if i != MASK]
    assert len(kept) == 140
    place = [text.index(i) for i in kept]  # Ids hardly ever repeat.
    assert np.mean(np.diff(place) > 0) > 0.95
    spans.append(source.count(MASK))
  # Poisson lengths of mean 3, of which the last is cut: about 60 / 3 + 1 / 2.
  assert abs(np.mean(spans) - 20.7) < 1.5 and len(set(spans)) > 3


def test_span_lengths_are_poisson_and_may_be_0():
  u = (np.arange(100_000) + 0.5) / 100_000
  counts = np.bincount(noising.poisson(u, 3.0))
  np.testing.assert_allclose(
      counts[:4] / 1e5, np.exp(-3) * np.array([1, 3, 4.5, 4.5]), atol=1e-4)
  texts = pieces.Texts(np.arange(10, 20), np.array([10]), np.array([0]),
                       np.array([1]))
  lengths = []
  for seed in range(300):
    out = noising.infilled(texts, pieces.Draws(seed, 0, [0], 10), 0.4, 3.0, 0)
    ids = out.tokens.tolist()
    assert [i for i in ids if i] == sorted(i for i in ids if i)
    assert len([i for i in ids if i]) == 6
    lengths.append(ids.count(0))
  assert set(lengths) >= {1, 2, 3} and max(lengths) <= 4


def test_sentences_are_permuted_as_wholes():
  moved = 0
  for text, source in whole(noising.Bart(**OFF | {'permute': True}), 60, 20):
    def sentences(ids):
      out = [[]]
      for i in ids:
        out[-1].append(i)
        if i % 5 == 0:
          out.append([])
      return [tuple(s) for s in out if s]
    # The piece without a full stop, the text's last, may end up anywhere.
    tail = sentences(text)[-1]
    assert sorted(source) == sorted(text)
    if tail[-1] % 5 == 0:
      assert sorted(sentences(source)) == sorted(sentences(text))
    moved += source != text
  assert moved == 20


def test_masking_deletion_and_rotation_have_their_rates():
  pairs = whole(noising.Bart(**OFF, mask_rate=0.2))
  hit = np.mean([[b == MASK for b in source] for _, source in pairs])
  assert abs(hit - 0.2) < 5 * 0.4 / 1e4 ** 0.5
  assert all(b in (a, MASK) for text, source in pairs
             for a, b in zip(text, source))
  pairs = whole(noising.Bart(**OFF, delete_rate=0.2))
  left = np.mean([len(source) for _, source in pairs]) / 200
  assert abs(left - 0.8) < 5 * 0.4 / 1e4 ** 0.5
  for text, source in pairs:
    rest = iter(text)
    assert all(i in rest for i in source)  # A subsequence.
  pairs = whole(noising.Bart(**OFF, rotate_rate=0.5))
  turned = 0
  for text, source in pairs:
    assert any(source == text[r:] + text[:r] for r in range(200))
    turned += source != text
  assert 10 < turned < 40


def test_impossible_settings_are_refused():
  with pytest.raises(errors.InputError, match='mean_length .* above 0'):
    noising.Bart(mean_length=0)
  with pytest.raises(errors.InputError, match='mask_rate .* got 2'):
    noising.Bart(mask_rate=2)
  with pytest.raises(errors.InputError, match='tokenizer.bos=True'):
    noising.Bart().build(
        corruptions.rows([99], 9), corruptions.tokenizer(), 9, 0)
