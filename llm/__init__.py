"""Every neural network of the product: encoder, reader and writer. Knows tensors and texts, no documents or users."""
