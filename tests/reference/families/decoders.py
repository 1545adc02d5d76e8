"""Small models of other decoders, to compare with the reference."""
from tests.reference.families import family

SIZE = dict(
    vocab_size=101, hidden_size=48, num_hidden_layers=2, num_attention_heads=6,
    max_position_embeddings=1024)
GPT = dict(vocab_size=101, n_embd=48, n_layer=2, n_positions=1024)
FAMILIES = {
    'bloom': family.Family(
        'BloomConfig', 'BloomForCausalLM',
        dict(vocab_size=101, hidden_size=48, n_layer=2, n_head=6),
        cases={
            'heads that are no power of two': {},
            'untied, eight heads': dict(n_head=8, tie_word_embeddings=False)},
        wrong=[dict(n_head=8), dict(n_head=4), dict(layer_norm_epsilon=1e-4)]),
    'falcon': family.Family(
        'FalconConfig', 'FalconForCausalLM', SIZE,
        cases={
            'one key': {},
            'groups, two norms': dict(
                new_decoder_architecture=True, num_kv_heads=2),
            'groups, one norm': dict(
                new_decoder_architecture=True, num_kv_heads=3, bias=True,
                num_ln_in_parallel_attn=1, tie_word_embeddings=False,
                ffn_hidden_size=72),
            'all keys, one after the other': dict(
                multi_query=False, parallel_attn=False, bias=True),
            # Six heads, and positions that bfloat16 does not have. The
            # reference's "eager" attention adds the bias twice.
            'alibi': dict(
                alibi=True, multi_query=False, parallel_attn=False, bias=True,
                attention='sdpa')},
        wrong=[dict(activation='gelu_new'), dict(alibi=True),
               dict(layer_norm_epsilon=1e-4)]),
    'gpt2': family.Family(
        'GPT2Config', 'GPT2LMHeadModel', GPT | dict(n_head=6),
        cases={
            'standard': {},
            'untied': dict(tie_word_embeddings=False),
            'narrow MLP': dict(n_inner=56),
            'unscaled': dict(scale_attn_weights=False, n_head=24),
            'exact GELU': dict(activation_function='gelu')},
        wrong=[dict(layer_norm_epsilon=1e-4), dict(activation_function='gelu'),
               dict(n_head=8), dict(scale_attn_weights=False)]),
    'gpt_neo': family.Family(
        'GPTNeoConfig', 'GPTNeoForCausalLM',
        dict(vocab_size=101, hidden_size=48, num_layers=3, num_heads=24,
             window_size=96, max_position_embeddings=1024,
             attention_types=[[['global', 'local', 'global'], 1]]),
        cases={
            'standard': {},
            'untied, local': dict(
                attention_types=[[['local'], 3]], tie_word_embeddings=False)},
        wrong=[dict(window_size=95), dict(num_heads=12),
               dict(layer_norm_epsilon=1e-4),
               dict(attention_types=[[['global', 'global', 'local'], 1]],
                    attention_layers=['global', 'global', 'local'])]),
    'gpt_neox': family.Family(
        'GPTNeoXConfig', 'GPTNeoXForCausalLM',
        SIZE | dict(intermediate_size=72),
        cases={
            'parallel': dict(rotary_pct=0.5),
            'one after the other': dict(
                use_parallel_residual=False, tie_word_embeddings=True,
                attention_bias=False, rotary_pct=1.0, rotary_emb_base=2_000)},
        wrong=[dict(rotary_pct=0.75, rope_parameters=None),
               dict(use_parallel_residual=False), dict(num_attention_heads=3),
               dict(hidden_act='gelu_new'), dict(layer_norm_eps=1e-4)]),
    'gptj': family.Family(
        'GPTJConfig', 'GPTJForCausalLM', GPT | dict(n_head=4, rotary_dim=6),
        cases={
            'standard': {},
            'tied': dict(tie_word_embeddings=True, rotary_dim=12, n_inner=56)},
        wrong=[dict(rotary_dim=8), dict(n_head=2),
               dict(activation_function='gelu'),
               dict(layer_norm_epsilon=1e-4)]),
    'opt': family.Family(
        'OPTConfig', 'OPTForCausalLM', SIZE | dict(ffn_dim=72),
        cases={
            'standard': {},
            'norms after, narrow embeddings': dict(
                do_layer_norm_before=False, word_embed_proj_dim=24),
            'untied, no final norm, no biases': dict(
                tie_word_embeddings=False, _remove_final_layer_norm=True,
                enable_bias=False)},
        wrong=[dict(num_attention_heads=3), dict(activation_function='gelu'),
               dict(activation_function='relu2')]),
    'phi': family.Family(
        'PhiConfig', 'PhiForCausalLM', SIZE | dict(intermediate_size=72),
        cases={
            'standard': {},
            'groups, normed': dict(num_key_value_heads=2, qk_layernorm=True)},
        wrong=[dict(num_attention_heads=3, num_key_value_heads=3),
               dict(hidden_act='gelu'), dict(layer_norm_eps=1e-4),
               dict(rope_parameters={
                   'rope_type': 'default', 'rope_theta': 20_000.0,
                   'partial_rotary_factor': 0.5})]),
}
