"""How the models that ship were made: one folder for each."""
