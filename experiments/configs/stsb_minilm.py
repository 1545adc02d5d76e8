r"""STS-B from all-MiniLM-L6-v2: how alike two sentences are, from 0 to 5.

  python experiments/finetune.py --workdir=runs/stsb --config=stsb_minilm \
      --config.init=runs/minilm

runs/minilm is all-MiniLM-L6-v2, read by experiments/import_weights.py. Each
sentence becomes a vector, and the order of the cosines of pairs learns to be
the order of their scores (CoSENT). Trains all parameters on 5,734 pairs for
four epochs, keeps the best checkpoint on the 1,500 pairs of the dev split and
tests on 1,379. Test correlations, times 100: Spearman 86.6, Pearson 86.0 (seed
0; standard errors 0.8 and 0.7). Without any training, all-MiniLM-L6-v2 has a
Spearman correlation of 82.0. Takes 1,070 s of processor time on one core of an
Intel Xeon.
"""
from lmjax import experiment
from lmjax.models.heads import vectors
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.tasks import similarity
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def _split(name: str) -> delimited.Delimited:
  return delimited.Delimited(
      paths=(f'stsb/stsb-en-{name}.csv',), text=('0',), second=('1',),
      label='2', header=False)


def get_config():
  return experiment.Finetune(
      task=similarity.Similarity(
          source=labelled.Labelled(
              train=_split('train'), valid=_split('dev'), test=_split('test')),
          features=rows.Features(lengths=(16, 24, 32, 64), batch_size=32),
          head=vectors.VectorsConfig()),
      dropout=0.1,
      optimizer=adamw.AdamW(
          learning_rate=5e-5, b2=0.999, weight_decay=0.01,
          schedule=schedules.Linear(warmup=60)),
      training=options.Training(
          steps=720, log_every=90, eval_every=90,
          stop=stopping.EarlyStopping(
              metric='valid/spearman', higher_is_better=True)))
