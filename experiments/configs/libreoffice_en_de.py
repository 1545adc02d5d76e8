r"""LibreOffice help: paragraphs, translated from English to German.

  python experiments/finetune.py --workdir=runs/libreoffice \
      --config=libreoffice_en_de

Trains a small Transformer from scratch on 30,829 pairs (66 more have a source
that is also in another split, and are dropped), with subwords that both
languages share, keeps the best of its checkpoints by BLEU on 256 of 798 others,
and tests on 1,426. Splits are by page; sources and targets are cut at 96
subwords. A copy of the source has a BLEU of 4.7 and a chrF of 21.0, and the
target of the nearest source of training 14.3 and 38.0.
"""
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.models.presets import encoder_decoders
from lmjax.tasks import seq2seq
from lmjax.tasks.written import field_pairs
from lmjax.tasks.written import pair_rows
from lmjax.tasks.written import paired_texts
from lmjax.tasks.written import sides
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options
from lmjax.training import stopping


def get_config():
  read = lambda split: field_pairs.ColumnPairs(
      paths=(f'libreoffice_help/{split}.en-de.tsv.gz',), source='0', target='1',
      header=False, quoted=False)
  return experiment.Finetune(
      task=seq2seq.Seq2Seq(
          source=paired_texts.PairedTexts(
              train=read('train'), valid=read('dev'), test=read('test')),
          layout=sides.Apart(),
          features=pair_rows.PairFeatures(
              lengths=(16, 32, 48, 96), target_lengths=(16, 32, 48, 96),
              batch_size=64)),
      tokenizer=subwords.SentencePiece(vocab_size=8000),
      model=encoder_decoders.pre_norm(256, 3, 4, 512, context=96),
      dropout=0.2,
      optimizer=adamw.AdamW(
          learning_rate=1.5e-3, b2=0.98, weight_decay=0.0,
          schedule=schedules.Linear(warmup=400)),
      training=options.Training(
          steps=4000, log_every=100, eval_every=1000, ema_decay=0.998,
          stop=stopping.EarlyStopping(
              metric='valid/bleu', higher_is_better=True)))
