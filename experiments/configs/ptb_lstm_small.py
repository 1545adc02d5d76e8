r"""The Penn Treebank as words: the small LSTM of Zaremba et al.

  python experiments/pretrain.py --workdir=runs/ptb_small \
      --config=ptb_lstm_small --config.data.source.paths=ptb.train.txt \
      --config.data.split.valid_source.paths=ptb.valid.txt \
      --config.data.split.test_source.paths=ptb.test.txt
  python experiments/evaluate.py --workdir=runs/ptb_small \
      --config.split=test --config.scoring.carried=True \
      --config.scoring.context=500

The files are Mikolov's: one sentence per line, 10,000 words, others as <unk>.
Published: perplexity 121.39 on the validation text, 115.91 on the test text
(TensorFlow's ptb_word_lm); 115 on the test text (the authors' code).

Zaremba et al. (arXiv:1409.2329) sum the loss over the 20 steps of a row, with
learning rate 1 and the gradient's norm clipped to 5. Here the loss is a mean
over tokens, so the same update has learning rate 20 and clips at 5 / 20. 13
epochs of 2,324 steps. 2 cores of an Intel Xeon read 7,200 tokens/s (timed on
another text with the same vocabulary size), which makes 28 minutes in total.
The treebank is licensed, and this config has not been run on it yet.
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
from lmjax.training.optimizers import schedules
from lmjax.training.optimizers import sgd
from lmjax.training import options

LENGTH, EPOCH = 20, 2324


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
          width=200, num_layers=2, init_scale=0.1,
          cell=recurrent.LSTMConfig(200, init_scale=0.1)),
      objective=truncated.TruncatedBPTT(),
      optimizer=sgd.SGD(
          learning_rate=1.0 * LENGTH, momentum=0.0, clip_norm=5.0 / LENGTH,
          schedule=schedules.StepDecay(periods=13, hold=4, factor=0.5)),
      training=options.Training(
          steps=13 * EPOCH, eval_every=EPOCH, log_every=200),
      scoring=scoring.Scoring(context=500, carried=True),
      samples=samples.Samples(prompts=('the',) * 3, max_new_tokens=60))
