"""Reports of a week, a month or a quarter: the figures that a police and crime commissioner is shown, each with plain words.

`chapters` says what is in one, `report` computes it from the projection, `plots` draws, `page` and `table` write it.
"""
