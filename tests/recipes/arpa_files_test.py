"""Runs become ARPA files, and ARPA files runs, that score text alike."""
import dataclasses
import gzip
import importlib.util
import pathlib
import re

import pytest

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import words
from lmjax import experiment
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_cache
from lmjax.recipes import arpa_files
from lmjax.recipes import counting
from lmjax.recipes.loaded import trained

_SCRIPT = pathlib.Path(__file__).parents[2] / 'experiments' / 'evaluate.py'
spec = importlib.util.spec_from_file_location('evaluate_script', _SCRIPT)
evaluate_script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(evaluate_script)

TEXTS = tuple(f'line {i} says {i * i} , and {i % 9} again' for i in range(60))
CONFIG = experiment.Count(
    pipeline.DataConfig(
        source=sources.InMemory(TEXTS), split=splits.HashSplit(0.3, 0),
        tokenizer=words.Words(bos=True, eos=True)),
    ngram.NgramConfig(order=3))
HAND = """A comment of the tool that wrote it.

\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-1\t</s>
-0.5\t<unk>
-0.25\tb\t-0.125

\\2-grams:
-0.75\t<s> b
-0.125 b  </s>

\\end\\
"""


def counted(path, **changes):
  data = {key: changes.pop(key) for key in ('tokenizer', 'source')
          if key in changes}
  counting.count(dataclasses.replace(
      CONFIG, data=dataclasses.replace(CONFIG.data, **data), **changes),
      str(path))
  return path


def test_a_run_comes_back_and_scores_the_same(tmp_path):
  one = counted(tmp_path / 'one')
  assert arpa_files.write(one, str(tmp_path / 'a.arpa.gz')) == ()
  arpa_files.read(str(tmp_path / 'a.arpa.gz'), tmp_path / 'two')
  arpa_files.write(tmp_path / 'two', str(tmp_path / 'b.arpa.gz'))
  raw = [(tmp_path / f'{name}.arpa.gz').read_bytes() for name in 'ab']
  assert raw[0] == raw[1]
  config = experiment.Evaluate(data=sources.InMemory(TEXTS + ('new words',)))
  found = [evaluate_script.evaluate(config, str(tmp_path / name))[0]
           for name in ('one', 'two')]
  assert found[0][0].nats == found[1][0].nats
  assert [r.name for r in found[1]] == ['model', 'uniform']  # No training text.
  with pytest.raises(errors.InputError, match='no valid split.*kind=TextFiles'):
    evaluate_script.evaluate(experiment.Evaluate(), str(tmp_path / 'two'))


def test_a_file_by_hand_scores_text(tmp_path):
  (tmp_path / 'x.arpa').write_text(HAND)
  model = arpa_files.read(str(tmp_path / 'x.arpa'), tmp_path / 'run')
  assert model.num_ngrams == (3, 2)
  run = trained.load_any(tmp_path / 'run')
  assert run.tokenizer.words == ['<unk>', 'b']
  found = run.score('b new')  # b after <s>, <unk> after b, </s>.
  assert found.nats == pytest.approx(
      (0.75 + (0.125 + 0.5) + 1) * 2.302585092994046, rel=1e-6)
  assert found.tokens == 3


@pytest.mark.parametrize('old, new, message', [
    ('<unk>', 'a', 'has no <unk> among its 4 words'),
    ('-0.25\tb', 'x\tb', 'x.arpa:11: a 1-gram without numbers'),
    ('<s> b', '<s> c', "x.arpa:14: 2-grams with 'c'")])
def test_a_foreign_file_is_refused_with_its_line(tmp_path, old, new, message):
  (tmp_path / 'x.arpa').write_text(HAND.replace(old, new))
  with pytest.raises(errors.InputError, match=message):
    arpa_files.read(str(tmp_path / 'x.arpa'), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('tokenizer, note', [
    (symbols.Bytes(), 'Words are ids'),
    (words.Words(), 'no <s>.*tokenizer.bos')])
def test_what_a_file_lacks_is_told(tmp_path, tokenizer, note):
  run = counted(tmp_path / 'run', tokenizer=tokenizer)
  told, = arpa_files.write(run, str(tmp_path / 'x.arpa'))
  assert re.search(note, told)


def test_words_that_cannot_be_written_may_be_ids(tmp_path):
  run = counted(tmp_path / 'run', source=sources.InMemory(
      tuple(f'{text}\n' for text in TEXTS)))
  with pytest.raises(errors.InputError, match=r"got '\\n'\. Write ids.*--ids"):
    arpa_files.write(run, str(tmp_path / 'x.arpa.gz'))
  arpa_files.write(run, str(tmp_path / 'x.arpa.gz'), ids=True)
  assert '\t0\t' in gzip.open(tmp_path / 'x.arpa.gz', 'rt').read()


@pytest.mark.parametrize('model, message', [
    (hmm.HmmConfig(num_states=2, steps=1), 'HmmConfig; only n-gram models'),
    (ngram.NgramConfig(order=2, cache=ngram_cache.CacheConfig()),
     'has a cache too')])
def test_other_models_are_refused(tmp_path, model, message):
  run = counted(tmp_path / 'run', model=model)
  with pytest.raises(errors.InputError, match=message):
    arpa_files.write(run, str(tmp_path / 'x.arpa'))
