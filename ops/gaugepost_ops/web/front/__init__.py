"""The drop-in front: CustomerGauge's own calls, for integrations that change only a host name."""
