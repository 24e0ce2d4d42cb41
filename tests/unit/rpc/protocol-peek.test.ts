// Which protocol a peek finds when the first bytes come in pieces, and that no byte is lost by it.
import { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { peekProtocol } from "../../../lib/rpc/listener/protocol-peek.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

test.for([
  [["GET / HTTP/1.1\r\n"], "http1"],
  [["P", "OST / HTTP/1.1\r\n"], "http1"],
  [["PRI", " / HTTP/1.1\r\n"], "http1"],
  [[PREFACE.slice(0, -1), "x"], "http1"],
  [[PREFACE], "http2"],
  [[`${PREFACE}more`], "http2"],
  [[PREFACE.slice(0, 5), PREFACE.slice(5, 6), PREFACE.slice(6)], "http2"],
] as const)("%j is %s", async ([pieces, protocol]) => {
  const socket = new Duplex({ read: () => undefined });
  const peeked = peekProtocol(socket, 10_000);
  for (const piece of pieces) {
    socket.push(piece);
    await nextTurn();
  }
  expect(await peeked).toBe(protocol);
  expect(String(socket.read())).toBe(pieces.join(""));
});

test("a peer that leaves within the preface speaks nothing", async () => {
  const socket = new Duplex({ read: () => undefined });
  const peeked = peekProtocol(socket, 10_000);
  socket.push(PREFACE.slice(0, 5));
  await nextTurn();
  socket.push(null);
  expect(await peeked).toBe("none");
});
