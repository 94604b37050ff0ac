"""Which addresses a process listens on."""

from __future__ import annotations

from pathlib import Path

_LISTENS = "0A"


def listening(pid: int) -> list[str]:
    """The addresses of a Linux process's listening sockets, as `address:port`."""
    own = {_target(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    found = []
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENS and f"socket:[{rest[5]}]" in own:
                address, port = local.split(":")
                found.append(f"{_address(address)}:{int(port, 16)}")
    return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def _address(kept: str) -> str:
    """An address as it is written; the kernel keeps words of four bytes, the last byte first."""
    words = [bytes.fromhex(kept[at : at + 8])[::-1] for at in range(0, len(kept), 8)]
    whole = b"".join(words)
    if len(whole) == 16 and whole[:12] == b"\0" * 10 + b"\xff\xff":
        whole = whole[12:]  # an IPv4 address in a socket of IPv6
    if len(whole) == 4:
        return ".".join(map(str, whole))
    return "::1" if whole == b"\0" * 15 + b"\x01" else whole.hex(":", 2)
