#!/usr/bin/env python
"""Pre-train a network that the project ships, from its configuration file.

    python scripts/train.py scripts/unet-bf-natural.json --data FOLDER --run RUN_FOLDER --out unet-bf-natural.keras

FOLDER holds clean grey images. Stopped and started again with the same RUN_FOLDER,
it continues from its last checkpoint.
"""

import argparse
import time
from pathlib import Path

from skimage.io import imread

from gaintuning_tf import datasets, training


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="JSON file with the fields of gaintuning_tf.training.TrainingConfig")
    parser.add_argument("--data", required=True, help="folder of clean 8-bit grey images")
    parser.add_argument("--run", required=True, help="folder for checkpoints and the log")
    parser.add_argument("--out", required=True, help="trained model, a .keras file")
    args = parser.parse_args()
    config = training.TrainingConfig.read(args.config)
    images = [imread(file)[..., None] for file in datasets.image_files(args.data)]
    start = time.perf_counter()
    model = training.train(config, images, args.run)
    model.save(Path(args.out))
    print(f"{args.out}: {time.perf_counter() - start:.0f} s in this process")


if __name__ == "__main__":
    main()
