"""What is left open about scoring is settled by the context of the model."""
from lmjax.evaluation import scoring


def test_stride_defaults_to_half_the_context():
  found = scoring.Scoring(batch_size=4).settled(64)
  assert found == scoring.Scoring(context=64, stride=32, batch_size=4)
  assert scoring.Scoring(context=16).settled(64).stride == 8
  assert scoring.Scoring().settled(1).stride == 1


def test_given_values_are_kept():
  said = scoring.Scoring(context=16, stride=3, carried=True, tokens=5)
  assert said.settled(64) == said
