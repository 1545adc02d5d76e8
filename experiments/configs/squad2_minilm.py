r"""SQuAD 2.0: the part of a Wikipedia text that answers a question, or none.

  python experiments/finetune.py --workdir=runs/squad2 --config=squad2_minilm \
      --config.init=runs/minilm

runs/minilm has the imported weights of all-MiniLM-L6-v2. Half of the official
dev set, 16 articles, is divided by article: 12 with 4,472 questions train for
three epochs, one with 444 stops early and sets the threshold of no answer, and
three with 1,162 test, of which 583 have no answer. Test F1 of always giving no
answer: 50.2; of word overlap: 50.5.
"""
from lmjax import experiment
from lmjax.tasks.readers.questions import articles
from lmjax.tasks.readers.questions import squad
from lmjax.tasks import rows
from lmjax.tasks import spans
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def get_config():
  return experiment.Finetune(
      task=spans.Spans(
          source=articles.Articles(
              train=squad.Squad(paths=('squad2_half_dev/dev-v2.0.json',)),
              test_share=0.2),
          features=rows.Features(lengths=(128, 192, 256, 512), batch_size=16)),
      optimizer=adamw.AdamW(
          learning_rate=2e-4, schedule=schedules.Linear(warmup=85)),
      training=options.Training(
          steps=850, log_every=50, eval_every=170,
          stop=stopping.EarlyStopping(
              metric='valid/best_f1', higher_is_better=True)))
