"""Train the fully connected VAE on one data set.

python src/stages/train_fc.py cifar10
"""

from stage import run_stage
from train_model import train_model
from vaelab.models.fc import build_fc, fc_config


def main(dataset: str) -> None:
    train_model(dataset, "fc", fc_config, build_fc)


if __name__ == "__main__":
    run_stage(main, __doc__)
