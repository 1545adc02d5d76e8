r"""AESLC: the subject lines of mails.

  python experiments/finetune.py --workdir=runs/aeslc --config=aeslc

Trains a small Transformer from scratch on 14,436 mails, keeps the best of its
checkpoints by ROUGE-L on 256 of 1,960 others, and tests on 1,906. The subject
that was written is the only reference, as in published results; three more by
annotators are in the files of these two splits: references=ann0,ann1,ann2.
Mails are cut at 128 subwords. ROUGE-L without a model: 13.6 for the first 16
words of the mail, and 17.7 for the subject of the nearest mail of training.
Published: ROUGE-L 34.1 for PEGASUS-base, which is pretrained (Zhang et al.,
arXiv:1912.08777).
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
  read = lambda split: field_pairs.FieldPairs(
      paths=(f'aeslc/{split}.jsonl.gz',), source='body', target='subject')
  return experiment.Finetune(
      task=seq2seq.Seq2Seq(
          source=paired_texts.PairedTexts(
              train=read('train'), valid=read('dev'), test=read('test')),
          layout=sides.Apart(),
          features=pair_rows.PairFeatures(
              lengths=(32, 64, 128), target_lengths=(24, 24, 24),
              batch_size=64),
          metrics=seq2seq.Metrics(scores=generated.Scores(
              names=('rouge', 'chrf', 'exact'), rouge='rouge_score'))),
      tokenizer=subwords.SentencePiece(vocab_size=8000),
      model=encoder_decoders.pre_norm(256, 3, 4, 512, context=128),
      dropout=0.3,
      optimizer=adamw.AdamW(
          learning_rate=1.5e-3, b2=0.98, weight_decay=0.0,
          schedule=schedules.Linear(warmup=400)),
      training=options.Training(
          steps=3000, log_every=100, eval_every=500, ema_decay=0.998,
          stop=stopping.EarlyStopping(
              metric='valid/rougeL', higher_is_better=True)))
