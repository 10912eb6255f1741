"""slicegym: a research gym that slices serverless GPU capacity among LLM agents."""

__version__ = "0.1.0"
