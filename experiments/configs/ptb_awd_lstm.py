r"""The Penn Treebank as words: the AWD-LSTM of Merity et al.

  python experiments/pretrain.py --workdir=runs/ptb_awd --config=ptb_awd_lstm \
      --config.data.source.paths=ptb.train.txt \
      --config.data.split.valid_source.paths=ptb.valid.txt \
      --config.data.split.test_source.paths=ptb.test.txt
  python experiments/evaluate.py --workdir=runs/ptb_awd \
      --config.split=test --config.scoring.carried=True \
      --config.scoring.context=500

The files are Mikolov's: one sentence per line, 10,000 words, others as <unk>.
Published: perplexity 60.0 on the validation text, 57.3 on the test text
(arXiv:1708.02182, table 1); 61.2 and 58.8 from the authors' released run.

All rows have 70 tokens; the authors draw a length near 70 for each batch and
scale the learning rate with it. 500 epochs of 664 steps.
"""
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import words
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models import lstm
from lmjax.nn import recurrent
from lmjax.objectives import truncated
from lmjax.training import averaging
from lmjax.training.optimizers import sgd
from lmjax.training import options

LENGTH, EPOCH = 70, 664


def get_config():
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.TextFiles(paths=('ptb.train.txt',)),
          split=splits.Separate(
              valid_source=sources.TextFiles(paths=('ptb.valid.txt',)),
              test_source=sources.TextFiles(paths=('ptb.test.txt',))),
          tokenizer=words.Words(max_size=10_000),
          packing=continuous.Continuous(streams=20),
          length=LENGTH, batch_size=20),
      model=lstm.RecurrentConfig(
          width=400, num_layers=3, last_hidden=400, tied=True, init_scale=0.1,
          cell=recurrent.LSTMConfig(1150, weight_drop=0.5),
          dropout=lstm.Dropout(
              words=0.1, input=0.4, between=0.25, output=0.4, locked=True)),
      objective=truncated.TruncatedBPTT(activation_reg=2.0, temporal_reg=1.0),
      optimizer=sgd.SGD(
          learning_rate=30.0, momentum=0.0, clip_norm=0.25,
          weight_decay=1.2e-6, decay=(('.*', 1.0),)),
      training=options.Training(
          steps=500 * EPOCH, eval_every=EPOCH, log_every=100,
          average=averaging.NonMonotone(patience=5)),
      scoring=scoring.Scoring(context=500, carried=True),
      samples=samples.Samples(prompts=('the',) * 3, max_new_tokens=60))
