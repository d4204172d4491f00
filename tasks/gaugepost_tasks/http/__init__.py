"""How requests reach CustomerGauge: one exchange at a time, through a transport adapter of requests.

`HttpClient` sends and receives for the product, through one of two adapters, which can be mounted on any
`requests.Session` too. Nothing here repeats a request, follows a redirect, keeps a cookie or reads the environment.
"""

from gaugepost_tasks.http.direct import DirectAdapter
from gaugepost_tasks.http.session import HttpClient, host_of, user_agent
from gaugepost_tasks.http.urllib3_adapter import Urllib3Adapter

__all__ = ["DirectAdapter", "HttpClient", "Urllib3Adapter", "host_of", "user_agent"]
