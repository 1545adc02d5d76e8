r"""WNUT-17 from all-MiniLM-L6-v2: a CRF finds entities that are new.

  python experiments/finetune.py --workdir=runs/wnut17 --config=wnut17_minilm \
      --config.init=runs/minilm

runs/minilm is all-MiniLM-L6-v2, read by experiments/import_weights.py. Trains
all 22.6 M parameters on 3,394 sentences with entities of six types for five
epochs, keeps the best of 1,009 others and tests on 1,287; sentences of over 128
tokens are read in windows. --config.task.head.kind=TokenConfig
--config.task.head.dropout=0.2 has a softmax for each word instead. Takes 1,020 s
on one core of an AMD EPYC. Entity F1 43.0, precision 55.2, recall 35.2 (seed 0;
the standard error of the F1 is 1.8); each word's most frequent tag 5.9.
Published: 41.9, the best of the shared task (Derczynski et al., 2017), and about
45 to 48 for BERT, which is five times as large.
"""
from lmjax import experiment
from lmjax.models.heads import chain
from lmjax.tasks.readers.words import conll
from lmjax.tasks.readers.words import tagged
from lmjax.tasks import rows
from lmjax.tasks import tagging
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def get_config():
  return experiment.Finetune(
      task=tagging.Tagging(
          source=tagged.Tagged(
              train=conll.Conll(paths=('wnut17/wnut17train.conll',)),
              valid=conll.Conll(paths=('wnut17/emerging.dev.conll',)),
              test=conll.Conll(paths=('wnut17/emerging.test.annotated',))),
          features=rows.Features(
              lengths=(16, 32, 48, 64, 128), batch_size=16, prefix=' '),
          head=chain.CRFConfig(dropout=0.2)),
      dropout=0.1,
      optimizer=adamw.AdamW(
          learning_rate=3e-4, weight_decay=0.01,
          schedule=schedules.Linear(warmup=40)),
      training=options.Training(
          steps=1060, log_every=106, eval_every=212, ema_decay=0.98,
          stop=stopping.EarlyStopping(
              metric='valid/f1', higher_is_better=True)))
