"""A floor in virtual time: the decisions and messages of the product, and nothing else.

`python -m scenarios.sim --help`. A seed number reproduces any run.
"""
