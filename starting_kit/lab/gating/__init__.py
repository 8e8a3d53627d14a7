"""Gates: which experts the tokens of a batch get, given the router's scores."""
