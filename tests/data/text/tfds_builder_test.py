"""Local text becomes a prepared TFDS data set that anybody can read."""
import pathlib
import subprocess
import sys

import pytest
import tensorflow_datasets

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.text import tfds as tfds_lib
from lmjax.data.text import tfds_builder
from lmjax.data.tokenizers import symbols

TEXTS = tuple(f'Dokument {i}: größer\n{"x" * i}' for i in range(50))


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory) -> pathlib.Path:
  """A folder of TFDS data with one corpus prepared by our builder."""
  path = tmp_path_factory.mktemp('tfds')
  (path / 'texts.txt').write_text('one line\nanother\n')
  name = tfds_builder.prepare('notes', {
      'train': sources.InMemory(TEXTS),
      'test': sources.TextFiles((str(path / 'texts.txt'),), 'line'),
  }, path)
  assert name == 'text_corpus/notes'
  return path


def test_a_prepared_corpus_is_read_back_in_order(data_dir):
  source = tfds_lib.Tfds('text_corpus/notes', data_dir=str(data_dir))
  assert tuple(source.documents()) == TEXTS
  test = tfds_lib.Tfds('text_corpus/notes', 'test[:1]', data_dir=str(data_dir))
  assert list(test.documents()) == ['one line']


def test_the_stock_reader_sees_the_same_rows(data_dir):
  builder = tensorflow_datasets.builder_from_directory(
      str(data_dir / 'text_corpus/notes/1.0.0'))
  rows = builder.as_data_source(split='train')
  assert [row['text'].decode() for row in rows] == list(TEXTS)


def test_reading_needs_neither_this_module_nor_tensorflow(data_dir):
  code = ('import sys\nfrom lmjax.data.text import tfds\n'
          'source = tfds.Tfds("text_corpus/notes", data_dir=sys.argv[1])\n'
          'print(len(list(source.documents())))\n'
          'assert "lmjax.data.text.tfds_builder" not in sys.modules\n'
          'assert "tensorflow" not in sys.modules')
  run = subprocess.run([sys.executable, '-c', code, str(data_dir)],
                       capture_output=True, text=True, check=True)
  assert run.stdout.split()[-1] == '50'


def test_batches_come_from_it_as_from_any_source(data_dir, tmp_path):
  def batch(source):
    return pipeline.DataConfig(
        source=source, split=splits.HashSplit(), tokenizer=symbols.Bytes(),
        length=16, batch_size=4).build(tmp_path).batches()(3)

  tfds = batch(tfds_lib.Tfds('text_corpus/notes', data_dir=str(data_dir)))
  memory = batch(sources.InMemory(TEXTS))
  assert (tfds['inputs'] == memory['inputs']).all()


def test_a_corpus_is_not_prepared_over_another(data_dir):
  with pytest.raises(errors.InputError, match='already prepared'):
    tfds_builder.prepare('notes', {}, data_dir)


def test_a_source_that_fails_prepares_nothing(data_dir):
  with pytest.raises(errors.InputError, match='holds no text'):
    tfds_builder.prepare('bad', {'train': sources.InMemory(())}, data_dir)
  assert not list(data_dir.rglob('bad/*/dataset_info.json'))
