"""Pretraining is few calls deep, so that a reader finds the loss."""
import importlib.util
import inspect
import pathlib
import types

import pytest

from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.presets import decoders
from lmjax.objectives import losses
from lmjax.recipes import pretraining
from lmjax.run import launch
from lmjax.testing import power_cut
from lmjax.training import options

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(texts=('so much depends upon ',) * 40),
        split=None, tokenizer=symbols.Bytes(), batch_size=4),
    model=decoders.gpt2(8, 1, 2, vocab_size=None, context=16),
    training=options.Training(steps=1),
    samples=samples.Samples(prompts=()))


@pytest.mark.slow
def test_a_finished_run_is_whole_after_a_power_cut(tmp_path):
  (tmp_path / 'x').mkdir()  # Its names are recorded, not its own name.
  with power_cut.recorded(tmp_path / 'x', draws=0) as recording:
    pretraining.pretrain(CONFIG, str(tmp_path / 'x' / 'runs' / 'run'))
  end, = (cut.files for cut in recording.cuts
          if cut.when == 'at the end' and cut.lost == 'all')
  there = {path.relative_to(tmp_path / 'x').as_posix(): path.read_bytes()
           for path in (tmp_path / 'x').rglob('*') if path.is_file()}
  names = {name for name in there if 'tensorboard' not in name}
  assert {f'runs/run/{name}' for name in (
      'config.json', 'run.json', 'metrics.jsonl', 'report.json', 'report.html',
      'curve.png', 'tokenizer/tokenizer.json', 'checkpoints/1/about/metadata',
  )} <= names
  assert {name: end[name] for name in names} == {
      name: there[name] for name in names}


def script():
  path = ROOT / 'experiments/pretrain.py'
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.slow
def test_the_loss_is_nine_calls_from_main(tmp_path, monkeypatch):
  stacks, cross_entropy = [], losses.cross_entropy

  def watched(*args):
    ours = [frame for frame in inspect.stack(0)[::-1]
            if frame.filename.startswith((f'{ROOT}/lmjax', f'{ROOT}/exp'))]
    stacks.append([(pathlib.Path(frame.filename).relative_to(ROOT).as_posix(),
                    frame.function) for frame in ours])
    return cross_entropy(*args)
  monkeypatch.setattr(losses, 'cross_entropy', watched)

  main = script()
  for name, value in dict(
      WORKDIR=str(tmp_path / 'run'), REPLAY_STEP=None, DRY_RUN=False,
      PROFILE=None).items():
    monkeypatch.setattr(main, f'_{name}', types.SimpleNamespace(value=value),
                        raising=False)
  monkeypatch.setattr(main, '_CONFIG', lambda: CONFIG, raising=False)
  monkeypatch.setattr(main, '_LAUNCH', launch.Launch, raising=False)
  main.main([])

  training, = [stack for stack in stacks
               if ('lmjax/training/step.py', 'train_step') in stack]
  assert [*training, ('lmjax/objectives/losses.py', 'cross_entropy')] == [
      ('experiments/pretrain.py', 'main'),
      ('lmjax/recipes/pretraining.py', 'pretrain'),
      ('lmjax/run/launch.py', 'fit'),
      ('lmjax/training/loop.py', 'fit'),
      ('lmjax/training/step.py', 'train_step'),
      ('lmjax/training/step.py', 'total_loss'),
      ('lmjax/objectives/lm.py', 'causal'),
      ('lmjax/objectives/losses.py', 'token_means'),
      ('lmjax/objectives/losses.py', 'cross_entropy')]
