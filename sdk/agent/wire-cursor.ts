// Reads Protobuf's wire format in its plainest form, where making messages of it costs too much: whole numbers that JavaScript holds
// exactly, short ASCII texts without a decoder. It throws UNUSUAL for everything else, and whoever uses it falls back to the schema.

/** Thrown where the bytes must be read by the schema: they are in a form that is not expected, or none at all. */
export const UNUSUAL: Error = new Error("not in the plainest form");

const MAX_COUNT = 0x7fff_ffff;
const MAX_NANOS = 999_999_999;
// Up to here, looking at each byte is faster than setting up a decoder.
const SHORT_TEXT = 256;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A place in bytes. */
export class WireCursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** A whole number from 0 to 2^53 - 1. */
  number(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 53; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw UNUSUAL;
      if (byte < 128) {
        value += byte * scale;
        if (value > Number.MAX_SAFE_INTEGER) throw UNUSUAL;
        return value;
      }
      value += (byte - 128) * scale;
    }
    throw UNUSUAL;
  }

  /** A count, which an int32 holds. */
  count(): number {
    const value = this.number();
    if (value > MAX_COUNT) throw UNUSUAL;
    return value;
  }

  /** A flag. */
  flag(): boolean {
    const value = this.number();
    if (value > 1) throw UNUSUAL;
    return value === 1;
  }

  /** A double. */
  double(): number {
    if (this.at + 8 > this.bytes.length) throw UNUSUAL;
    this.at += 8;
    return this.bytes.readDoubleLE(this.at - 8);
  }

  /** Where the message, text or bytes that begin here end: within what `end` bounds. */
  end(end: number): number {
    const length = this.number();
    if (this.at + length > end) throw UNUSUAL;
    return this.at + length;
  }

  /** The next tag, which must be higher than `last`: so writes whoever writes by the schema. */
  tag(last: number): number {
    const tag = this.number();
    if (tag <= last) throw UNUSUAL;
    return tag;
  }

  /** Checks that a message ended where it should. */
  close(end: number): void {
    if (this.at !== end) throw UNUSUAL;
  }

  /** A text. */
  text(end: number): string {
    const to = this.end(end);
    const from = this.at;
    this.at = to;
    if (to - from <= SHORT_TEXT && this.#isAscii(from, to)) return this.bytes.toString("latin1", from, to);
    try {
      return utf8.decode(this.bytes.subarray(from, to));
    } catch {
      throw UNUSUAL;
    }
  }

  /** Passes over a text, which must be ASCII. */
  passAscii(end: number): void {
    const to = this.end(end);
    if (!this.#isAscii(this.at, to)) throw UNUSUAL;
    this.at = to;
  }

  /** Passes over bytes. */
  passBytes(end: number): void {
    this.at = this.end(end);
  }

  /** A Duration in milliseconds, which must not be negative and have at most `maxSeconds` seconds; also a Timestamp, since 1970. */
  milliseconds(end: number, maxSeconds: number): number {
    const to = this.end(end);
    let [seconds, nanos] = [0, 0];
    for (let last = 0; this.at < to;) {
      last = this.tag(last);
      if (last === 0x08) seconds = this.number();
      else if (last === 0x10) nanos = this.number();
      else throw UNUSUAL;
    }
    this.close(to);
    if (seconds > maxSeconds || nanos > MAX_NANOS) throw UNUSUAL;
    return seconds * 1000 + nanos / 1_000_000;
  }

  #isAscii(from: number, to: number): boolean {
    for (let i = from; i < to; i++) if ((this.bytes[i] ?? 0) > 0x7f) return false;
    return true;
  }
}
