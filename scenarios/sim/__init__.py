"""A floor in virtual time: the decisions and messages of the product, and nothing else.

`python -m scenarios.sim --help`. A seed number reproduces any run.

Every view is core's, every turn is asked of core, every record and every piece of news goes through
wire. What is left out: signatures, sockets, and of most comparisons the messages, whose outcome
core's `compare` gives directly; a share of them goes message by message, and both views must be
one after it. On more than 200 devices each passes news on, compares and asks up to six times more
rarely than on small floors; on more than 2,000 everybody has fetched the release when time begins.
"""
