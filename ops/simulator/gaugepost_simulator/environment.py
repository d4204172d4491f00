"""The settings that point a gaugepost at this simulator, as environment variables."""

from collections.abc import Mapping

PREFIX = "GAUGEPOST_"


def environment(url: str, credentials: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Give the variables for a simulator at ``url``; ``{region}`` is left for the client to fill in."""
    names = {f"{api.upper()}_URL": f"{url}/{api}/{{region}}" for api in ("auth", "imports", "api")}
    for region, values in credentials.items():
        names |= {f"{region.upper()}_{name.upper()}": value for name, value in values.items()}
    return {PREFIX + name: value for name, value in names.items()}


def env_lines(variables: Mapping[str, str]) -> str:
    """Write variables as an env file."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())
