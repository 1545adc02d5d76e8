"""UL2: each row by one denoiser, named by its mode; nothing is lost."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import denoisers
from lmjax.data import packing
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 60, 80)
MODES = {corruptions.SPECIALS[f'[{mode}]']: mode for mode in 'RSX'}


@pytest.mark.parametrize('config', [
    denoisers.UL2(), denoisers.UL2(joined=True), denoisers.UL2(documents=1)])
@pytest.mark.parametrize('length', [9, 64])
def test_filling_in_gives_back_every_row(config, length):
  plain = corruptions.rows(LENGTHS, length)
  every = np.arange(plain.num_rows)
  batch = config.build(plain, corruptions.tokenizer(), length, 3).rows(1, every)
  sources, targets = corruptions.sources_and_targets(batch)
  modes = {}
  for key, text in corruptions.texts(plain.rows(1, every)).items():
    if config.joined and key not in sources:
      assert len(text) == 1
      continue
    source, target = sources[key], targets.get(key, [])
    if target:
      mode = MODES[source.pop(0)]
      assert modes.setdefault(key[0], mode) == mode  # One a row.
      if mode == 'S':  # The end needs no other sentinel behind it.
        target = target + [corruptions.SENTINELS[1]]
    assert corruptions.filled(source, target) == text


def test_shares_and_noise_are_those_of_the_denoisers():
  config = denoisers.UL2(
      ('R', 'S', 'X'), (0.15, 0.25, 0.5), (3.0, 0.0, 8.0), (2.0, 1.0, 1.0))
  plain = corruptions.rows([100_000], 100, kind=packing.Concatenated)
  batch = config.build(plain, corruptions.tokenizer(), 100, 0).rows(
      0, np.arange(1000))
  sources, targets = corruptions.sources_and_targets(batch)
  noise = {}
  for key, source in sources.items():
    hidden = sum(i not in corruptions.SENTINELS for i in targets[key])
    noise.setdefault(MODES[source[0]], []).append(hidden)
  for mode, share, size in ('R', 0.5, 15), ('S', 0.25, 25), ('X', 0.25, 50):
    assert set(noise[mode]) == {size}
    assert abs(len(noise[mode]) / 1000 - share) < 5 * 0.5 / 1000 ** 0.5


def test_impossible_settings_are_refused():
  with pytest.raises(errors.InputError, match="one entry .*'modes': 1"):
    denoisers.UL2(modes=('R',))
  with pytest.raises(errors.InputError, match="of 'R', 'S', 'X'; got"):
    denoisers.UL2(('Q',), (0.5,), (3.0,), (1.0,))
  with pytest.raises(errors.InputError, match='not all be 0'):
    denoisers.UL2(('R',), (0.5,), (3.0,), (0.0,))
  with pytest.raises(errors.InputError, match='mean_length'):
    denoisers.UL2(('X',), (0.5,), (0.5,), (1.0,))
