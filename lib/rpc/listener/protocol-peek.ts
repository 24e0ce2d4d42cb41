// Decides which HTTP version a fresh cleartext connection speaks, from its first bytes, and gives the bytes back to the
// socket. It must not answer: what is not the HTTP/2 preface goes to the HTTP/1 parser, which refuses garbage itself.
import type { Duplex } from "node:stream";

/** What a peek found; `none` when the peer left, or said too little for too long. */
export type PeekedProtocol = "http1" | "http2" | "none";

// RFC 9113 section 3.4: a client that knows the server speaks HTTP/2 opens with these bytes.
const HTTP2_PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Waits until the first bytes tell the protocol, at most `timeoutMs`. Never rejects; the socket is left paused. */
export function peekProtocol(socket: Duplex, timeoutMs: number): Promise<PeekedProtocol> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => settle("none"), timeoutMs);
    const leave = (): void => settle("none");
    const look = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      }
      const length = Math.min(seen.length, HTTP2_PREFACE.length);
      if (!seen.subarray(0, length).equals(HTTP2_PREFACE.subarray(0, length))) {
        settle("http1");
      } else if (length === HTTP2_PREFACE.length) {
        settle("http2");
      }
    };
    const settle = (protocol: PeekedProtocol): void => {
      clearTimeout(timer);
      socket.off("readable", look).off("end", leave).off("close", leave);
      if (protocol !== "none") {
        socket.unshift(seen);
      }
      resolve(protocol);
    };
    socket.on("readable", look).on("end", leave).on("close", leave);
  });
}
