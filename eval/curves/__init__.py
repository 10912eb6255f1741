"""Event files for TensorBoard, from the folder of a run: nothing here simulates."""
