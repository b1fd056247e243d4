"""The trust file keys.json (section 14)."""
from typing import Any, Dict, List, Optional, Tuple

import base
import notes
import schemas as s
from formats_log import TRUST

MAX_TRUST = 32 * 1024 * 1024


class TrustError(ValueError):
    """The trust file cannot be used: no verdict."""


def _valid(item: dict, index: int) -> bool:
    """A key counts at index i when from_index <= i and (to_index is null or i < to_index)."""
    return item["from_index"] <= index and (item["to_index"] is None
                                            or index < item["to_index"])


class Trust:
    """What the auditor trusts."""

    def __init__(self, value: dict) -> None:
        self.deployment: str = value["deployment"]
        self.rp_id: str = value["rp"]["id"]
        self.origins: List[str] = value["rp"]["origins"]
        self.origin: str = value["log"]["origin"]
        self._log = value["log"]["keys"]
        self.witnesses: List[Tuple[str, bytes]] = [
            (item["name"], base.b64url_decode(item["x"])) for item in value["witnesses"]]
        self._keys: Dict[Tuple[str, Optional[str], str], List[dict]] = {}
        for item in value["keys"]:
            if (item["use"] == "gateway") != (item["gateway"] is not None):
                raise TrustError("gateway is for keys of use gateway, and for all of them")
            self._keys.setdefault((item["use"], item["gateway"], item["kid"]), []).append(item)
        for items in self._keys.values():
            _refuse_overlap(items)
        self.checkpoints = [self._known(text) for text in value["checkpoints"]]

    def _known(self, text: str) -> notes.Checkpoint:
        """Section 16, check 5: a known checkpoint is signed and of the same origin."""
        note = notes.parse(text)
        if note is None or note.origin != self.origin or not self.signs(note):
            raise TrustError("a checkpoint of the trust file is not signed by the log")
        return note

    def signs(self, note: notes.Checkpoint) -> bool:
        """A log key valid at size - 1 signed the note."""
        keys = [base.b64url_decode(item["x"]) for item in self._log
                if _valid(item, note.size - 1)]
        return notes.signed_by_log(note, keys)

    def broker(self, kid: str, index: int) -> Optional[bytes]:
        """The broker key of that kid at a log index."""
        return self._find(("broker", None, kid), index)

    def gateway(self, gateway: str, kid: str, index: int) -> Optional[bytes]:
        """The key of that kid and gateway at a log index."""
        return self._find(("gateway", gateway, kid), index)

    def _find(self, name: Tuple[str, Optional[str], str], index: int) -> Optional[bytes]:
        for item in self._keys.get(name, ()):
            if _valid(item, index):
                return base.b64url_decode(item["x"])
        return None


def _refuse_overlap(items: List[dict]) -> None:
    """Section 14: a file in which two ranges of one kid overlap is unreadable."""
    ranges = sorted((item["from_index"],
                     base.MAX_INT + 1 if item["to_index"] is None else item["to_index"])
                    for item in items)
    ranges = [(low, high) for low, high in ranges if low < high]
    for before, after in zip(ranges, ranges[1:]):
        if after[0] < before[1]:
            raise TrustError("two keys of one kid overlap")


def load(data: bytes) -> Trust:
    """Read a trust file; TrustError when it cannot be used."""
    value: Any
    if len(data) > MAX_TRUST:
        raise TrustError("the trust file is too large")
    value, wrong = s.read(data, TRUST)
    if wrong:
        raise TrustError("the trust file is " + wrong)
    return Trust(value)
