"""Every tracker can be chosen by a flag, and a run needs none."""
from lmjax.core.flags import overrides
from lmjax import experiment
from lmjax.training import trackers


def test_trackers_are_chosen_and_appended_by_flags():
  start = experiment.Pretrain()
  for name, kind in trackers.TRACKERS.items():
    assert name == kind.__name__
    config = overrides.override(start, {'training.trackers.1.kind': name})
    assert [type(each).__name__ for each in config.training.trackers] == [
        'TensorBoard', name]
  assert overrides.override(
      start, {'training.trackers': '[]'}).training.trackers == ()
