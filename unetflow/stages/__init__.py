"""The functions of the rules, one module a rule: rule = script = module = log."""
