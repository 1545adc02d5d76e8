"""A dry run prints the size, cost and first batch of a run."""
import dataclasses
import io
import re
import tempfile

import pytest
import rich.console

from lmjax.core import errors
from lmjax.core import trees
from lmjax.data.corruption import spans
from lmjax.data import packing
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import tfds
from lmjax.data import token_store
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.objectives import seq2seq
from lmjax.planning import preview
from lmjax.run import directory
from lmjax.run import launch
from lmjax.training import options

CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=('ab' * 20, 'c\x1b' * 20)), split=None,
        tokenizer=symbols.Bytes(), packing=packing.Packed(shuffle=False),
        batch_size=2),
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=48),
    samples=samples.Samples(max_new_tokens=8))


def shown(config, path, start=launch.Launch()):
  file = io.StringIO()
  preview.show(config, str(path), start,
               console=rich.console.Console(file=file, width=100))
  return file.getvalue()


@pytest.mark.slow
def test_prints_size_cost_and_the_first_batch(tmp_path):
  data = CONFIG.data.build(tmp_path, length=CONFIG.model.context)
  text = shown(CONFIG, tmp_path)
  sized = dataclasses.replace(CONFIG.model, vocab_size=258)
  assert f'{trees.count(cost.shapes(sized)):,}' in text
  assert 'optimizer' in text and 'MFLOPs per token' in text
  assert '<BOS>' in text and '<EOS>' in text
  first = data.batches()(0)
  assert str(first['inputs'][0, :12].tolist())[1:-1] in text
  assert '\x1b' not in text
  share = first['weights'].mean()
  assert share < 1 and f'{share:.1%} of all targets count' in text
  flops = float(re.search(r'([\d.]+) MFLOPs per token', text)[1])
  whole = float(re.search(r'([\d.]+) GFLOPs', text)[1])
  assert abs(whole - flops * 96 / 1e3) < 0.01  # Two rows of 48.
  epochs = CONFIG.training.steps / data.batches().steps_per_epoch
  assert f'{epochs:,.2f} epochs' in text


@pytest.mark.slow
def test_padding_is_not_shown_and_a_source_is(tmp_path):
  config = dataclasses.replace(
      CONFIG, model=encoder_decoders.PRESETS['tiny_t5'],
      objective=seq2seq.Seq2Seq(), data=dataclasses.replace(
          CONFIG.data, sentinels=8, length=48,
          corruption=spans.SpanCorruption()))
  text = shown(config, tmp_path)
  assert 'encoder_inputs' in text and '<extra_id_' in text
  assert '\0' not in text and '\ufffd' not in text  # What id 0 would be.


@pytest.mark.slow
def test_the_active_parameters_of_a_mixture_are_printed(tmp_path):
  model = decoders.mixtral(
      8, 1, 2, 2, 4, vocab_size=None, context=48, num_experts=4, top_k=2)
  text = shown(dataclasses.replace(CONFIG, model=model), tmp_path)
  whole = trees.count(cost.shapes(model.with_vocab(258)))
  idle = 2 * 3 * 8 * 4  # Two experts of three kernels.
  assert f'{whole:,}' in text
  assert re.search(rf'used for a token\W+{whole - idle:,} ', text)
  assert 'used for a token' not in shown(CONFIG, tmp_path)


def test_memory_is_for_one_microbatch(tmp_path, monkeypatch):
  seen = []
  memory = cost.memory
  monkeypatch.setattr(preview.cost, 'memory', lambda *args: (
      seen.append(len(args[-1]['inputs'])) or memory(*args)))
  shown(dataclasses.replace(CONFIG, training=options.Training(
      microbatches=2)), tmp_path)
  assert seen == [1]


def test_a_counted_model_shows_its_data(tmp_path):
  text = shown(experiment.Count(CONFIG.data), tmp_path)
  assert text.startswith('bytes, 258 ids') and 'train: 2 documents' in text


@pytest.mark.slow
def test_a_mesh_divides_the_memory_of_a_device(tmp_path):
  def mebibytes(text, name):
    line = [line for line in text.splitlines() if f'│ {name} ' in line][-1]
    return float(line.replace('│', ' ').split()[-1])

  wide = dataclasses.replace(
      CONFIG, model=decoders.gpt2(512, 1, 2, vocab_size=None, context=48),
      data=dataclasses.replace(CONFIG.data, batch_size=8))
  shared = dataclasses.replace(wide, training=options.Training(
      parallel='mesh', mesh='fsdp:4,tensor:2'))
  one, text = shown(wide, tmp_path), shown(shared, tmp_path)
  assert 'Mesh: fsdp 4, tensor 2.' in text and 'Mesh:' not in one
  for name in 'optimizer', 'gradients', 'layers':
    assert mebibytes(text, name) == pytest.approx(
        mebibytes(one, name) / 8, rel=0.1), name
  away = dataclasses.replace(wide, training=options.Training(
      offload='optimizer'))
  text = shown(away, tmp_path)
  assert mebibytes(one, 'all') - mebibytes(text, 'all') == pytest.approx(
      mebibytes(text, 'optimizer, on the host'), rel=0.01)


@pytest.mark.parametrize('config', [CONFIG, experiment.Count(CONFIG.data)],
                         ids=lambda config: type(config).__name__)
def test_it_refuses_a_config_whose_end_would_be_refused(tmp_path, config):
  config = dataclasses.replace(config, scoring=scoring.Scoring(stride=5000))
  with pytest.raises(errors.InputError, match='scoring.stride = 5000'):
    shown(config, tmp_path)


BOTH = pytest.mark.parametrize('config', [
    CONFIG, experiment.Count(CONFIG.data)], ids=lambda c: type(c).__name__)


@BOTH
@pytest.mark.parametrize('shared', [False, True])
def test_it_leaves_nothing_behind(tmp_path, monkeypatch, config, shared):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
  (tmp_path / 'temporary').mkdir()
  if shared:
    config = dataclasses.replace(config, data=dataclasses.replace(
        config.data, cache=str(tmp_path / 'cache')))
  shown(config, tmp_path / 'runs/new')
  assert [p.name for p in tmp_path.rglob('*')] == ['temporary']


def test_it_uses_the_tokenized_text_of_the_run(tmp_path, monkeypatch):
  CONFIG.data.build(tmp_path)
  before = sorted(tmp_path.rglob('*'))
  monkeypatch.setattr(token_store, 'build', lambda *unused: 1 / 0)
  shown(CONFIG, tmp_path)
  assert sorted(tmp_path.rglob('*')) == before


@BOTH
def test_it_refuses_the_directory_of_another_run(tmp_path, config):
  directory.open_run(tmp_path, dataclasses.replace(
      config, data=dataclasses.replace(config.data, batch_size=3)))
  with pytest.raises(errors.InputError, match='data.batch_size: 3 -> 2'):
    shown(config, tmp_path)
  shown(config, tmp_path, launch.Launch(override=('data.batch_size',)))


@BOTH
def test_it_refuses_other_data(tmp_path, config):
  directory.open_run(tmp_path, config, {'data.tokenizer: ids': 'f' * 64})
  with pytest.raises(errors.InputError, match='data.tokenizer: ids changed: ff'):
    shown(config, tmp_path)


def test_it_refuses_another_size_and_devices_that_do_not_fit(tmp_path):
  with pytest.raises(errors.InputError, match='--expect_params is 7'):
    shown(CONFIG, tmp_path, launch.Launch(expect_params=7))
  with pytest.raises(errors.InputError, match='16'):
    shown(dataclasses.replace(CONFIG, training=options.Training(
        parallel='mesh', mesh='tensor:16')), tmp_path)


def test_it_downloads_nothing(tmp_path, monkeypatch):
  tensorflow_datasets = pytest.importorskip('tensorflow_datasets')

  class Builder:
    def is_prepared(self):
      return False

  monkeypatch.setattr(
      tensorflow_datasets, 'builder', lambda name, data_dir: Builder())
  config = dataclasses.replace(CONFIG, data=dataclasses.replace(
      CONFIG.data, source=tfds.Tfds('glue/sst2')))
  with pytest.raises(errors.InputError, match=(
      "'glue/sst2' is not prepared in the default data_dir, and --dry_run")):
    shown(config, tmp_path)
