"""Small models of Llama and its descendants, to compare with the reference."""
from lmjax.interop.mapping import layer_types
from tests.reference.families import family

FULL, SLIDING = layer_types.FULL, layer_types.SLIDING
SIZE = dict(
    vocab_size=101, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)
THREE = SIZE | dict(num_hidden_layers=3)  # Layers of more than one kind.
LARGE_HEADS = dict(head_dim=16)
LLAMA3 = {'rope_type': 'llama3', 'factor': 4.0, 'low_freq_factor': 1.0,
          'high_freq_factor': 4.0, 'original_max_position_embeddings': 256,
          'rope_theta': 500_000.0}
LONG = {'rope_type': 'longrope', 'short_factor': [1.0, 1.1, 1.3, 1.6],
        'long_factor': [1.5, 2.5, 4.0, 8.0], 'rope_theta': 10_000.0}
WINDOWS = dict(use_sliding_window=True, sliding_window=96, max_window_layers=1)


def theta(value, **others):
  return dict(rope_parameters={
      'rope_type': 'default', 'rope_theta': value, **others})


FAMILIES = {
    'cohere': family.Family(
        'CohereConfig', 'CohereForCausalLM', SIZE | dict(logit_scale=0.7),
        cases={
            'grouped': {},
            'multi-head, with biases': dict(
                num_key_value_heads=6, attention_bias=True),
            'untied': dict(tie_word_embeddings=False)},
        wrong=[dict(logit_scale=0.71), dict(layer_norm_eps=1e-4),
               dict(hidden_act='gelu'), theta(1e6)]),
    'gemma': family.Family(
        'GemmaConfig', 'GemmaForCausalLM', SIZE | LARGE_HEADS,
        cases={
            'grouped': {},
            'one key head': dict(num_key_value_heads=1),
            'multi-head and untied': dict(
                num_key_value_heads=6, tie_word_embeddings=False),
            'biases': dict(attention_bias=True)},
        wrong=[dict(rms_norm_eps=1e-4),
               dict(num_attention_heads=3, head_dim=32, num_key_value_heads=1),
               theta(20_000.0)]),
    'gemma2': family.Family(
        'Gemma2Config', 'Gemma2ForCausalLM',
        THREE | LARGE_HEADS | dict(query_pre_attn_scalar=16, sliding_window=9),
        cases={
            'local first': {},
            'own scale': dict(query_pre_attn_scalar=11),
            'no caps': dict(
                attn_logit_softcapping=None, final_logit_softcapping=None),
            'low caps': dict(
                attn_logit_softcapping=2.0, final_logit_softcapping=1.5),
            'biases and untied': dict(
                attention_bias=True, tie_word_embeddings=False),
            'global first': dict(layer_types=[FULL, SLIDING, SLIDING]),
            'all local': dict(layer_types=[SLIDING] * 3)},
        wrong=[dict(attn_logit_softcapping=60.0),
               dict(final_logit_softcapping=31.0),
               dict(query_pre_attn_scalar=17), dict(sliding_window=10),
               dict(layer_types=[FULL, SLIDING, FULL]),
               dict(hidden_activation='gelu')]),
    'gemma3': family.Family(
        'Gemma3TextConfig', 'Gemma3ForCausalLM',
        SIZE | LARGE_HEADS | dict(
            num_hidden_layers=4, query_pre_attn_scalar=16, sliding_window=9,
            sliding_window_pattern=3),
        cases={
            'two local, one global': {},
            'fewer layers than the period': dict(sliding_window_pattern=6),
            'own scale and a cap': dict(
                query_pre_attn_scalar=11, final_logit_softcapping=2.0),
            'untied, with biases': dict(
                tie_word_embeddings=False, attention_bias=True),
            'scaled globally': dict(rope_parameters={
                FULL: {'rope_type': 'linear', 'factor': 4.0,
                       'rope_theta': 50_000.0},
                SLIDING: {'rope_type': 'default', 'rope_theta': 500.0}}),
            'all local': dict(layer_types=[SLIDING] * 4),
            'no pattern': dict(layer_types=[FULL, SLIDING, SLIDING, FULL])},
        wrong=[dict(layer_types=[SLIDING, FULL] * 2), dict(sliding_window=8),
               dict(rope_parameters={FULL: {'rope_theta': 1e6},
                                     SLIDING: {'rope_theta': 2e4}}),
               dict(rope_parameters={FULL: {'rope_theta': 5e5},
                                     SLIDING: {'rope_theta': 1e4}}),
               dict(query_pre_attn_scalar=17)]),
    'granite': family.Family(
        'GraniteConfig', 'GraniteForCausalLM',
        SIZE | dict(attention_multiplier=0.4, embedding_multiplier=6.0,
                    logits_scaling=3.0, residual_multiplier=0.7),
        cases={
            'all multipliers': {},
            'none of them': dict(
                attention_multiplier=8 ** -0.5, embedding_multiplier=1.0,
                logits_scaling=1.0, residual_multiplier=1.0),
            'tied, with biases': dict(
                tie_word_embeddings=True, attention_bias=True, mlp_bias=True)},
        wrong=[dict(attention_multiplier=0.41), dict(embedding_multiplier=6.1),
               dict(logits_scaling=3.01), dict(residual_multiplier=0.71)]),
    'llama': family.Family(
        'LlamaConfig', 'LlamaForCausalLM', SIZE,
        cases={
            'grouped': {},
            'multi-head': dict(num_key_value_heads=6),
            'tied': dict(tie_word_embeddings=True),
            'biases': dict(attention_bias=True, mlp_bias=True),
            'large heads': LARGE_HEADS,
            'llama 3': dict(rope_parameters=LLAMA3),
            'linear': dict(rope_parameters={
                'rope_type': 'linear', 'factor': 2.0, 'rope_theta': 10_000.0}),
            'yarn': dict(rope_parameters={
                'rope_type': 'yarn', 'factor': 4.0, 'rope_theta': 10_000.0,
                'original_max_position_embeddings': 256})},
        wrong=[dict(rms_norm_eps=1e-5), dict(hidden_act='gelu'),
               theta(20_000.0)]),
    'mistral': family.Family(
        'MistralConfig', 'MistralForCausalLM', SIZE | dict(sliding_window=96),
        cases={
            'window': {},
            'no window, large heads': LARGE_HEADS | dict(sliding_window=None)},
        wrong=[dict(sliding_window=None), dict(sliding_window=97),
               dict(rms_norm_eps=1e-5)]),
    'olmo': family.Family(
        'OlmoConfig', 'OlmoForCausalLM', SIZE,
        cases={
            'grouped': {},
            'multi-head, tied': dict(
                num_key_value_heads=6, tie_word_embeddings=True),
            'biases': dict(attention_bias=True)},
        wrong=[dict(hidden_act='gelu'), theta(20_000.0),
               dict(num_attention_heads=3, num_key_value_heads=1)]),
    'olmo2': family.Family(
        'Olmo2Config', 'Olmo2ForCausalLM', SIZE,
        cases={
            'multi-head': dict(num_key_value_heads=6),
            'grouped': {},
            'tied, with biases': dict(
                tie_word_embeddings=True, attention_bias=True)},
        wrong=[dict(rms_norm_eps=1e-4), dict(hidden_act='gelu'),
               theta(20_000.0)], wrongly='grouped'),
    'phi3': family.Family(
        'Phi3Config', 'Phi3ForCausalLM',
        SIZE | dict(original_max_position_embeddings=128, pad_token_id=0),
        cases={
            'grouped': {},
            'with a window': dict(sliding_window=9, num_key_value_heads=6),
            'tied': dict(tie_word_embeddings=True),
            'long': dict(rope_parameters=LONG),
            'long, half rotated': dict(rope_parameters=LONG | {
                'short_factor': [1.0, 1.2], 'long_factor': [1.5, 6.0],
                'partial_rotary_factor': 0.5})},
        wrong=[dict(sliding_window=100), dict(hidden_act='gelu'),
               dict(rms_norm_eps=1e-4), dict(rope_parameters=LONG | {
                   'long_factor': [1.5, 2.5, 4.0, 9.0]})]),
    'qwen2': family.Family(
        'Qwen2Config', 'Qwen2ForCausalLM', THREE,
        cases={
            'full': dict(tie_word_embeddings=True),
            'windows in later layers': WINDOWS,
            'windows in some layers': WINDOWS | dict(
                layer_types=[FULL, SLIDING, FULL])},
        wrong=[dict(max_window_layers=2, layer_types=None),
               dict(sliding_window=95), dict(rms_norm_eps=1e-5),
               dict(num_attention_heads=12, num_key_value_heads=4, head_dim=4)],
        wrongly='windows in later layers'),
    'qwen3': family.Family(
        'Qwen3Config', 'Qwen3ForCausalLM', THREE | LARGE_HEADS,
        cases={
            'full': dict(tie_word_embeddings=True, attention_bias=True),
            'windows in later layers': WINDOWS},
        wrong=[dict(max_window_layers=2, layer_types=None),
               dict(sliding_window=95), dict(rms_norm_eps=1e-5),
               theta(20_000.0)],
        wrongly='windows in later layers'),
    'smollm3': family.Family(
        'SmolLM3Config', 'SmolLM3ForCausalLM',
        SIZE | dict(num_hidden_layers=4, pad_token_id=None, bos_token_id=None,
                    eos_token_id=None),
        cases={
            'every fourth': {},
            'as listed': dict(
                no_rope_layers=[0, 1, 1, 0], tie_word_embeddings=False),
            'no positions': dict(no_rope_layer_interval=1),
            'windows without positions': dict(
                use_sliding_window=True, sliding_window=9,
                no_rope_layer_interval=2),
            'windows everywhere': dict(
                use_sliding_window=True, sliding_window=9, attention_bias=True,
                mlp_bias=True, layer_types=[SLIDING] * 4)},
        wrong=[dict(no_rope_layers=[1, 1, 1, 1]),
               dict(no_rope_layers=[1, 1, 0, 1]), theta(1e6)]),
    'stablelm': family.Family(
        'StableLmConfig', 'StableLmForCausalLM',
        SIZE | dict(num_attention_heads=3, num_key_value_heads=1),
        cases={
            'a quarter rotated': {},
            'parallel': dict(use_parallel_residual=True),
            'biases, tied': dict(
                use_qkv_bias=True, tie_word_embeddings=True,
                num_key_value_heads=3,
                **theta(10_000.0, partial_rotary_factor=0.5))},
        wrong=[dict(layer_norm_eps=1e-4), dict(hidden_act='gelu'),
               theta(10_000.0, partial_rotary_factor=0.5)]),
}
