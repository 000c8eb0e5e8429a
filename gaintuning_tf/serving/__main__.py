"""Denoise an image file on a TensorFlow Serving server.

    gaintuning-tf export --model unet-bf-natural served/unet-bf-natural
    docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME=unet-bf-natural \\
        -v "$PWD/served/unet-bf-natural:/models/unet-bf-natural" tensorflow/serving
    python -m gaintuning_tf.serving noisy.png clean.png --model unet-bf-natural
"""

import argparse
import sys

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.files import load_image, save_image
from gaintuning_tf.noise.models import KINDS
from gaintuning_tf.serving.client import PROTOCOLS, ServingClient
from gaintuning_tf.support.atomic_files import check_writable


def main() -> int:
    """Ask a server for one image; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gaintuning_tf.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", help="noisy image")
    parser.add_argument("output", help="denoised image")
    parser.add_argument("--model", required=True, help="name that the server knows the model by")
    parser.add_argument("--address", help="HOST:PORT [localhost:8500 for gRPC, localhost:8501 for REST]")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="grpc", help="[%(default)s]")
    parser.add_argument("--sigma", type=float, help="noise level in the image's units [estimated by the server]")
    parser.add_argument("--noise", choices=KINDS, help="estimate this kind of noise here, and send it along")
    parser.add_argument("--takes-level", action="store_true", help="the network takes the level of the noise")
    parser.add_argument("--steps", type=int, default=10, help="steps of tuning; 0 for none [%(default)s]")
    parser.add_argument("--axes", help="a letter per axis, such as TYX [found from the shape]")
    args = parser.parse_args()
    address = args.address or f"localhost:{8500 if args.protocol == 'grpc' else 8501}"
    try:
        check_writable(args.output)
        image = load_image(args.input)
        client = ServingClient(address, args.model, protocol=args.protocol, takes_level=args.takes_level)
        if args.steps == 0:
            level = args.sigma if args.takes_level else None
            denoised, risk = client.denoise(image, sigma=level, axes=args.axes), None
        else:
            denoised, risk = client.gaintune(
                image, sigma=args.sigma, noise=args.noise, steps=args.steps, axes=args.axes
            )
        save_image(args.output, denoised, layout(image, client.channels, axes=args.axes))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(args.output if risk is None else f"{args.output}: estimated squared error {risk.round(6).tolist()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
