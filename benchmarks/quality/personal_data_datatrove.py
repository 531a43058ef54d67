"""datatrove's masking of e-mail and public IP addresses; runs in the peer's own environment."""

import json
import sys

from datatrove.pipeline.formatters import PIIFormatter

formatter = PIIFormatter()
print(json.dumps([formatter.format(text) for text in json.load(sys.stdin)]))
