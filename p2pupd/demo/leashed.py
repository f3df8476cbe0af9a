"""`python -m p2pupd.demo.leashed PID ...`: p2pupd that ends when process PID, its parent, does.

So that no daemon of a floor outlives the program that shows it, even one that is killed.
"""

import runpy
import sys

from p2pupd.host.processes import end_with

if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    runpy.run_module("p2pupd", run_name="__main__", alter_sys=True)
