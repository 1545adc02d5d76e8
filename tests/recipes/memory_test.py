"""Too little memory is said before the first step, with the flags that help."""
import dataclasses

import jax
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.presets import decoders
from lmjax.recipes import finetuning
from lmjax.recipes import memory
from lmjax.recipes import prepared
from lmjax.recipes import pretraining
from lmjax.run import launch
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.training import loop
from lmjax.training import options

CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=('so much depends upon ',) * 40),
        split=None, tokenizer=symbols.Bytes(), batch_size=4),
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=16),
    training=options.Training(steps=1, microbatches=2),
    samples=samples.Samples(prompts=()))
TUNED = experiment.Finetune(
    task=classification.Classification(
        source=labelled.Labelled(
            *[in_memory.InMemory((('good', '1'), ('bad', '0')))] * 3,
            drop_shared=False),
        features=rows.Features(lengths=(8,), batch_size=2)),
    tokenizer=symbols.Bytes(), model=CONFIG.model,
    training=options.Training(steps=1))
NEEDED = {'parameters': 2**30, 'gradients': 2**30, 'optimizer': 2**31,
          'activations': 4 * 2**30}
HELP = (r'--config.data.batch_size \(4 now; lower\)',
        r'--config.training.microbatches \(2 now; raise\)',
        r'--config.model.remat \(none now; set to full\)',
        r'--config.objective.chunk \(none now; set to a number of tokens\)')


def out_of_memory(*args, **kwargs):
  raise jax.errors.JaxRuntimeError(
      'RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\n at xla')


def test_the_state_is_exact_and_activations_are_of_a_microbatch(tmp_path):
  parts = prepared.prepare(CONFIG, str(tmp_path))
  plan = lambda config: memory.plan(
      config, parts.objective, parts.optimizer, parts.state_shapes,
      parts.batches(0)).needed
  found = plan(CONFIG)
  size = 4 * trees.count(parts.shapes)
  assert found['parameters'] == found['gradients'] == size
  assert 2 * size <= found['optimizer'] <= 2 * size + 16  # And its counters.
  whole = plan(dataclasses.replace(CONFIG, training=options.Training()))
  assert 1.5 < whole['activations'] / found['activations'] < 2.1


def test_what_fits_is_not_mentioned(capsys):
  for there in 8 * 2**30, None:
    memory.Plan(NEEDED, there, CONFIG).check()
  assert capsys.readouterr() == ('', '')


def test_what_may_not_fit_is_warned_of(capsys):
  memory.Plan(NEEDED, 6 * 2**30, CONFIG).check()
  said = capsys.readouterr().err
  assert 'may not fit' in said and 'about 8 GiB' in said
  assert 'activations 4' in said and 'there are 6 GiB' in said


@pytest.mark.parametrize('needed, there', [
    (NEEDED, 5 * 2**30),  # Much more than there is.
    (NEEDED | {'gradients': 0, 'activations': 0}, 2**31)])  # Exactly known.
@pytest.mark.parametrize('words', [*HELP, '--nocheck_memory'])
def test_what_clearly_does_not_fit_is_refused_with_the_flags(
    needed, there, words):
  with pytest.raises(errors.InputError, match=words):
    memory.Plan(needed, there, CONFIG).check()


@pytest.mark.parametrize('words', [
    *HELP, 'allocating 123 bytes', 'about 8 GiB'])
def test_running_out_is_one_sentence(words):
  with pytest.raises(errors.RunError, match=words) as raised:
    with memory.Plan(NEEDED, 2**33, CONFIG).explained():
      out_of_memory()
  assert '\n' not in str(raised.value)


def test_other_errors_are_not_explained():
  plan = memory.Plan(NEEDED, 2**33, CONFIG)
  with pytest.raises(errors.RunError, match='Out of memory. By the estimate'):
    with plan.explained():
      raise MemoryError
  with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'):
    with plan.explained():
      raise jax.errors.JaxRuntimeError('INTERNAL: a bug')


def test_the_model_of_another_run_has_no_flags():
  tuned = dataclasses.replace(TUNED, init='runs/demo')
  advice = memory.Plan(NEEDED, None, tuned).advice()
  assert 'task.features.batch_size (2 now' in advice
  assert 'remat' not in advice
  assert 'remat' in memory.Plan(NEEDED, None, TUNED).advice()


@pytest.mark.slow
@pytest.mark.parametrize('train, config', [
    (pretraining.pretrain, CONFIG), (finetuning.finetune, TUNED)])
def test_a_run_is_refused_before_its_first_step(
    tmp_path, monkeypatch, train, config):
  monkeypatch.setattr(loop, 'fit', out_of_memory)
  monkeypatch.setattr(memory, 'available', lambda devices: 1000)
  with pytest.raises(errors.InputError, match='does not fit into memory'):
    train(config, str(tmp_path))
  assert not (tmp_path / 'config.json').exists()
  with pytest.raises(errors.RunError, match='Out of memory .*batch_size'):
    train(config, str(tmp_path), launch.Launch(check_memory=False))


def test_a_cpu_has_the_memory_that_is_available_or_that_its_group_leaves(
    tmp_path):
  (tmp_path / 'meminfo').write_text(
      'MemTotal: 9000 kB\nMemAvailable: 4000 kB\nSwapFree: 500 kB\n')
  assert memory._of_machine(tmp_path / 'meminfo') == 4500 * 1024
  assert memory._of_machine(tmp_path / 'nothing') is None
  assert memory._of_group(tmp_path) is None
  (tmp_path / 'memory.max').write_text('max\n')
  assert memory._of_group(tmp_path) is None
  (tmp_path / 'memory.max').write_text('1000\n')
  (tmp_path / 'memory.current').write_text('700\n')
  (tmp_path / 'memory.stat').write_text('anon 400\ninactive_file 250\n')
  assert memory._of_group(tmp_path) == 550
  older = tmp_path / 'older/memory'
  older.mkdir(parents=True)
  (older / 'memory.limit_in_bytes').write_text('1000\n')
  (older / 'memory.usage_in_bytes').write_text('700\n')
  (older / 'memory.stat').write_text('total_inactive_file 100\n')
  assert memory._of_group(tmp_path / 'older') == 400


def test_devices_of_one_cpu_share_its_memory(monkeypatch):
  monkeypatch.setattr(memory, '_of_machine', lambda: 8000)
  monkeypatch.setattr(memory, '_of_group', lambda: None)
  assert memory.available(jax.devices()[:1]) == 8000
  assert memory.available(jax.devices()[:4]) == 2000
