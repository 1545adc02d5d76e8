"""Suggestions for unknown paths come from the whole tree."""
import dataclasses

import pytest

from lmjax.core.flags import nearest


@dataclasses.dataclass(frozen=True)
class Adam:
  learning_rate: float = 1e-3
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Lion:
  learning_rate: float = 1e-4
  sign: bool = True
  inner: 'Adam | Lion | None' = None


@dataclasses.dataclass(frozen=True)
class Text:
  paths: tuple[str, ...] = ()
  split_on: str = 'line'
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Rows:
  paths: tuple[str, ...] = ()
  field: str = 'text'
  batch_size: int = 3


@dataclasses.dataclass(frozen=True)
class Run:
  optimizer: Adam | Lion = Adam()
  source: Text | Rows | None = Text()
  sources: tuple[Text | Rows, ...] = (Rows(),)


@pytest.mark.parametrize('path, told', [
    ('lr', ' Did you mean --config.optimizer.learning_rate?'),
    ('optimizer.lr', ' Did you mean --config.optimizer.learning_rate?'),
    ('optimzer.learning_rate',
     ' Did you mean --config.optimizer.learning_rate?'),
    ('paths', ' Did you mean --config.source.paths or '
     '--config.sources.0.paths?'),
    ('seed', ' Did you mean --config.optimizer.seed or --config.source.seed?'),
    ('source.pahts', ' Did you mean --config.source.paths?'),
    ('sources.0.feild', ' Did you mean --config.sources.0.field?'),
    ('optimizer.sign', ' It is a field of Lion; choose it too: '
     '--config.optimizer.kind=Lion.'),
    ('optimizer.inner.seed', ' It is a field of Adam; choose it too: '
     '--config.optimizer.kind=Lion --config.optimizer.inner.kind=Adam.'),
    ('sign', ' Did you mean --config.optimizer.sign with '
     '--config.optimizer.kind=Lion?'),
    ('source.batchsize', ' Did you mean --config.sources.0.batch_size?'),
    ('optimizer.knd', ' Did you mean --config.optimizer.kind?'),
    ('zzz', ''),
])
def test_the_nearest_field_is_suggested(path, told):
  assert nearest.suggestion(tuple(path.split('.')), Run(), Run) == told


def test_every_field_is_found_once_for_each_way_to_it():
  found = {('.'.join(p.path), p.flags()) for p in nearest.places(Run(), Run)}
  lion = '--config.optimizer.kind=Lion'
  assert ('optimizer.learning_rate', '') in found
  assert ('optimizer.learning_rate', lion) in found
  assert ('optimizer.inner.kind', lion) in found
  assert ('source.kind', '') in found and ('kind', '') not in found
  assert ('sources.0.field', '') in found
