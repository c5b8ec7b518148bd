#!/usr/bin/env python3
"""Checks exported audit logs without Simpul: python3 audit_verify.py [--key KEY] FILE...

Standard library only; prints one JSON line per file and exits 0 only if every file holds. What is
checked, and which entry is named, stands at the top of gateway/core/src/audit/export.rs.
"""
import base64
import hashlib
import json
import re
import sys

FORMAT, EVERY, MAX_LINE, MAX_ENTRY = "simpul-audit-export/1", 256, 16384, 8192
KEYS = ["seq", "time", "actor", "action", "object", "outcome", "reason", "details"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DECIMAL = re.compile(r"0|[1-9]\d{0,19}")
MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)


class Bad(Exception):
    """The index of the first bad entry, and what is wrong."""


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def dump(value):
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def must(condition, what):
    if not condition:
        raise ValueError(what)


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    must(base64.b64encode(data).decode() == text, "another spelling of base64")
    return data


# Ed25519 as RFC 8032, section 5.1, defines it, with points as (X, Y, Z, T).
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x if (x * x - x2) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    must(y < P and (x * x - x2) % P == 0 and (x or not sign), "the key is not a point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(public, message, signature):
    (x, y, z, t), s = point(public), int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus = (P - x, y, z, P - t)
    table, sum_ = ((0, 1, 1, 0), BASE, minus, add(BASE, minus)), (0, 1, 1, 0)
    for bit in range(252, -1, -1):
        sum_ = add(add(sum_, sum_), table[(s >> bit & 1) + 2 * (k >> bit & 1)])
    inverse = pow(sum_[2], P - 2, P)
    nonce = sum_[1] * inverse % P | (sum_[0] * inverse % P & 1) << 255
    return s < L and nonce.to_bytes(32, "little") == signature[:32]


def root(peaks):
    node = peaks[-1] if peaks else sha()
    for left in reversed(peaks[:-1]):
        node = sha(b"\x01", left, node)
    return node


def read_header(line):
    key = json.loads(line)["key"]
    origin, key_id, typed = key.split("+", 2)
    typed = unbase64(typed)
    must(typed[0] == 1 and len(typed) == 33 and sha(origin.encode(), b"\n", typed)[:4].hex() == key_id, "not a key")
    must(dump({"format": FORMAT, "key": key}) + b"\n" == line, "not the header of an export")
    return key, origin, bytes.fromhex(key_id), typed[1:]


def read_entry(line, index, link):
    """The leaf hash and the link of an entry line."""
    encoded, tail = line[9:-55], line[-55:]
    entry = json.loads(encoded)
    details = entry["details"]
    must(list(entry) == KEYS and len(encoded) <= MAX_ENTRY and TIME.fullmatch(entry["time"]), "not an entry")
    must(list(details) == sorted(details) and all(type(v) in (str, int, bool) for v in details.values()), "details")
    leaf = sha(b"\x00", encoded)
    link = sha(b"\x02", link, leaf)
    must(entry["seq"] == index, f"entry {entry['seq']} stands in its place")
    must(dump(entry) == encoded and tail == b',"link":"' + base64.b64encode(link) + b'"}', "changed")
    return leaf, link


def read_checkpoint(line, origin, key_id, public):
    """The size, root and further lines of a checkpoint line that the key has signed."""
    note = json.loads(line)["checkpoint"]
    must(dump({"checkpoint": note}) == line and not re.search(r"[\x00-\x09\x0b-\x1f]", note), "another spelling")
    text, signatures = note.rsplit("\n\n", 1)
    head, signed = text.split("\n"), False
    must(head[0] == origin and DECIMAL.fullmatch(head[1]) and "" not in head and signatures[-1] == "\n", "not of this log")
    for signature in signatures[:-1].split("\n"):
        mark, name, signature = signature.split(" ")
        signature = unbase64(signature)
        must(mark == "\u2014" and name and "+" not in name and len(signature) >= 4, "not a signature line")
        if name == origin and signature[:4] == key_id:
            signed = len(signature) == 68 and ed25519(public, text.encode() + b"\n", signature[4:])
            must(signed, "wrong signature")
    must(signed, "not signed by the key")
    return int(head[1]), unbase64(head[2]), head[3:]


def guarded(index, function, *arguments):
    try:
        return function(*arguments)
    except MALFORMED as error:
        raise Bad(index, f"{function.__name__}: {error}") from error


def verify(file, pinned):
    key, *log = guarded(0, read_header, file.readline(MAX_LINE))
    guarded(0, must, pinned in (None, key), "the key is not the expected one")
    size, vouched, link, peaks = 0, 0, bytes(32), []
    while True:
        line = file.readline(MAX_LINE)
        guarded(size, must, line.endswith(b"\n") or len(line) == MAX_LINE, "the file ends here")
        line = line.removesuffix(b"\n")
        if line.startswith(b'{"entry":'):
            node, link = guarded(size, read_entry, line, size, link)
            guarded(size, must, size - vouched < EVERY, "the checkpoint before it is missing")
            level = size
            while level & 1:
                node, level = sha(b"\x01", peaks.pop(), node), level >> 1
            peaks.append(node)
            size += 1
            continue
        guarded(size, must, line.startswith(b'{"checkpoint":'), "neither an entry nor a checkpoint")
        claimed, tree, more = guarded(vouched, read_checkpoint, line, *log)
        guarded(size, must, claimed <= size, "entries are missing before the checkpoint")
        guarded(vouched, must, claimed == size and (size > vouched or size == 0), "the checkpoint is an older one")
        guarded(vouched, must, tree == root(peaks), "the entries since then are not those that were signed")
        last = len(more) == 1 and more[0].startswith("export ") and TIME.fullmatch(more[0][7:])
        guarded(vouched, must, last or (size and not more), "unknown extension")
        vouched = size
        if last:
            guarded(size, must, not file.read(1), "something follows the end")
            return {"ok": True, "entries": size, "root": root(peaks).hex(), "origin": log[0],
                    "fingerprint": sha(log[2]).hex(), "pinned": pinned is not None}


def main(arguments):
    pinned, good = arguments[1] if arguments[:1] == ["--key"] else None, True
    for path in arguments[2 if pinned else 0:]:
        try:
            with open(path, "rb") as file:
                verdict = verify(file, pinned)
        except Bad as bad:
            verdict, good = {"ok": False, "index": bad.args[0], "what": bad.args[1]}, False
        print(json.dumps({"file": path, **verdict}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
