"""`python -m gaintuning_tf`: the same as `gaintuning-tf`."""

import sys

from gaintuning_tf.cli import main

sys.exit(main())
