"""An extension of griffe: the `>>>` examples of docstrings are shown as code."""

import re

import griffe

# From a prompt to the next empty line.
EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)


class Examples(griffe.Extension):
    """Encloses each example in a block of code, and its heading in stars."""

    def on_object(self, *, obj, **kwargs):
        """Change the docstring of one object, where it has one."""
        if obj.docstring:
            text = EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", obj.docstring.value)
            obj.docstring.value = re.sub(r"^Examples?:$", "**Example**", text, flags=re.M)
