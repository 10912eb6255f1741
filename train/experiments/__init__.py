"""Questions to training, a YAML file each: variants of a recipe, judged on the same tapes."""
