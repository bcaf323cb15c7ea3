"""`tracking`: what MLflow is told beside figures. It changes none, and no stage depends on it."""

from vaelab.settings.fields import Section


class TrackingSettings(Section):
    register_models: bool  # the first seed's, as vaelab-DATASET-ARCHITECTURE
