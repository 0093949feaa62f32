"""A kubeconfig's context, made into a client; whatever is wrong with it is said with its cause."""

from __future__ import annotations

import binascii
import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from party.process.errors import InputError, printable

_AGAIN = "copy it again from who gave it to you"


_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(context: str | None) -> tuple[Any, str, str]:
    """A client of the kubernetes package, the name to call its cluster by, and the namespace that
    is meant where none is said, as kubectl and helm take it: the context's, or else ``default``.

    Args:
        context: the context's name, or None for the current one. Where there is no kubeconfig, a
            process in a pod uses the pod's service account.

    Raises InputError for a kubeconfig or context that is not there, or that cannot be used.
    """
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException

    # It warns of each attempt; an error is enough.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    if context is None and in_pod and not os.environ.get("KUBECONFIG"):
        configuration = client.Configuration()
        config.load_incluster_config(client_configuration=configuration)
        own = _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.exists() else ""
        return client.ApiClient(configuration), "this pod's cluster", own or "default"
    try:
        contexts, active = config.list_kube_config_contexts(config_file=_kubeconfig())
    except (ConfigException, OSError):
        hint = "set KUBECONFIG, or make a cluster: kind create cluster"
        raise InputError("there is no kubeconfig", _kubeconfig(), hint) from None
    except Exception:  # the parser's own exceptions, which may quote what it read
        raise InputError("the kubeconfig is damaged", _kubeconfig(), _AGAIN) from None
    names = sorted(one["name"] for one in contexts)
    name = context or (active or {}).get("name")
    if name not in names:
        have = f"there are {', '.join(names)}" if names else "there is none"
        raise InputError(f"there is no context {name!r}", _kubeconfig(), have)
    where = f"context {name} in {_kubeconfig()}"
    try:
        with _logged() as errors:
            made = config.new_client_from_config(_kubeconfig(), name)
    except (ConfigException, OSError) as error:
        raise InputError(f"cannot use the context {name!r}: {error}", where, _AGAIN) from None
    except binascii.Error:
        what = f"cannot use the context {name!r}: its certificate, key or authority is no base64"
        raise InputError(what, where, _AGAIN) from None
    except Exception as error:  # as the parser's own: its text may quote what it read
        what = f"cannot use the context {name!r}: it is damaged ({type(error).__name__})"
        raise InputError(what, where, _AGAIN) from None
    if wrong := _wrong_in(made.configuration):
        raise InputError(
            f"cannot use the context {name!r}: {wrong}",
            where,
            _AGAIN,
        )
    if errors:  # of a plug-in that logs in; the client goes on without
        what = f"cannot log in: the exec plug-in of the context {name!r} failed: {errors[0]}"
        hint = "install the program that users[].user.exec.command names, or log in with it"
        raise InputError(printable(what, 400), where, hint)
    (named,) = (one for one in contexts if one["name"] == name)
    return made, f"context {name}", (named.get("context") or {}).get("namespace") or "default"


def _wrong_in(configuration: Any) -> str:
    """What TLS cannot use, which would else be taken for the server's fault; empty if nothing."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if configuration.ssl_ca_cert:
            context.load_verify_locations(configuration.ssl_ca_cert)
    except OSError:
        return "its certificate-authority is no certificate"
    try:
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except OSError:
        return "its client-certificate and client-key are no certificate and its key"
    return ""


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """What is logged as an error in the block, which nobody is shown."""
    errors: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(handler)


def _kubeconfig() -> str:
    return os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
