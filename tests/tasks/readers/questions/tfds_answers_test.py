"""Questions about texts from TFDS."""
from lmjax.data.text import tfds
from lmjax.tasks.readers.questions import tfds_answers
import numpy as np


def test_features_of_squad_become_questions(monkeypatch):
  def rows(self, fields):
    assert (self.name, self.split) == ('squad/v2.0', 'validation')
    answers = {'text': np.array([b'476', '\u00e9'.encode()], object),
               'answer_start': np.array([12, 17], np.int32)}
    none = {'text': np.array([], object), 'answer_start': np.array([], int)}
    for name, given in (('1', answers), ('2', none)):
      row = {'question': 'When?', 'context': 'Rom fell in 476. \u00e9',
             'answers': given, 'title': 'Rome', 'id': name, 'more': 1}
      yield {field: row[field] for field in fields}

  monkeypatch.setattr(tfds.Tfds, 'rows', rows)
  reader = tfds_answers.TfdsAnswers('squad/v2.0', 'validation')
  first, second = reader.examples()
  assert first.answers == (('476', 12), ('\u00e9', 17))
  assert second.answers == () and second.name == '2'
  assert first.title == 'Rome'
  assert first.where == 'squad/v2.0 (validation), row 0'
