"""Standard errors of the weights, and what follows from them."""
