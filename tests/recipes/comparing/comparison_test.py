"""A comparison: compute budgets, likelihoods and probes."""
import dataclasses
import json
import types

from matplotlib import figure
import numpy as np
import pytest

from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.counted import ngram
from lmjax.models.presets import decoders
from lmjax.recipes.comparing import comparison
from lmjax.recipes import counting
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules

PLAY = [f'{name}:\nI {word} {i}, and {word} again {i * i}' for i in range(12)
        for name, word in (('Romeo', 'love'), ('Tybalt', 'hate'))]
CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=tuple(PLAY)),
        split=splits.HashSplit(valid=0.3, test=0), tokenizer=symbols.Bytes(),
        batch_size=2),
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=32),
    samples=samples.Samples(prompts=()))


@pytest.mark.slow
def test_twice_the_time_is_worth_twice_the_steps(tmp_path, monkeypatch):
  clock = iter(np.arange(0, 100, 2.0))
  monkeypatch.setattr(comparison.time, 'process_time', lambda: next(clock))
  steps = comparison.steps_within(CONFIG, str(tmp_path), 30.0, timed=3)
  assert steps == 45  # Three took two seconds.


def test_the_measured_steps_are_kept_for_a_continued_run(tmp_path, monkeypatch):
  timed = []
  monkeypatch.setattr(comparison, 'steps_within', lambda config, path, seconds:
                      timed.append(seconds) or 50)
  path = str(tmp_path / 'run')
  first = comparison.within(CONFIG, path, 0.5)
  assert first.training.steps == 50 and timed == [30.0]
  assert first.training.eval_every == 12
  warm = dataclasses.replace(CONFIG, optimizer=adamw.AdamW(
      schedule=schedules.Cosine(warmup=100)))
  assert comparison.within(  # A tenth of the steps.
      warm, path, 0.5).optimizer.schedule.warmup == 5
  assert comparison.within(CONFIG, path, 0.5) == first and len(timed) == 1
  comparison.within(CONFIG, path, 1.0)
  assert timed == [30.0, 60.0]
  monkeypatch.setattr(comparison, 'steps_within', lambda *_: 2)
  assert comparison.within(CONFIG, path, 0.01).training.eval_every == 1


@pytest.mark.slow
def test_a_probe_tells_who_speaks_by_vectors_that_do():
  def told(texts):
    return np.array([['love' in t, 'hate' in t] for t in texts], np.float32)
  assert comparison.probed(told, PLAY) == 1.0
  assert comparison.probed(lambda t: np.zeros((len(t), 2)), PLAY) == 0.5
  found = comparison.probe_baselines(PLAY)
  assert found['majority'] == 0.5 and found['naive_bayes'] == 1.0


def test_a_trained_run_without_a_likelihood_has_its_probe(
    tmp_path, monkeypatch):
  run = types.SimpleNamespace(kind='none', config=CONFIG)
  monkeypatch.setattr(comparison.trained, 'load_any', lambda path: run)
  monkeypatch.setattr(comparison, 'vectors_of', lambda run: run)
  monkeypatch.setattr(comparison, 'probed', lambda vectors, texts: (
      0.5 if vectors is run and texts == PLAY else None))
  (tmp_path / 'report.json').write_text(
      '{"tokens": 9, "held_out": {"loss": 1.5}, "reports": []}')
  assert comparison.row_of('x', str(tmp_path), PLAY) == comparison.Row(
      'x', CONFIG.training.steps, 9, 'none', None, 1.5, 0.5)


def test_rows_of_runs_make_a_table_and_a_picture(tmp_path):
  counted = experiment.Count(CONFIG.data, ngram.NgramConfig(order=2))
  reports = counting.count(counted, str(tmp_path / 'ngram'))
  row = comparison.row_of('ngram', str(tmp_path / 'ngram'), PLAY)
  assert row.bits_per_byte == pytest.approx(reports[0].bits_per_byte)
  assert row.likelihood == 'exact' and row.probe is None and not row.steps
  other = dataclasses.replace(
      row, name='encoder', likelihood='none', bits_per_byte=None, probe=0.5)
  assert row.cells()[0] == 'ngram' and other.cells()[4] == '-'
  comparison.save(tmp_path / 'table.json', [row, other], cpu_minutes=1)
  saved = json.loads((tmp_path / 'table.json').read_text())
  assert [each['name'] for each in saved['rows']] == ['ngram', 'encoder']
  comparison.plot(tmp_path / 'table.png', [row, other], {'majority': 0.3}, 'x')
  assert (tmp_path / 'table.png').read_bytes()[:4] == b'\x89PNG'


def test_no_line_crosses_a_number_of_the_plot(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(
      figure.Figure, 'savefig', lambda self, *_, **__: drawn.append(self))
  row = comparison.Row('lstm', 9, 100, 'exact', 2.0, 1.0, 0.29)
  comparison.plot(tmp_path / 'table.png', [row], {'majority': 0.3}, 'x')
  numbers = [text for axes in drawn[0].axes for text in axes.texts]
  assert [text.get_text() for text in numbers] == [' 2', ' 0.29']
  assert all(text.get_bbox_patch().get_fill() for text in numbers)
