"""Train the convolutional VAE on one data set.

python src/stages/train_conv.py cifar10
"""

from stage import run_stage
from train_model import train_model
from vaelab.models.conv import build_conv, conv_config


def main(dataset: str) -> None:
    train_model(dataset, "conv", conv_config, build_conv)


if __name__ == "__main__":
    run_stage(main, __doc__)
