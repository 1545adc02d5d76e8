r"""SST-2: the sentiment of film reviews, from all-MiniLM-L6-v2.

  python experiments/finetune.py --workdir=runs/sst2_minilm \
      --config=sst2_minilm --config.init=runs/minilm

Trains all of the model on GLUE's 67,349 phrases, stops early on the 1,821
sentences of SST's test split and tests on the 872 sentences of GLUE's dev split.
"""
import dataclasses

from lmjax import experiment
from lmjax.models.heads import pooled
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import label_first
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def get_source():
  names = ('0=negative', '1=positive')
  sentences = label_first.LabelFirst(
      paths=('sst2_glue/test.label_first.txt',), rename=names)
  return labelled.Labelled(
      train=delimited.Delimited(
          paths=('sst2_glue/train_*.tsv',), text=('sentence',),
          delimiter='\t', quoted=False, rename=names),
      valid=sentences, test=dataclasses.replace(
          sentences, paths=('sst2_glue/dev.label_first.txt',)))


def get_config():
  return experiment.Finetune(
      task=classification.Classification(
          source=get_source(),
          features=rows.Features(lengths=(8, 16, 32, 64)),
          head=pooled.PooledConfig(pooling='mean', dropout=0.1)),
      dropout=0.1,
      optimizer=adamw.AdamW(
          learning_rate=1e-4, b2=0.999, weight_decay=0.01,
          schedule=schedules.Linear(warmup=100)),
      training=options.Training(
          steps=2100, log_every=100, eval_every=525,
          stop=stopping.EarlyStopping(
              metric='valid/accuracy', higher_is_better=True)))
