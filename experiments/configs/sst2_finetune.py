r"""SST-2: the sentiment of film reviews, trained on GLUE's 67,349 phrases.

  python experiments/finetune.py --workdir=runs/sst2 --config=sst2_finetune \
      --config.init=runs/sst2_lm

Trains on the phrases, stops early on the 1,821 sentences of SST's test split,
and tests on the 872 sentences of GLUE's dev split. The answers are those of the
Transformer stacked with the linear baseline. Without --config.init the
Transformer starts from scratch. Accuracy with seeds 0, 1, 2 (the standard error
of each is 1.2 to 1.3), and processor time on one core of an Intel Xeon:

  from scratch, 210 s                   84.2% (84.1, 84.5, 84.1)
    the Transformer alone               81.7% (81.5, 81.4, 82.1)
  after 317 s of pretraining, 250 s     83.8% (83.6, 83.7, 84.2)
    the Transformer alone               82.5% (82.5, 82.9, 82.1)
  linear baseline, naive Bayes          81.9%, 82.0%

The phrases of pretraining are those of the task, so it teaches little.
"""
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.models import decoder
from lmjax.models.heads import pooled
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import label_first
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def get_config():
  names = ('0=negative', '1=positive')
  return experiment.Finetune(
      task=classification.Classification(
          source=labelled.Labelled(
              train=delimited.Delimited(
                  paths=('sst2_glue/train_*.tsv',), text=('sentence',),
                  delimiter='\t', quoted=False, rename=names),
              valid=label_first.LabelFirst(
                  paths=('sst2_glue/test.label_first.txt',), rename=names),
              test=label_first.LabelFirst(
                  paths=('sst2_glue/dev.label_first.txt',), rename=names)),
          features=rows.Features(
              lengths=(8, 16, 32, 64), batch_size=64, prefix=' ',
              token_dropout=0.1),
          head=pooled.PooledConfig(pooling='max', dropout=0.5), stack=True),
      tokenizer=subwords.SentencePiece(vocab_size=8000),
      model=decoder.DecoderConfig(
          context=64, width=128, num_layers=2, positions=positions.Alibi(),
          block=block.PreNorm(
              mixer=attention.AttentionConfig(num_heads=4),
              mlp=layers.MLPConfig(hidden=512))),
      dropout=0.2,
      optimizer=adamw.AdamW(
          learning_rate=1e-3, schedule=schedules.Linear(warmup=100)),
      training=options.Training(
          steps=2100, ema_decay=0.995, log_every=100, eval_every=525,
          stop=stopping.EarlyStopping(
              metric='valid/accuracy', higher_is_better=True)))
