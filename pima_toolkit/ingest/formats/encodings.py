"""The encoding of a text file: what its first bytes say, then UTF-8, then the code pages of laboratories."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from ...data.limits import check_limit
from ...data.reading_log import Unusable
from ...errors import require

#: Largest text file taken apart line by line, in bytes: half a minute, and fifteen times its size in memory.
MOST_BYTES = 100_000_000
#: Code pages whose letters are one byte each; cp1250 and cp1252 agree on umlauts and differ in ² and ³, without which
#: N/mm² is no unit.
_SINGLE = ["cp1252", "cp1250", "cp1251", "mac_roman"]
#: Those of two bytes a sign; without a list a short file may come out in any of a hundred.
_DOUBLE = ["shift_jis", "gb18030"]
#: What stands beyond ASCII in German and English files of measurements, and its bytes in cp1252.
_WESTERN = "äöüÄÖÜßéµ°±·×²³–€§"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: First bytes of what is no text, whatever it is called.
_OTHERS = {
    b"PK\x03\x04": "a workbook or another zip archive: if it is one of Excel, give it the ending .xlsx",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls): save it as .xlsx or CSV",
    b"%PDF": "a PDF: export the numbers instead",
    b"{\\rtf": "a document (RTF): save it as plain text",
}
_BEYOND = re.compile(rb"[\x80-\xff]+")


def decode(path: Path, limits: float = 1.0, option: str = "", what: str = "bytes of text") -> tuple[str, str | None]:
    """A file's text, and its encoding where that had to be guessed.

    Args:
        path: The file.
        limits: Factor on the bytes that are read.
        option: How the user raises the limits.
        what: What is counted, for the sentence of a file that is too large.

    Raises:
        Unusable: If the file is empty, very large, or no text.
    """
    size = path.stat().st_size
    if size == 0:
        raise Unusable("is empty (0 bytes)")
    check_limit(size, MOST_BYTES, what, Unusable, limits=limits, option=option)
    content = path.read_bytes()
    for mark, what in _OTHERS.items():
        if content.startswith(mark):
            raise Unusable(f"is no text, but {what}")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    guessed = None
    head = content[:4096]
    if encoding is None and head.count(0) > 0.2 * len(head):  # Latin letters in UTF-16 have every other byte zero
        zeros = [head[k::2].count(0) for k in (0, 1)]
        guessed = encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    for name in (encoding,) if encoding else ("utf-8", None):
        if name is None:  # no Unicode: an old code page
            guessed = name = code_page(content)
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if text.count("\0") == 0:
            return text, guessed
    raise Unusable("is no text: it holds zero bytes or broken characters")


def code_page(content: bytes) -> str:
    """The code page of a text that is no Unicode.

    A text whose signs beyond ASCII are umlauts and signs of units alone is cp1252, as Windows writes it: one ° or µ is
    too little for statistics, which may find a Chinese sign in two such bytes. Others are judged by the frequencies of
    their letters; pages of two bytes a sign are looked at only where such bytes stand side by side.
    """
    if _is_western(content):
        return "cp1252"
    runs = [len(run) for run in _BEYOND.findall(content)]
    alone = sum(n == 1 for n in runs) > 0.5 * len(runs)
    pages = _SINGLE if alone else [*_SINGLE, *_DOUBLE]
    best = require("charset_normalizer", "text files").from_bytes(content, cp_isolation=pages).best()
    return best.encoding if best is not None else "cp1252" if alone else "latin-1"


def _is_western(content: bytes) -> bool:
    """Whether a text is umlauts and signs of units alone in cp1252; ² and ³ inside a word are Polish letters."""
    text = content.decode("cp1252", errors="replace")
    signs = {sign for sign in set(text) if ord(sign) > 127}
    return signs <= set(_WESTERN) and not re.search(r"[²³][^\W\d_]", text)
