"""Every field of a config.json is used, ignorable, or refused by its name."""
import pytest

from lmjax.core import errors
from lmjax.interop.mapping import fields as fields_lib


def test_a_field_that_nothing_took_is_refused():
  fields = fields_lib.Fields({'width': 4, 'clip_qkv': 8.0})
  assert fields.whole('width') == 4
  with pytest.raises(errors.InputError, match='clip_qkv = 8.0'):
    fields.finish()


def test_a_misspelt_field_is_answered_with_the_nearest_one():
  fields = fields_lib.Fields({'hiden_size': 4})
  fields.whole('hidden_size', None)
  with pytest.raises(errors.InputError, match="mean 'hidden_size'"):
    fields.finish()


@pytest.mark.parametrize('tree, ignorable', [
    ({'architectures': ['A'], 'torch_dtype': 'float16', 'bos_token_id': 1}, ()),
    ({'unknown': None}, ()),
    ({'is_encoder_decoder': False, 'num_labels': 3}, ()),
    ({'summary_type': 'first'}, ('summary_type',)),
    ({'is_decoder': False, 'pruned_heads': {}, 'unsloth_fixed': True}, ()),
])
def test_fields_without_effect_are_ignored(tree, ignorable):
  fields_lib.Fields(tree).finish(ignorable)


@pytest.mark.parametrize('field, value', [
    ('is_decoder', True), ('pruned_heads', {'0': [1]}),
    ('tie_encoder_decoder', True)])
def test_a_field_that_is_idle_by_one_value_has_this_value(field, value):
  with pytest.raises(errors.InputError, match=f'{field} is'):
    fields_lib.Fields({field: value}).finish()
  fields = fields_lib.Fields({field: value})
  fields.take(field)
  fields.finish()


@pytest.mark.parametrize('field', ['auto_map', 'quantization_config'])
def test_code_and_quantised_weights_are_refused(field):
  with pytest.raises(errors.InputError, match=f'has a field {field}'):
    fields_lib.Fields({field: {'AutoModel': 'x.Y'}})


def test_fields_are_left_out_if_they_are_accepted():
  tree = {'auto_map': {'AutoModel': 'x.Y'}, 'clip': 8, 'text': {'clip': 8}}
  with pytest.raises(errors.InputError, match='--accept=auto_map'):
    fields_lib.Fields(tree)
  fields = fields_lib.Fields(tree, accept=['auto_map'])
  fields.take('text')
  with pytest.raises(errors.InputError, match='--accept=clip'):
    fields.finish()
  fields = fields_lib.Fields(tree, accept=['auto_map', 'clip'])
  fields.inner('text').finish()
  fields.finish()
  with pytest.raises(errors.InputError, match='quantization_config'):
    fields_lib.Fields({'quantization_config': {}}, accept=[
        'quantization_config'])


@pytest.mark.parametrize('value', ['4', 4.5, True, [4]])
def test_a_value_of_another_type_is_refused(value):
  with pytest.raises(errors.InputError, match='width should be int; got'):
    fields_lib.Fields({'width': value}).whole('width')


def test_a_whole_number_is_a_real_one():
  found = fields_lib.Fields({'theta': 10000}).number('theta')
  assert found == 10000.0 and isinstance(found, float)


def test_a_missing_field_is_named():
  with pytest.raises(errors.InputError, match='no field width'):
    fields_lib.Fields({'width': None}).whole('width')


def test_a_default_stands_for_a_missing_field():
  fields = fields_lib.Fields({'given': 2})
  assert (fields.whole('given', 3), fields.whole('other', 3)) == (2, 3)
  assert fields.whole('other', None) is None


def test_a_choice_is_one_of_those_offered():
  fields = fields_lib.Fields({'act': 'mish'})
  with pytest.raises(errors.InputError, match="'mish', but .* 'gelu' or 'r"):
    fields.choose('act', {'gelu': 1, 'relu': 2})
  assert fields.choose('other', {'gelu': 1}, 'gelu') == 1


@pytest.mark.parametrize('value', [2, True, 'x'])
def test_an_unexpected_value_is_refused(value):
  with pytest.raises(errors.InputError, match='pretraining_tp is'):
    fields_lib.Fields({'pretraining_tp': value}).expect('pretraining_tp', 1)


def test_an_expected_or_missing_value_passes():
  fields = fields_lib.Fields({'tp': 1})
  fields.expect('tp', 1)
  fields.expect('alibi', False)
  fields.finish()


def test_inner_fields_are_named_with_the_outer_one():
  inner = fields_lib.Fields({'rope': {'kind': 1}}).inner('rope')
  with pytest.raises(errors.InputError, match='rope has the field kind'):
    inner.finish()
  assert not fields_lib.Fields({}).inner('rope').has('kind')


def test_a_null_field_is_there():
  fields = fields_lib.Fields({'window': None})
  assert 'window' in fields and not fields.has('window')
  assert 'other' not in fields


def test_a_default_is_the_value_of_a_missing_field_only():
  fields = fields_lib.Fields({'size': 3, 'window': None})
  fields.default(size=4, window=5, heads=6)
  assert fields.whole('size') == 3
  assert fields.whole('window', None) is None
  assert fields.whole('heads') == 6


def test_a_field_may_have_another_name():
  fields = fields_lib.Fields({'n_embed': 8, 'n_head': 2, 'heads': 2})
  fields.alias(n_embed='width', n_head='heads', n_layer='layers')
  assert [fields.whole(name, None) for name in ('width', 'heads', 'layers')
          ] == [8, 2, None]
  fields.finish()


def test_a_field_with_two_values_under_two_names_is_refused():
  with pytest.raises(errors.InputError, match='n_head is 4 and heads is 2'):
    fields_lib.Fields({'n_head': 4, 'heads': 2}).alias(n_head='heads')
