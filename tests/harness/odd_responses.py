"""Responses that servers really send, and that a strict parser refuses or never finishes.

Collected from the test suites of h11 and curl, from RFC 9112 and from llhttp's leniencies.
"""

REUSABLE = {
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "no reason but a space": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "reason in utf-8": "HTTP/1.1 200 Très bien\r\nContent-Length: 2\r\n\r\nok".encode(),
    "reason with a nul": b"HTTP/1.1 200 a\0b\r\nContent-Length: 2\r\n\r\nok",
    "blank lines before": b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "value in latin-1": b"HTTP/1.1 200 OK\r\nX: \xe9\xff\r\nContent-Length: 2\r\n\r\nok",
    "interim with a length": b"HTTP/1.1 100 Go\r\nContent-Length: 9\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "empty 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
}
"""Well-formed enough: the connection may be used again."""

WHOLE = {
    "bare newlines": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare newline after the head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\nok",
    "bare newlines in interim": b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http/2 without minor version": b"HTTP/2 200\r\ncontent-length: 2\r\n\r\nok",
    "small letters": b"http/1.1 200 ok\r\ncontent-length: 2\r\n\r\nok",
    "two spaces": b"HTTP/1.1  200  OK\r\nContent-Length: 2\r\n\r\nok",
    "tabs": b"HTTP/1.1\t200\tOK\r\nContent-Length: 2\r\n\r\nok",
    "carriage return in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
    "folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "folded first line": b"HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "line without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nok",
    "line without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok",
    "bracket in a name": b"HTTP/1.1 200 OK\r\nX(y): x\r\nContent-Length: 2\r\n\r\nok",
    "name in utf-8": "HTTP/1.1 200 OK\r\nGröße: x\r\nContent-Length: 2\r\n\r\nok".encode(),
    "nul in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "control characters in a value": b"HTTP/1.1 200 OK\r\nX: a\x01b\x7f\r\nContent-Length: 2\r\n\r\nok",
    "carriage return in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "both lengths reversed": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    "coding identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    "equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "equal lengths in a list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "unequal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "connection close and more": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok and more",
    "body behind a 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    "chunks behind a 204": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunk with spaces": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n",
    "chunk with newlines": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
    "chunk without its end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok0\r\n\r\n",
    "chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunk of endless size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    "chunk with a broken extension": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a="b\r\nok\r\n0\r\n\r\n',
    "head beyond the bound": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "too many lines": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3_000 + b"\r\n",
    "body beyond the bound": b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 300_000,
}
"""Finished without the end of the connection, and nothing may follow on it."""

TWO_LENGTHS = {"both lengths", "both lengths reversed", "equal lengths", "equal lengths in a list"}
"""Their bodies are read as RFC 9112 §6.3 says, and then the connection is closed: Transfer-Encoding wins, equal lengths
are one."""

UNFINISHED = {
    "no length": b"HTTP/1.1 200 OK\r\n\r\nok",
    "length that is a word": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
    "length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "length of 23 digits": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
    "coding behind chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nok",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "event stream": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
    "status line alone": b"HTTP/1.1 200 OK\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "half a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y",
}
"""Without an end of their own: the connection ends, or the rest is not waited for."""

ACKNOWLEDGED = {**REUSABLE, **WHOLE, **UNFINISHED}

MALFORMED = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "binary": b"\x00\xff" * 500,
    "a page without a head": b"<html>ok</html>",
    "status of letters": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status glued to its reason": b"HTTP/1.1 200-OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    "space before the line": b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "icecast": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "rtsp": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "rtsp beyond the bound": b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 3_000 + b"\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "switching with bare newlines": b"HTTP/1.1 101 Switching\nUpgrade: x\n\n",
    "nine interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}
"""No status line that could be believed: `response_malformed`."""

TOO_LARGE = {
    "endless status line": b"HTTP/1.1 200 " + b"O" * 20_000 + b"K\r\n\r\n",
    "endless interim head": b"HTTP/1.1 103 Early\r\n" + b"X: y\r\n" * 3_000 + b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "endless blank lines": b"\r\n" * 9_000 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}
"""The bound of a head is reached before a final status line: `response_too_large`."""

CUT_SHORT = {"nothing": b"", "half a status line": b"HTTP/1.1 200 OK", "interim only": b"HTTP/1.1 100 Continue\r\n\r\n"}
"""The connection ends before a final status line has arrived whole: no response."""
