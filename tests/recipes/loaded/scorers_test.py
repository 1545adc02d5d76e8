"""How a pretrained model scores held-out text, by what it was trained for."""
import dataclasses

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import carried
from lmjax.evaluation import infilling
from lmjax.evaluation import scoring
from lmjax.evaluation import windows
from lmjax import experiment
from lmjax.models import decoder
from lmjax.objectives.encoders import mlm
from lmjax.objectives.encoders import replaced
from lmjax.objectives import seq2seq
from lmjax.parallel import mesh
from lmjax.parallel import strategy as strategy_lib
from lmjax.recipes.loaded import scorers
from lmjax.recipes.loaded import trained as trained_lib

BYTES = symbols.Bytes().build()

SPANS = experiment.Pretrain(
    objective=seq2seq.Seq2Seq(),
    data=pipeline.DataConfig(corruption=spans.SpanCorruption()))


@pytest.mark.parametrize('config, changes, kind, context, stride', [
    (experiment.Pretrain(), {}, windows.Layout, 32, 16),
    (experiment.Pretrain(objective=mlm.MaskedLM()), {}, windows.Layout, 31, 15),
    (experiment.Pretrain(), {'carried': True}, carried.Windows, None, None),
    (SPANS, {'stride': 3}, infilling.Passes, 32, None)])
def test_text_is_laid_out_for_the_kind_of_likelihood(
    config, changes, kind, context, stride):
  tokenizer = specials.Extended(symbols.Bytes().build(), (), 9)
  settled = scoring.Scoring(**changes).settled(
      scorers.window(config, BYTES, 32))
  lay = scorers.layout(config, tokenizer, settled)
  assert (type(lay), lay.context, lay.stride) == (kind, context, stride)
  batch = next(iter(lay([np.arange(40)])))
  assert {'inputs', 'targets', 'weights', 'seen', 'places'} <= batch.keys()


def test_a_window_beyond_the_rows_of_training_is_refused():
  config = dataclasses.replace(SPANS, model=decoder.DecoderConfig(context=32))
  for context in 33, 500:
    with pytest.raises(errors.InputError, match=(
        f'scoring.context = {context} should be at most 32')):
      scorers.layout(config, BYTES, scoring.Scoring(context, 1))


def test_the_window_of_a_joined_row_leaves_room_for_sentinels():
  joined = experiment.Pretrain(data=pipeline.DataConfig(
      corruption=spans.SpanCorruption(joined=True)), objective=SPANS.objective)
  assert scorers.window(joined, BYTES, 32) < scorers.window(
      SPANS, BYTES, 32) == 32


def test_an_objective_without_likelihood_scores_no_text():
  run = trained_lib.Trained(experiment.Pretrain(
      objective=replaced.ReplacedTokens()), None, None, None, 0)
  assert scorers.scorer(run) is None


@pytest.mark.slow
def test_a_mesh_scores_with_parameters_divided_as_in_training():
  model = decoder.DecoderConfig(
      vocab_size=11, context=8, width=16, num_layers=1).build()
  params = decoder.initial_params(model, 0)
  ids = np.arange(48).reshape(6, 8) % 11
  batch = {'inputs': ids, 'targets': ids[:, ::-1], 'weights': np.ones((6, 8)),
           'positions': np.tile(np.arange(8), (6, 1)),
           'segments': np.ones((6, 8), int)}
  strategy = mesh.Mesh(sizes='fsdp:2,sequence:2,tensor:2')
  run = trained_lib.Trained(experiment.Pretrain(), None, model, params, 0)
  want = scorers.scorer(run)(params)(batch)
  got = scorers.scorer(run, strategy)(params)(batch)
  for a, b in zip(got, want):
    np.testing.assert_allclose(a, b, rtol=1e-5)
  assert scorers.scorer(run, strategy_lib.Jit())(params)(
      batch)[0].shape == (6, 8)
