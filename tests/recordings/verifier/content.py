"""Check 7: wraps, decryption, inflation and content (sections 3, 4, 16 and 19)."""
import zlib
from typing import Optional, Union

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import jwe
from asciicast import Cast
from chain import Observer
from content_error import ContentError
from context import Context
from desktop import Desktop
from segments import DEFLATE, Frame, SegmentReader


def inflate(data: bytes, plain_len: int) -> Optional[bytes]:
    """One raw deflate stream that ends exactly at the end and gives plain_len bytes."""
    stream = zlib.decompressobj(-15)
    try:
        plain = stream.decompress(data, plain_len + 1)
    except zlib.error:
        return None
    whole = stream.eof and not stream.unused_data and not stream.unconsumed_tail
    return plain if whole and len(plain) == plain_len else None


class ContentCheck(Observer):
    """Decrypts the verified frames of every segment that has a wrap."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.check = ctx.report["content"]
        self.active = self._can_run()
        self.aead: Optional[AESGCM] = None
        self.content: Union[Cast, Desktop, None] = None
        self.sealed = 0

    def _can_run(self) -> bool:
        """Whether there is a key that the package was made for."""
        if self.ctx.key is None or self.ctx.manifest is None:
            self.check.absent("content-not-checked")
            return False
        recipient = self.ctx.package_jws and self.ctx.package_jws.payload["recipient"]["kid"]
        if not recipient or self.ctx.key.kid not in (None, recipient):
            self.check.absent("key-not-recipient")
            return False
        return True

    def begin(self, item: dict, reader: Optional[SegmentReader]) -> None:
        self.aead = self.content = None
        if not self.active:
            return
        stream, number = item["stream"], item["number"]
        name = "keys/%s-%d.jwe" % (stream, number)
        if not self.ctx.package.has(name):
            if stream == "screen":
                self.check.fail("wrap-missing", name)
            else:
                self.sealed += 1
            return
        if reader is None or reader.header is None:
            return
        data = self.ctx.read_file(name, self.check)
        if data is None:
            return
        key, wrong = jwe.open_wrap(data, self.ctx.key, reader.header["recording"], stream, number)
        if key is None:
            self.check.fail(wrong, name)
        elif not jwe.commits(key, reader.header["dek_commitment"]):
            self.check.fail("commitment-mismatch", name)
        else:
            medium = Desktop if reader.header["media"] == "rfb-v1" else Cast
            self.aead, self.content = AESGCM(key), medium(reader.header)

    def frame(self, item: dict, reader: SegmentReader, frame: Frame, before: bytes) -> None:
        if self.aead is None:
            return
        where = "segments/%s-%d.spr frame %d" % (item["stream"], item["number"], frame.seq)
        try:
            plain = self.aead.decrypt(frame.nonce, frame.body,
                                      frame.associated(reader.hh, before))
        except InvalidTag:
            return self._stop("decrypt-failed", where)
        if frame.flags & DEFLATE:
            plain = inflate(plain, frame.plain_len)
            if plain is None:
                return self._stop("inflate-failed", where)
        try:
            self.content.feed(frame, plain)
        except ContentError as error:
            self._stop(error.args[0], where)
        return None

    def _stop(self, code: str, where: str) -> None:
        """The rest of the segment says nothing more."""
        self.check.fail(code, where)
        self.aead = None

    def finish(self) -> None:
        """What stayed sealed."""
        if self.sealed:
            self.ctx.report.note("%d input segments stay sealed" % self.sealed)
