"""Instruction tuning: a language model learns to answer."""

PARTS = {
    "task": {"language": "task:Language"},
    "dataset": {"alpaca": "alpaca:Alpaca", "signatures": "signatures:Signatures"},
    "model": {"causal_lm": "models:CausalLM"},
}
