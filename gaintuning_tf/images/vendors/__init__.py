"""Files of microscope vendors, which are only read.

- `rosettasciio`: DM3, DM4, SER and EMD.
"""
