"""params.yaml: a module for each section, `load` for the whole. No value of a setting stands here,
but for the defaults of recipes: an edit changes what is refused and how, and no figure.
"""

from vaelab.settings.compare import CompareSettings as CompareSettings
from vaelab.settings.datasets import OVERRIDES as OVERRIDES
from vaelab.settings.datasets import ImageFolderRecipe as ImageFolderRecipe
from vaelab.settings.datasets import Recipe as Recipe
from vaelab.settings.datasets import ShapesRecipe as ShapesRecipe
from vaelab.settings.datasets import TorchvisionRecipe as TorchvisionRecipe
from vaelab.settings.interpolate import InterpolateSettings as InterpolateSettings
from vaelab.settings.latent_explore import LatentExploreSettings as LatentExploreSettings
from vaelab.settings.load import DatasetSettings as DatasetSettings
from vaelab.settings.load import Settings as Settings
from vaelab.settings.load import load_settings as load_settings
from vaelab.settings.model import ARCHITECTURES as ARCHITECTURES
from vaelab.settings.model import ConvSettings as ConvSettings
from vaelab.settings.model import FCSettings as FCSettings
from vaelab.settings.model import LikelihoodName as LikelihoodName
from vaelab.settings.model import ModelSettings as ModelSettings
from vaelab.settings.model import PosteriorName as PosteriorName
from vaelab.settings.training import ObjectiveSettings as ObjectiveSettings
from vaelab.settings.training import TrainSettings as TrainSettings
