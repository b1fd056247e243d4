"""Merkle trees (section 10, RFC 6962 and RFC 9162) and the anchor leaf (section 11)."""
import hashlib
import struct
from typing import List, Optional, Sequence


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _decode(path: Sequence[str]) -> List[bytes]:
    return [bytes.fromhex(item) for item in path]


def root_from_inclusion(leaf: bytes, index: int, size: int,
                        path: Sequence[str]) -> Optional[bytes]:
    """RFC 9162 section 2.1.3.2: the root that a proof gives, None when it cannot be one."""
    if index >= size:
        return None
    node, last, result = index, size - 1, leaf_hash(leaf)
    for sibling in _decode(path):
        if last == 0:
            return None
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node != 0:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        node >>= 1
        last >>= 1
    return result if last == 0 else None


def consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes,
               path: Sequence[str]) -> bool:
    """RFC 9162 section 2.1.4.2, with the edge cases that section 10 names."""
    if old_size > new_size:
        return False
    if old_size == 0:
        return not path
    if old_size == new_size:
        return not path and old_root == new_root
    proof = _decode(path)
    if not proof:
        return False
    if old_size & (old_size - 1) == 0:
        proof.insert(0, old_root)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = proof[0]
    for item in proof[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(item, old), node_hash(item, new)
            while not node & 1 and node != 0:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, item)
        node >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root


def anchor_leaf(recording: str, stream: str, segment: int, seq: int, head: bytes) -> bytes:
    """Section 11: the 77 bytes that stand for one live stream."""
    return (b"sallyport/anchor/v1\0" + bytes.fromhex(recording.replace("-", ""))
            + struct.pack(">BII", 1 if stream == "input" else 0, segment, seq) + head)
