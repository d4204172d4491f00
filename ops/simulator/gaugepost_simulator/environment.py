"""The environment variables that point gaugepost to this simulator."""

from collections.abc import Mapping

PREFIX = "GAUGEPOST_"


def environment(url: str, credentials: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the variables for a simulator at ``url``. The client replaces ``{region}`` in the URLs."""
    names = {f"{api.upper()}_URL": f"{url}/{api}/{{region}}" for api in ("auth", "imports", "api")}
    for region, values in credentials.items():
        names |= {f"{region.upper()}_{name.upper()}": value for name, value in values.items()}
    return {PREFIX + name: value for name, value in names.items()}


def env_lines(variables: Mapping[str, str]) -> str:
    """Return the variables as lines of an env file."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())
