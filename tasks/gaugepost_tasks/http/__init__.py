"""How requests reach CustomerGauge: one exchange at a time, through a transport adapter of requests.

`HttpClient` sends and receives for the product. `DirectAdapter` is its connection, and can be mounted on any
`requests.Session`. Nothing here repeats a request, follows a redirect, keeps a cookie or reads the environment.
"""

from gaugepost_tasks.http.direct import DirectAdapter
from gaugepost_tasks.http.session import HttpClient, user_agent

__all__ = ["DirectAdapter", "HttpClient", "user_agent"]
