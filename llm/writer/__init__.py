"""The writer: the mixture-of-experts decoder, its prompt, its decoding bound to evidence, and the check afterwards."""
