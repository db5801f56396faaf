"""The chat and library screens. They know the API's addresses and nothing of what stands behind them."""
