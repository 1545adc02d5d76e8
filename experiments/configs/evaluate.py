r"""Scores a run on its held-out text; flags make other evaluations of it.

  python experiments/evaluate.py --workdir=runs/demo
  python experiments/evaluate.py --workdir=runs/demo \
      --config.data.kind=TextFiles --config.data.paths=mine.txt
  python experiments/evaluate.py --workdir=runs/demo \
      --config.choices.paths=piqa.jsonl
"""
from lmjax import experiment


def get_config():
  return experiment.Evaluate()
