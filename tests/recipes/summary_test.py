"""Lines about a run name its model, its data and its devices."""
import numpy as np

from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.models.presets import decoders
from lmjax.recipes import summary
from lmjax.tasks import classification
from lmjax.tasks import task


def test_model_lists_kind_size_and_all_parameters():
  config = decoders.llama(16, 2, 2, 2, 24, vocab_size=1000, context=2048)
  found = summary.of_model(config, {'a': np.zeros((30, 50))})
  assert found == {
      'model': 'DecoderConfig: 2 layers, width 16, context 2,048, vocabulary '
               '1,000',
      'parameters': '1,500'}


def test_data_lists_source_splits_and_hashes(tmp_path):
  data = pipeline.DataConfig(
      source=sources.InMemory(texts=('one', 'two', 'three', 'four')),
      split=splits.HashSplit(valid=0.5, test=0),
      tokenizer=symbols.Bytes()).build(tmp_path)
  found = summary.of_data(data)
  assert found['text'] == 'InMemory(4 texts)'
  assert f'{data.train.num_tokens} tokens' in found['train split']
  assert data.valid.digest[:12] in found['valid split']
  assert 'test split' not in found
  assert data.tokenizer.digest[:12] in found['tokenizer']
  assert 'note' not in found


def test_a_text_that_could_not_be_split_by_document_is_noted(tmp_path):
  data = pipeline.DataConfig(
      source=sources.InMemory(('one text ' * 9,)),
      tokenizer=symbols.Bytes()).build(tmp_path)
  assert 'cannot be split by document' in summary.of_data(data)['note']


def test_task_lists_its_kind_and_numbers_of_examples():
  example = task.example(['text'], 'here', 'label')
  examples = task.Splits([example] * 3, [example] * 2, [example])
  found = summary.of_task(classification.Classification(), examples)
  assert found['task'] == 'Classification'
  assert found['examples'].startswith('train 3, valid 2, test 1; hash ')


def test_start_lists_devices_and_versions():
  found = summary.of_start({
      'devices': [8, 'TPU v5'], 'cores': 96, 'platform': 'Linux',
      'versions': {'python': '3.11', 'jax': '0.10', 'flax': '0.12'}})
  assert found['device'] == '8 x TPU v5; host: 96 cores, Linux'
  assert found['versions'] == 'python 3.11, jax 0.10, flax 0.12'
