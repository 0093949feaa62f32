"""SecretFlow's SPU: logistic regression to the optimum as a program for it."""
