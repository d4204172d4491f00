"""A simulator of CustomerGauge's HTTP APIs, for tests, demos and staging.

It imports nothing of gaugepost, keeps its state in memory, and is as strict as the documentation of the real APIs.
A *knob* sets behaviour that the documentation leaves open. A *fault* makes an exchange fail. A *scenario* is a word in
the data of one job that asks for a fault, for users who cannot set knobs or faults.

Run it with ``python -m gaugepost_simulator``, or in a test with :class:`Simulator`::

    with Simulator() as sim:
        os.environ.update(sim.env())
        sim.fault(endpoint="records", fault="cut_after_commit", times=1)
        ...
        assert sim.state()["doubled"]["eu"] == 0

``scenarios.py`` lists the scenario words, ``knobs.py`` the knobs, ``faults.py`` the faults.
"""

from gaugepost_simulator.client import Simulator, SimulatorError
from gaugepost_simulator.faults import Fault, Match
from gaugepost_simulator.knobs import REGIONS, Knobs

__all__ = ["REGIONS", "Fault", "Knobs", "Match", "Simulator", "SimulatorError"]
