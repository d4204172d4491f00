"""A stand-in for CustomerGauge's HTTP APIs, for tests, demos and staging.

It stands alone (nothing of gaugepost is imported), keeps its state in memory, and is as strict as the documentation of
the real APIs lets one know: what is undocumented is a *knob*, what goes wrong on the way is a *fault*, and what a user
without access to either wants to see is a *scenario*, a word put into the data of one job.

Run it with ``python -m gaugepost_simulator``, or in a test with :class:`Simulator`::

    with Simulator() as sim:
        os.environ.update(sim.env())
        sim.fault(endpoint="records", fault="cut_after_commit", times=1)
        ...
        assert sim.state()["doubled"]["eu"] == 0

Scenario words and where they are put are listed in ``scenarios.py``; knobs in ``knobs.py``; faults in ``faults.py``.
"""

from gaugepost_simulator.client import Simulator, SimulatorError
from gaugepost_simulator.faults import Fault, Match
from gaugepost_simulator.knobs import REGIONS, Knobs

__all__ = ["REGIONS", "Fault", "Knobs", "Match", "Simulator", "SimulatorError"]
