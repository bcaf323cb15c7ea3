"""params.yaml: a module for each section, `load` for the whole. No value of a setting stands here,
but for the defaults of recipes: an edit changes what is refused and how, and no figure.
"""

from vaelab.settings.compare import CompareSettings
from vaelab.settings.datasets import (
    OVERRIDES,
    ImageFolderRecipe,
    Recipe,
    ShapesRecipe,
    TorchvisionRecipe,
)
from vaelab.settings.interpolate import InterpolateSettings
from vaelab.settings.latent_explore import LatentExploreSettings
from vaelab.settings.load import DatasetSettings, Settings, load_settings
from vaelab.settings.model import (
    ARCHITECTURE_COLOURS,
    ARCHITECTURES,
    PALETTE,
    ConvSettings,
    FCSettings,
    LikelihoodName,
    ModelSettings,
    PosteriorName,
)
from vaelab.settings.tracking import TrackingSettings
from vaelab.settings.training import ObjectiveSettings, TrainSettings
