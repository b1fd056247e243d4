"""Merkle trees of RFC 6962 with the proof algorithms of RFC 9162 (section 10), and anchor leaves (section 11)."""

from canonical import sha256

EMPTY = sha256(b"")


def leaf_hash(leaf):
    return sha256(b"\0" + leaf)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


def root_of(hashes):
    """Root over a list of leaf hashes."""
    if not hashes:
        return EMPTY
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def root_from_inclusion(index, size, leaf, path):
    """RFC 9162 section 2.1.3.2: the root that the path gives for a leaf hash, or None."""
    if not 0 <= index < size:
        return None
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    return r if sn == 0 else None


def inclusion_ok(index, size, leaf, path, root):
    return root_from_inclusion(index, size, leaf, path) == root


def consistency_ok(old_size, new_size, old_root, new_root, path):
    """RFC 9162 section 2.1.4.2, with the two edges of section 10 of the document."""
    if old_size > new_size:
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size == 0:
        return not path
    path = list(path)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = node_hash(c, fr)
            sr = node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    return fr == old_root and sr == new_root and sn == 0


def anchor_leaf(recording, stream, segment, seq, c):
    """The 77 bytes of section 11; recording is a uuid string, c is 32 bytes."""
    return (
        b"sallyport/anchor/v1\0"
        + bytes.fromhex(recording.replace("-", ""))
        + bytes([0 if stream == "screen" else 1])
        + segment.to_bytes(4, "big")
        + seq.to_bytes(4, "big")
        + c
    )
