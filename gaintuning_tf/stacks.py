"""Stacks from file to file: a short name of `gaintuning_tf.denoising.stack_run`."""

from gaintuning_tf.denoising.stack_run import StackResult, denoise_stack

__all__ = ["StackResult", "denoise_stack"]
