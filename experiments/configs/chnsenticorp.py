r"""ChnSentiCorp: the sentiment of Chinese reviews, from scratch.

  python experiments/finetune.py --workdir=runs/chnsenticorp \
      --config=chnsenticorp

TextCNN on subwords, stacked with the linear baseline. Trains on the 8,344
reviews of train.tsv that are not in dev.tsv, stops early on a tenth more of them
and tests on the 1,200 of dev.tsv. Takes 84 to 113 s on one core of an AMD EPYC.
Accuracy: 88.6% (88.1, 89.0, 88.6 with seeds 0, 1, 2; the standard error of each
is 0.9); TextCNN alone 86.6% (87.2, 87.2, 85.3), the linear baseline alone 88.2%,
naive Bayes 79.2%.
"""
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.models.heads import pooled
from lmjax.models import text_cnn
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def get_config():
  read = lambda split: delimited.Delimited(
      paths=(f'chnsenticorp/{split}.tsv',), text=('0',), label='1',
      header=False, quoted=False)
  return experiment.Finetune(
      task=classification.Classification(
          source=labelled.Labelled(train=read('train'), test=read('dev')),
          features=rows.Features(lengths=(32, 64, 128), token_dropout=0.2),
          head=pooled.PooledConfig(pooling='max', dropout=0.5), stack=True),
      tokenizer=subwords.SentencePiece(vocab_size=8000),
      model=text_cnn.TextCNNConfig(sizes=(1, 2, 3), maps=128),
      optimizer=adamw.AdamW(
          learning_rate=2e-3, weight_decay=0.01,
          schedule=schedules.Linear(warmup=50)),
      training=options.Training(
          steps=1200, log_every=150, eval_every=150,
          stop=stopping.EarlyStopping(
              metric='valid/accuracy', higher_is_better=True)))
