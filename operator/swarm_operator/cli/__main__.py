"""`python -m swarm_operator.cli`: the kubectl plugin without its script."""

import sys

from swarm_operator.cli.plugin import main

sys.exit(main())
