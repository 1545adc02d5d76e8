"""Queries are ranked against the texts of their split."""
import json

import numpy as np
import pytest

import lmjax
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import decoder
from lmjax.objectives import similarity
from lmjax.recipes import finetuning
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import matched
from lmjax.tasks import retrieval
from lmjax.tasks import rows as rows_lib
from lmjax.training import options

BYTES = symbols.Bytes().build()
TEXT = 'q,a,n\none,uno,dos\ntwo,dos,tres\nthree,uno,dos\n'


def task(tmp_path, negatives=False, **options):
  (tmp_path / 'pairs.csv').write_text(TEXT)
  reader = delimited.Delimited(
      (str(tmp_path / 'pairs.csv'),), text=('q',), second=('a',), label='n')
  return retrieval.Retrieval(
      matched.Matched(reader, reader, reader, drop_shared=False,
                      negatives=negatives),
      rows_lib.Features(lengths=(8,), batch_size=3), **options)


def test_equal_texts_are_one_text(tmp_path):
  value = task(tmp_path, objective=similarity.InBatch(dims=(1,)))
  splits = value.read()
  rows = value.rows(splits.test, splits, BYTES)
  assert rows.by_row['same'].tolist() == [0, 1, 0]
  assert 'negative_' not in rows.parts
  vectors = [np.array(x, np.float32) for x in ([1, 0], [0.1, 1], [1, 0.2])]
  outputs = [(vectors[0], vectors[0]), (vectors[1], vectors[1]),
             (vectors[2], vectors[0])]
  result = value.judge(outputs, splits.test, rows, splits)
  assert result.whole.texts == 2
  assert result.metrics['recall@1'].value == 1.0
  # Along one dimension, both texts are equally similar.
  assert result.metrics['mrr, 1 dimensions'].value == 0.5
  assert result.to_dict()['dimensions']['1']['recall@1'] == 0.0
  answers = list(value.answers(outputs, splits.test, rows, splits))
  assert answers[2] == {'text': 'three', 'second': 'uno',
                        'predicted': pytest.approx(0.980581)}


def test_hard_negatives_are_a_third_text(tmp_path):
  value = task(tmp_path, negatives=True)
  splits = value.read()
  _, batch = next(value.rows(splits.train, splits, BYTES).once())
  assert bytes(batch['negative_inputs'][0, 1:4].astype(np.uint8)) == b'dos'


@pytest.mark.slow
def test_a_run_is_trained_tested_and_read_back(tmp_path):
  value = task(tmp_path, objective=similarity.InBatch(dims=(4, 8), both=True))
  found = finetuning.finetune(experiment.Finetune(
      task=value, tokenizer=symbols.Bytes(),
      model=decoder.DecoderConfig(context=8, width=8, num_layers=1),
      training=options.Training(steps=2, log_every=1)), str(tmp_path / 'run'))
  assert found['model'].examples == 3
  assert set(found) == {'model', 'BM25'}
  answer, = lmjax.load(tmp_path / 'run').predict([('one', 'uno')])
  first, = (json.loads(line) for line in (
      tmp_path / 'run/predictions.jsonl').read_text().splitlines()[:1])
  assert answer == {'index': 0} | first


def test_the_baseline_compares_words(tmp_path):
  value = task(tmp_path)
  splits = value.read()
  found = value.baselines(splits, None)['BM25']
  assert found.metrics['recall@1'].value == 0.0  # No word is shared.
