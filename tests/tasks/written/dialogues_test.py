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
