"""Flower's options in a deployment: compose, the manifests and the units start Flower with this file as its `--conf`.

What is not said here is as `gaugepost flower` has it without a file. All of Flower's options can stand here but those
of address, login and read-only, which are settings of gaugepost (docs/flower.md). For example:

certfile, keyfile = "/etc/gaugepost/flower.pem", "/etc/gaugepost/flower.key"  # TLS by Flower itself
url_prefix = "flower"  # behind a proxy that serves it below a path; then FLOWER_URL ends with it too
natural_time = True  # "2 minutes ago"
"""

from gaugepost_ops.flower.flowerconfig import *  # noqa: F403
