"""Exchange one request and answer at a time with CustomerGauge, through a transport adapter of requests.

Workers use `HttpClient`, which has one of two adapters. You can also mount an adapter on any `requests.Session`. No
module here repeats a request, follows a redirect, keeps a cookie or reads the environment.
"""

from gaugepost_tasks.http.direct import DirectAdapter
from gaugepost_tasks.http.session import HttpClient, host_of, user_agent
from gaugepost_tasks.http.urllib3_adapter import Urllib3Adapter

__all__ = ["DirectAdapter", "HttpClient", "Urllib3Adapter", "host_of", "user_agent"]
