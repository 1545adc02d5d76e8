"""The reply in a conversation is written from the messages before."""
import collections
import json

import pytest

from lmjax.core import errors
from lmjax.tasks.written import dialogues

TALK = [('system', 'Be kind.'), ('user', 'Hi\nthere'), ('assistant', 'Hello!'),
        ('user', 'Bye'), ('assistant', 'See you.'), ('user', 'Thanks')]


def file(tmp_path, talk):
  path = tmp_path / 'talk.jsonl'
  path.write_text(json.dumps({'messages': [
      {'role': role, 'content': text} for role, text in talk]}) + '\n')
  return (str(path),)


def test_the_last_reply_is_the_target_and_what_follows_is_counted(tmp_path):
  counts = collections.Counter()
  pair, = dialogues.Dialogues(file(tmp_path, TALK)).examples(counts)
  assert pair.source == (
      'system: Be kind.\nuser: Hi there\nassistant: Hello!\nuser: Bye')
  assert pair.targets == ('See you.',)
  assert counts == {'messages after the last reply left out': 1}


def test_every_reply_can_be_a_target_after_a_few_turns(tmp_path):
  pairs = dialogues.Dialogues(
      file(tmp_path, TALK), every=True, turns=1).examples()
  assert [pair[:2] for pair in pairs] == [
      ('user: Hi there', ('Hello!',)), ('user: Bye', ('See you.',))]


@pytest.mark.parametrize('talk, message', [
    (TALK[:2], "no message of role 'assistant' replies.*'system', 'user'"),
    (TALK[2:3], 'no message'),
    ([('user', 'a'), ('assistant', 3)], 'list of messages with the texts'),
    ([('user', 'a'), ('assistant', ' ')], 'the target is empty')])
def test_a_line_without_a_reply_is_refused(tmp_path, talk, message):
  with pytest.raises(errors.InputError, match=message):
    list(dialogues.Dialogues(file(tmp_path, talk)).examples())


STATES = [
    {'role': 'user', 'content': 'Thai food.', 'state': {'food': 'thai'}},
    {'role': 'assistant', 'content': 'Where?'},
    {'role': 'user', 'content': 'North.', 'state': {
        'food': 'thai', 'area': 'north'}},
    {'role': 'assistant', 'content': 'Here is one.'}]


def lines(tmp_path, messages):
  path = tmp_path / 'talk.jsonl'
  path.write_text(json.dumps({'messages': messages}) + '\n')
  return (str(path),)


def test_the_same_rows_teach_states_replies_or_both(tmp_path):
  targets = {target: [pair.targets[0] for pair in dialogues.Dialogues(
      lines(tmp_path, STATES), every=True, target=target).examples()]
             for target in ('reply', 'state', 'both')}
  assert targets == {
      'reply': ['Where?', 'Here is one.'],
      'state': ['food = thai', 'area = north; food = thai'],
      'both': ['food = thai => Where?',
               'area = north; food = thai => Here is one.']}


@pytest.mark.parametrize('state, message', [
    (None, r"message 3.*should have 'state'.*target=reply"),
    ({'food': 3}, 'value of each slot as text'),
    ({'food': 'a; b'}, 'separate slots and values')])
def test_a_state_that_cannot_be_written_is_refused(tmp_path, state, message):
  messages = [*STATES[:2], STATES[2] | {'state': state}, STATES[3]]
  with pytest.raises(errors.InputError, match=message):
    list(dialogues.Dialogues(
        lines(tmp_path, messages), target='state').examples())
