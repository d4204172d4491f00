"""The ledger of a worker on the connections of a producer, for tests that do a worker's part."""

from __future__ import annotations

from gaugepost import Producer, Region
from gaugepost.ledger import WorkerLedger


def worker_ledger(producer: Producer, region: Region = Region.EU) -> WorkerLedger:
    return WorkerLedger(producer.ledger(region)._client, region, producer.settings)
