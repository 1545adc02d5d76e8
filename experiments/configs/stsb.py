r"""STS-B: how alike two sentences are, from 0 to 5.

  python experiments/finetune.py --workdir=runs/stsb --config=stsb

Trains from scratch on 5,734 pairs (15 more are also in other splits, and are
dropped), stops early on the 1,500 pairs of the dev split and tests on 1,379.
Answers come from a stack of the model and a ridge regression on shared n-grams.
Takes 80 to 97 s on one core of an AMD EPYC. Test correlations, times 100:
Pearson 73.1 (72.9, 72.6, 73.7 with seeds 0, 1, 2; the standard error of each is
1.2), Spearman 71.9 (71.8, 71.5, 72.5; of each 1.4). The model alone has 61.7 and
60.9, and the ridge regression alone 67.6 and 66.3. Published: about 61 for
averaged GloVe vectors, about 85 for a fine-tuned BERT-base.

The two sentences are read apart: a model that reads them as one row would have
to learn from these few pairs which words to compare.
"""
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.models import decoder
from lmjax.models.heads import paired
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import regression
from lmjax.tasks import rows
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
      task=regression.Regression(
          source=labelled.Labelled(
              train=_split('train'), valid=_split('dev'), test=_split('test')),
          features=rows.Features(
              lengths=(32, 64), batch_size=32, prefix=' '),
          head=paired.PairedConfig(causal=False, dropout=0.4), stack=True),
      tokenizer=subwords.SentencePiece(vocab_size=4000),
      model=decoder.DecoderConfig(
          context=64, width=192, num_layers=1, positions=positions.Alibi(),
          embed=parts.Embed(norm=layers.LayerNorm()),
          block=block.PreNorm(
              mixer=attention.AttentionConfig(num_heads=4),
              mlp=layers.MLPConfig(hidden=128))),
      optimizer=adamw.AdamW(
          learning_rate=2e-3, weight_decay=1.0,
          schedule=schedules.Linear(warmup=100)),
      training=options.Training(
          steps=900, ema_decay=0.99, eval_every=90,
          stop=stopping.EarlyStopping(
              metric='valid/pearson', higher_is_better=True)))
