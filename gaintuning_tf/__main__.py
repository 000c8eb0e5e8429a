"""`python -m gaintuning_tf`: the same as `gaintuning-tf`."""

import sys

from gaintuning_tf.cli.program import main

sys.exit(main())
