"""`python -m turnlane`: the same as the command `turnlane`."""

import sys

from turnlane.cli.main import main

sys.exit(main())
