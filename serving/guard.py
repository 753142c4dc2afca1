"""Who may call, how often, and for how long: asked before anything of a call is read.

Address, ban, credentials, rate: in this order, each a matter of microseconds.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import Any, Final

from serving.allowlist import Allowlist
from serving.audit import Audit
from serving.caller import Caller
from serving.config import ServerConfig
from serving.credentials import Credentials
from serving.errors import ForbiddenError, LimitError, OverloadError, UnauthenticatedError
from serving.lease import Lease
from serving.ledger import Ledger
from serving.metrics import Metrics, Reason
from serving.rates import Rates, network_of

__all__ = ["Guard"]

_ALL: Final = "all"
_FORWARDED: Final = "x-forwarded-for"
# The same for an address that is banned: how to get round a ban is nobody's business.
_KEPT_OUT: Final = "this address may not call"


class Guard:
    """Admits callers; a context manager that closes the audit log. Used by one thread, that of the event loop.

    Args:
        config: settings.
        ledger: what all workers share.
        metrics: counts refusals.

    Raises:
        ConfigError: a file of keys or the audit log cannot be used.
    """

    def __init__(self, config: ServerConfig, *, ledger: Ledger, metrics: Metrics) -> None:
        self._config = config
        self._streams = ledger.streams
        self._metrics = metrics
        self._audit = Audit(config.audit_log)
        self._addresses = Allowlist(config.ip_allowlist, trusted_proxies=config.trusted_proxies)
        self._credentials = Credentials(config, ledger=ledger)
        self._rates = Rates(config, ledger=ledger)
        self._leases: set[Lease] = set()

    @property
    def open_streams(self) -> int:
        """Streams open now, over all workers."""
        return self._streams.total(_ALL)

    def admit(self, *, context: Any, method: str) -> Caller:
        """Who calls, if they may; the call counts towards their rate.

        Args:
            context: of the call, as ``grpc.aio`` gives it.
            method: name of the method, for the audit log.

        Raises:
            ForbiddenError: the address may not call, or is banned.
            LimitError: too many calls.
            UnauthenticatedError: credentials are missing, wrong or expired.
        """
        return self._count(self.screen(context=context, method=method), method=method)

    def screen(self, *, context: Any, method: str) -> Caller:
        """Who calls, if they may, without counting the call.

        Raises:
            ForbiddenError: the address may not call, or is banned.
            UnauthenticatedError: credentials are missing, wrong or expired.
        """
        metadata = context.invocation_metadata() or ()
        address = self._enter(context.peer(), metadata, method=method)
        caller = self._credentials.identify(context, metadata=metadata, address=address)
        if caller is None:
            self._refuse("credentials", method=method, address=address)
            self._offend(address)
            raise UnauthenticatedError
        return caller

    def admit_peer(self, *, peer: str, method: str) -> Caller:
        """Who calls in a protocol that knows no credentials.

        Args:
            peer: the other end of the connection, as gRPC writes it: ``ipv4:192.0.2.1:5000``.
            method: for the audit log.

        Raises:
            ForbiddenError: the address may not call, or is banned.
            LimitError: too many calls.
        """
        address = self._enter(peer, (), method=method)
        return self._count(Caller(identity="anonymous", kind="open", address=address), method=method)

    def admit_probe(self, *, context: Any, method: str) -> None:
        """Let a call through that only asks whether the server is well.

        It needs credentials unless it comes from this machine, or the setting `open_health` says that it needs none.

        Raises:
            ForbiddenError: as `admit`, and so are the others.
            LimitError: too many calls.
            UnauthenticatedError: credentials are missing, wrong or expired.
        """
        address = self._enter(context.peer(), context.invocation_metadata() or (), method=method)
        if not self._config.open_health and not ipaddress.ip_address(address).is_loopback:
            self.admit(context=context, method=method)

    def open_stream(self, caller: Caller) -> Lease:
        """Count a new stream, until its lease is left.

        Raises:
            LimitError: the caller has as many open as it may.
            OverloadError: the server has.
        """
        most, mine = self._config.max_connections, self._config.max_connections_per_identity
        if not self._streams.enter(_ALL, most=most):
            self._audit.record("refused", reason="overload", **_facts(caller))
            raise OverloadError("this server has as many streams open as it may", hint="Try again later")
        if not self._streams.enter(_counted(caller), most=mine):
            self._streams.leave(_ALL)
            self._refuse("streams", **_facts(caller))
            raise LimitError("too many streams open", expected=f"at most {mine}")
        lease = Lease(
            caller,
            settle=functools.partial(self._settle, caller),
            holds=functools.partial(self._holds, caller),
            leave=self._leave,
        )
        self._leases.add(lease)
        return lease

    def issue(self, caller: Caller, ttl_s: float) -> tuple[str, str, float]:
        """A token for a caller, its id, and when it expires, seconds since 1970-01-01 UTC.

        Raises:
            ForbiddenError: the caller itself came with a token.
            ProtocolError: the life is no number of seconds.
            UnsupportedError: this server issues none.
        """
        token = self._credentials.issue(caller, ttl_s=ttl_s)
        self._audit.record(
            "token issued",
            identity=caller.identity,
            address=caller.address,
            token_id=token.id,
            until=token.expires_at_s,
        )
        return token.text, token.id, token.expires_at_s

    def revoke(self, caller: Caller, *, token: str | None = None, token_id: str | None = None) -> None:
        """End a token that the caller holds or asked for, and the streams that were opened with it.

        Raises:
            OverloadError: so many were revoked that this one cannot be kept.
            ProtocolError: there is no such token of this caller.
            UnsupportedError: this server issues none.
        """
        token_id = self._credentials.revoke(caller, token=token, token_id=token_id)
        self._audit.record("token revoked", identity=caller.identity, address=caller.address, token_id=token_id)

    def sweep(self) -> None:
        """End the streams whose credentials no longer hold; to be called every second or so."""
        for lease in tuple(self._leases):
            lease.sweep()

    def close(self) -> None:
        """Close the audit log."""
        self._audit.close()

    def _enter(self, peer: str, metadata: Any, *, method: str) -> str:
        """The address of a caller that is neither kept out nor banned."""
        try:
            found = self._addresses.find(peer, forwarded=[value for name, value in metadata if name == _FORWARDED])
        except ForbiddenError:
            self._refuse("address", method=method, address=peer)
            raise
        address = str(found)
        if not self._addresses.allows(found):
            self._refuse("address", method=method, address=address)
            raise ForbiddenError(_KEPT_OUT)
        if self._rates.is_banned(address):
            self._refuse("ban", method=method, address=address)
            raise ForbiddenError(_KEPT_OUT)
        return address

    def _count(self, caller: Caller, *, method: str) -> Caller:
        """Charge a caller for a call."""
        if not self._rates.take_call(caller):
            self._refuse("rate", method=method, **_facts(caller))
            self._offend(caller.address)
            config = self._config
            raise LimitError("too many calls", expected=f"at most {config.rate_limit} in {config.rate_window:g} s")
        if caller.kind != "open":
            self._audit.record("admitted", method=method, **_facts(caller))
        return caller

    def _settle(self, caller: Caller, audio_s: float) -> None:
        """Charge for audio."""
        if not self._rates.take_audio(caller, audio_s):
            self._refuse("audio_rate", **_facts(caller))
            limit_s, window_s = self._config.rate_limit_audio_s, self._config.rate_window
            raise LimitError("too much audio", expected=f"at most {limit_s:g} s in {window_s:g} s")

    def _offend(self, address: str) -> None:
        """Ban an address that goes on and on."""
        if self._rates.offend(address):
            self._audit.record("banned", address=address, for_s=self._config.ban_duration)

    def _holds(self, caller: Caller) -> bool:
        """Whether a caller's credentials still hold; told once, since the stream then ends."""
        if self._credentials.hold(caller):
            return True
        self._refuse("ended", **_facts(caller))
        return False

    def _leave(self, lease: Lease) -> None:
        """A stream is over."""
        self._leases.discard(lease)
        self._streams.leave(_counted(lease.caller))
        self._streams.leave(_ALL)

    def _refuse(self, reason: Reason, **facts: str | None) -> None:
        self._metrics.refused(reason)
        self._audit.record("refused", reason=reason, **facts)


def _facts(caller: Caller) -> dict[str, str | None]:
    """What the audit log tells of a caller."""
    return {
        "identity": caller.identity,
        "kind": caller.kind,
        "address": caller.address,
        "token_id": caller.token_id,
        "key_id": caller.key_id,
    }


def _counted(caller: Caller) -> str:
    """Whose streams are counted together: those of an identity, or of an address where nobody has one."""
    return f"address {network_of(caller.address)}" if caller.kind == "open" else f"identity {caller.identity}"
