r"""Tatoeba: short sentences, translated from English to Chinese.

  python experiments/finetune.py --workdir=runs/tatoeba --config=tatoeba_en_zh

Trains a small Transformer from scratch on 18,980 pairs, keeps the best of its
checkpoints by BLEU on 256 of 1,056 others, and tests on 1,080. A hash of the
English sentence chooses the split, so its translations stay together.
Traditional and simplified characters are mixed, and the model cannot know which
are wanted. BLEU is over sacrebleu's Chinese tokens, ROUGE over characters.
"""
from lmjax.data.tokenizers import subwords
from lmjax.evaluation.downstream.written import generated
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
  return experiment.Finetune(
      task=seq2seq.Seq2Seq(
          source=paired_texts.PairedTexts(
              train=field_pairs.ColumnPairs(
                  paths=('tatoeba_en_zh/cmn.txt',), source='0', target='1',
                  delimiter='\t', header=False, quoted=False),
              held_out=0.05),
          layout=sides.Apart(),
          features=pair_rows.PairFeatures(
              lengths=(10, 16, 48), target_lengths=(10, 16, 48),
              batch_size=64, target_prefix=''),
          metrics=seq2seq.Metrics(scores=generated.Scores(tokenize='zh'))),
      tokenizer=subwords.SentencePiece(vocab_size=8000),
      model=encoder_decoders.pre_norm(256, 3, 4, 512, context=64),
      dropout=0.3,
      optimizer=adamw.AdamW(
          learning_rate=1.5e-3, b2=0.98, weight_decay=0.0,
          schedule=schedules.Linear(warmup=400)),
      training=options.Training(
          steps=4000, log_every=100, eval_every=1000, ema_decay=0.998,
          stop=stopping.EarlyStopping(
              metric='valid/bleu', higher_is_better=True)))
