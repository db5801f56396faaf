"""Measuring: the same figures from the command line, the tests and the benchmarks.

`rows` reads question files; each other module measures one stage and returns plain numbers.
"""
