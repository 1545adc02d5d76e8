r"""WNUT-17 from all-MiniLM-L6-v2: entities that are new, tagged by a CRF.
"""
from lmjax import experiment
from lmjax.models.heads import chain
from lmjax.tasks.readers import conll
from lmjax.tasks.readers import tagged
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
          steps=424, log_every=53, eval_every=106, ema_decay=0.98,
          stop=stopping.EarlyStopping(
              metric='valid/f1', higher_is_better=True)))
