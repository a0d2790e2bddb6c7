"""Mutation testing: small random changes of the code, which some test should notice.

    make mutants                                       a few changes in each area
    make mutants ARGS="--area client --count 40 --seed 7"

The changes are made in a copy of the checkout. The same seed draws the same changes of the same
code. The tests of an area run until the first one fails. What no test notices is listed with its
line: either a test is missing, or the change changes nothing.
"""
