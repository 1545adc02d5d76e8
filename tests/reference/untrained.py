"""A run that was never trained, for tests of what is drawn from runs."""
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.recipes.loaded import trained
from lmjax.testing import hot


def run() -> trained.Trained:
  """Returns a decoder of bytes with large random parameters."""
  tokenizer = symbols.Bytes().build()
  config = experiment.Pretrain(model=decoder.DecoderConfig(
      vocab_size=tokenizer.vocab_size, context=64, width=32, num_layers=1))
  return trained.Trained(
      config, tokenizer, config.model.build(),
      hot.hot_params(cost.shapes(config.model)), 1)
