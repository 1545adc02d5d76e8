"""Supervision of a run, by default and with interrupts and events."""
import types

from lmjax.training import supervision


def test_by_default_nothing_happens():
  plain = supervision.Supervision()
  assert plain.requested() is None
  plain.bad_step(3, {'loss': 1.0})
  with plain.watching('anything'):
    pass


def test_events_name_the_documents_of_the_batch():
  rows, asked = [], []

  def documents(step):
    asked.append(step)
    return [[7, 8]]

  events = types.SimpleNamespace(
      write=lambda step, row: rows.append((step, row)))
  known = {'reason': 'its loss is nan'}
  supervision.Supervision(events=events).bad_step(3, known)
  supervision.Supervision(events=events, documents=documents).bad_step(3, known)
  assert asked == [2]  # The third step is number 2, counted from 0.
  first = (3, {'event': 'bad step', 'reason': 'its loss is nan'})
  assert rows == [first, (3, first[1] | {'documents': [[7, 8]]})]


def test_interrupts_are_requested():
  interrupts = types.SimpleNamespace(requested=lambda: 'STOP')
  assert supervision.Supervision(interrupts).requested() == 'STOP'
