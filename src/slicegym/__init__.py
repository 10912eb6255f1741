"""slicegym: a research gym that slices serverless GPU capacity among LLM agents.

Importing it registers the Gymnasium environments, `slicegym/Azure-v0` and the others.
"""

from .envs import registration as registration

__version__ = "0.1.0"
