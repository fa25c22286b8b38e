"""`python -m hwtest`."""

from hwtest.cli import main

main(prog_name="hwtest")
