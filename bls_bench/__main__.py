"""`python -m bls_bench` is the command `bls_bench`."""

from bls_bench.command import main

main()
