"""The zoo: from training configurations to shipped policies, their manifests and model cards."""
