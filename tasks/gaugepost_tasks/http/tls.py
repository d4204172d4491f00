"""Build the TLS context: which servers to trust, and which certificate to present."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import certifi

if TYPE_CHECKING:
    from gaugepost.errors import SettingsError


def tls_context(
    ca_file: Path | str | None = None, client_cert: Path | str | None = None, client_key: Path | str | None = None
) -> ssl.SSLContext:
    """Return a context that trusts the authorities in `ca_file`, else certifi's, and presents the certificate.

    All arguments are paths of PEM files. Raises SettingsError that names the setting of an unusable file.
    """
    # Not create_default_context(): it obeys SSLKEYLOGFILE, and would write session keys to a file.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_verify_locations(certifi.where())
    else:
        _load_authorities(context, ca_file)
    if client_cert is not None:
        _load_certificate(context, client_cert, client_key)
    return context


def _load_authorities(context: ssl.SSLContext, ca_file: Path | str) -> None:
    _read("CA_FILE", ca_file)
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise _unusable("CA_FILE", "holds no certificate in PEM") from None


def _load_certificate(context: ssl.SSLContext, cert: Path | str, key: Path | str | None) -> None:
    text = _read("CLIENT_CERT", cert)
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise _unusable("CLIENT_CERT", "holds no certificate in PEM")
    name, text = ("CLIENT_CERT", text) if key is None else ("CLIENT_KEY", _read("CLIENT_KEY", key))
    if b"PRIVATE KEY-----" not in text:
        hint = "; set GAUGEPOST_CLIENT_KEY" if key is None else ""
        raise _unusable(name, f"holds no private key in PEM{hint}")
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _unusable(name, "is not the key of the certificate") from None
        raise _unusable("CLIENT_CERT", "it or its key cannot be read as PEM") from None
    except _Encrypted:
        raise _unusable(name, "is encrypted, and a worker cannot be asked for a passphrase") from None


class _Encrypted(Exception):  # noqa: N818 - a signal, not an error
    """OpenSSL needs a passphrase. Raising this stops it from asking on the terminal."""


def _no_passphrase() -> NoReturn:
    raise _Encrypted


def _read(name: str, path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unusable(name, f"cannot be read: {type(error).__name__}") from None


def _unusable(name: str, why: str) -> SettingsError:
    """Return the error that names a setting. Import it here: `DirectAdapter` also runs without gaugepost."""
    from gaugepost.errors import SettingsError  # noqa: PLC0415
    from gaugepost.settings import PREFIX  # noqa: PLC0415

    return SettingsError(f"{PREFIX}{name}: {why}")
