"""Each room has one table of what it offers, and the flags read that table."""
import typing

import pytest

from lmjax import experiment
from lmjax import models
from lmjax import objectives
from lmjax.data import corruption
from lmjax.data import pipeline
from lmjax.data import synthetic
from lmjax.data import text
from lmjax.data import tokenizers
from lmjax.interop import taught
from lmjax.models import counted
from lmjax import tasks
from lmjax.tasks import together
from lmjax.training import optimizers

FIELDS = [  # A table, and the fields that offer what is in it.
    (corruption.CORRUPTIONS, [(pipeline.DataConfig, 'corruption')]),
    (text.SOURCES, [(pipeline.DataConfig, 'source'),
                    (experiment.Evaluate, 'data')]),
    (tokenizers.TOKENIZERS, [(pipeline.DataConfig, 'tokenizer'),
                             (experiment.Finetune, 'tokenizer')]),
    (models.MODELS, [(experiment.Pretrain, 'model'),
                     (experiment.Finetune, 'model')]),
    (counted.COUNTED, [(experiment.Count, 'model')]),
    (tasks.TASKS | {'Together': together.Together},
     [(experiment.Finetune, 'task')]),
    (optimizers.OPTIMIZERS, [(experiment.Pretrain, 'optimizer'),
                             (experiment.Finetune, 'optimizer')]),
    (objectives.OBJECTIVES | {'Taught': taught.Taught},
     [(experiment.Pretrain, 'objective')]),
]


@pytest.mark.parametrize('table, fields', FIELDS)
def test_flags_offer_what_is_in_the_table_by_the_same_names(table, fields):
  assert table == {kind.__name__: kind for kind in table.values()}
  for config, field in fields:
    offered = set(typing.get_args(typing.get_type_hints(config)[field]))
    assert offered - {type(None)} == set(table.values())


def test_a_table_is_in_the_order_of_its_names():
  for table, _ in FIELDS[:-1]:
    names = [name for name in table  # Neither comes from a table of its own.
             if name not in (*synthetic.LANGUAGES, 'Together')]
    assert names == sorted(names)


def test_tasks_of_every_other_kind_are_trained_together():
  kinds, _ = typing.get_args(
      typing.get_type_hints(together.Together)['tasks'])
  assert set(typing.get_args(kinds)) == set(tasks.TASKS.values())


def test_every_language_is_a_source():
  assert synthetic.LANGUAGES.items() <= text.SOURCES.items()
