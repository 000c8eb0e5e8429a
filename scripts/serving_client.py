#!/usr/bin/env python
"""The same as `python -m gaintuning_tf.serving`."""

import sys

from gaintuning_tf.serving.__main__ import main

sys.exit(main())
