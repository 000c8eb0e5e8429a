"""Images read and written again, frame by frame, as a denoiser that changes nothing would."""

import numpy as np

from gaintuning_tf.images.stack_files import create_stack, open_stack


def copy(source, target, dtype=None, **options):
    """The file `source` written as `target`, of another dtype if one is given; what was read of it, whole."""
    with open_stack(source, **options) as stack, create_stack(target, stack, dtype=dtype) as writer:
        whole = stack.array()
        for i in range(stack.frame_count):
            writer.write(i, stack.frame(i).astype(dtype or stack.dtype))
        writer.commit()
    return np.asarray(whole)
