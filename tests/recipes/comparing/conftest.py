"""Makes directories of finished runs without training."""
import dataclasses
import json

import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.data import facts
from lmjax.evaluation import baselines
from lmjax.evaluation import by_document
from lmjax.evaluation import likelihood
from lmjax.evaluation import report
from lmjax import experiment
from lmjax.run import directory
from lmjax.training.optimizers import adamw

TEXTS = tuple(f'{i} ' * (3 + i) for i in range(8))
PRETRAIN = experiment.Pretrain()


@dataclasses.dataclass(frozen=True)
class Off:
  """Scores each token `nats`, plus up to 0.1 that depends on the token."""
  nats: float

  def __call__(self, batch):
    nll = self.nats + batch['targets'] % 7 / 70
    return nll, np.zeros(nll.shape, bool)


@pytest.fixture
def pretrained(tmp_path):
  """Returns a function that writes the directory of a pretrained run."""
  def write(name, nats=2.0, texts=TEXTS, tokenizer='t', config=PRETRAIN,
            per_byte=1, **kwargs):
    run = directory.RunDir(tmp_path / name)
    run.path.mkdir(parents=True)
    documents = [[1] + (list(text.encode()) * per_byte) for text in texts]
    found = likelihood.evaluate(
        Off(nats), documents, vocab_size=300, bos_id=1,
        tokenizer_hash=tokenizer, texts=facts.Texts.of(texts),
        **dict(context=16, stride=8) | kwargs)
    run.config.write_text(config_lib.dumps(config))
    others = likelihood.evaluate(
        baselines.Uniform(300), documents, vocab_size=300, context=16, stride=8)
    report.save(run.report, [found, others], tokens=1000, seconds=62.0,
                parameters=123456)
    by_document.write(run.held_out, found.by_document)
    run.metrics.write_text(''.join(json.dumps(row) + '\n' for row in (
        {'step': 5, 'loss': 4.0, 'tokens': 500}, {'step': 5, 'valid/loss': 3.0},
        {'step': 9, 'loss': 2.5, 'tokens': 900},
        {'step': 9, 'valid/loss': nats})))
    return run.path
  return write


@pytest.fixture
def tuned(tmp_path):
  """Returns a function that writes the directory of a fine-tuned run."""
  def write(name, answers, **config):
    run = directory.RunDir(tmp_path / name)
    run.path.mkdir()
    run.config.write_text(config_lib.dumps(experiment.Finetune(**config)))
    run.report.write_text(json.dumps({
        'results': {'model': {'accuracy': 0.75, 'accuracy_stderr': 0.1,
                              'labels': ['a', 'b']}},
        'seconds': 4000.0, 'parameters': 77}))
    (run.path / 'predictions.jsonl').write_text(
        ''.join(json.dumps(answer) + '\n' for answer in answers))
    run.metrics.write_text('{"step": 3, "texts": 30}\n'
                           '{"step": 3, "valid/loss": 0.5}\n')
    return run.path
  return write


@pytest.fixture
def slower():
  """A config that differs in two fields, one of them without effect."""
  return dataclasses.replace(
      PRETRAIN, optimizer=adamw.AdamW(learning_rate=1e-5),
      training=dataclasses.replace(PRETRAIN.training, log_every=3))
