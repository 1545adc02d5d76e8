"""Small models with mixtures of experts, to compare with the reference."""
from tests.reference.families import family

SIZE = dict(
    vocab_size=101, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)
FAMILIES = {
    'mixtral': family.Family(
        'MixtralConfig', 'MixtralForCausalLM', SIZE | dict(num_local_experts=5),
        cases={
            'two experts': {},
            'three experts, with a window': dict(
                num_experts_per_tok=3, sliding_window=9),
            'tied': dict(tie_word_embeddings=True, head_dim=16)},
        wrong=[dict(num_experts_per_tok=3), dict(sliding_window=100),
               dict(hidden_act='gelu'), dict(rms_norm_eps=1e-4)]),
    'olmoe': family.Family(
        'OlmoeConfig', 'OlmoeForCausalLM',
        SIZE | dict(num_experts=5, num_experts_per_tok=2),
        cases={
            'grouped': {},
            'gates that sum to 1': dict(
                norm_topk_prob=True, num_key_value_heads=6,
                attention_bias=True),
            'tied': dict(tie_word_embeddings=True)},
        wrong=[dict(norm_topk_prob=True), dict(num_experts_per_tok=3),
               dict(rms_norm_eps=1e-4)]),
    'qwen3_moe': family.Family(
        'Qwen3MoeConfig', 'Qwen3MoeForCausalLM',
        SIZE | dict(moe_intermediate_size=40, num_experts=5,
                    num_experts_per_tok=2),
        cases={
            'only mixtures': dict(head_dim=16),
            'gates that sum to 1': dict(
                norm_topk_prob=True, num_experts_per_tok=3),
            'every second layer': dict(
                decoder_sparse_step=2, attention_bias=True,
                num_hidden_layers=3),
            'one dense layer': dict(
                mlp_only_layers=[0], tie_word_embeddings=True)},
        wrong=[dict(norm_topk_prob=True), dict(num_experts_per_tok=3),
               dict(rms_norm_eps=1e-4)]),
}
