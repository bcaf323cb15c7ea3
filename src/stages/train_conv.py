"""Train the convolutional VAE on one data set.

python src/stages/train_conv.py cifar10
"""

from stage import check, run_stage

if __name__ == "__main__":
    check(__doc__)

from vaelab.training.run import train_architecture

if __name__ == "__main__":
    run_stage(lambda dataset: train_architecture(dataset, "conv"), __doc__)
