r"""WNUT-17: entities in posts and comments, few of which are also in training.

  python experiments/finetune.py --workdir=runs/wnut17 --config=wnut17 \
      --config.init=runs/wnut17_lm

Trains on 3,394 sentences with entities of six types, stops early on 1,009 and
tests on 1,287; sentences are cut at 128 tokens (2% of the test's words). Takes
134 s of processor time on an AMD EPYC, after wnut17_pretrain. Entity F1: 12.6
(standard error 1.1), precision 19.7, recall 9.3; F1 13.4 with
--config.task.decode=valid. From scratch, without --config.init, in 107 s: 7.1
(1.0). The most frequent tag of each word: 5.9 (0.9). Published: 41.9, the best
of the shared task (Derczynski et al., 2017), and about 45 to 48 for BERT. Those
were pretrained on far more text: new names take knowledge that 1 M parameters
do not get from 2 MB of news.
"""
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.models.heads import token
from lmjax.models.presets import decoders
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
              lengths=(32, 64, 128), prefix=' '),
          head=token.TokenConfig(dropout=0.2), overlap=None),
      tokenizer=subwords.SentencePiece(vocab_size=4000),
      model=decoders.llama(
          128, 2, 4, 4, 384, vocab_size=None, context=128),
      dropout=0.1,
      optimizer=adamw.AdamW(
          learning_rate=2e-3, schedule=schedules.Linear(warmup=50)),
      training=options.Training(
          steps=800, log_every=100, eval_every=100, ema_decay=0.98,
          stop=stopping.EarlyStopping(
              metric='valid/f1', patience=5, higher_is_better=True)))
