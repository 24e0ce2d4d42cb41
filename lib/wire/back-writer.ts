// Writes Protobuf from the end to the start, so that each length is known when it is to be written: nothing is moved, and nothing measured
// twice. Knows the wire format and JSON values, no message of the mesh.
import type { Value } from "@bufbuild/protobuf/wkt";

const VALUE = { null: 0x08, number: 0x11, text: 0x1a, bool: 0x20, struct: 0x2a, list: 0x32 };
/** A Struct's `fields`, the `key` of an entry, and a ListValue's `values`. */
const FIRST = 0x0a;
const ENTRY_VALUE = 0x12;

/** Writes into memory of a fixed size. What does not fit throws RangeError. */
export class BackWriter {
  readonly #target: Buffer<ArrayBuffer>;
  #at: number;

  /** Room for so many bytes. */
  constructor(size: number) {
    // Not of the pool: what is written may be kept for long.
    this.#target = Buffer.allocUnsafeSlow(size);
    this.#at = size;
  }

  /** Where what was written last starts. */
  get at(): number {
    return this.#at;
  }

  /** What was written, with `room` bytes of anything in front. No Buffer: what is decoded from one would be Buffers. */
  finish(room = 0): Uint8Array<ArrayBuffer> {
    const { buffer, byteOffset, length } = this.#target.subarray(this.#at - room);
    return new Uint8Array(buffer, byteOffset, length);
  }

  /** Writes bytes as they are. */
  copy(bytes: Uint8Array): void {
    this.#target.set(bytes, this.#take(bytes.length));
  }

  /** Makes all that was written since `end` a field. */
  wrap(tag: number, end: number): void {
    this.#head(tag, end - this.#at);
  }

  /** Writes a JSON value, without a tag. */
  value({ kind }: Value): void {
    switch (kind.case) {
      case "nullValue":
        this.#byte(0);
        this.#byte(VALUE.null);
        break;
      case "boolValue":
        this.#byte(kind.value ? 1 : 0);
        this.#byte(VALUE.bool);
        break;
      case "numberValue":
        this.#target.writeDoubleLE(kind.value, this.#take(8));
        this.#byte(VALUE.number);
        break;
      case "stringValue":
        this.#text(VALUE.text, kind.value);
        break;
      case "listValue": {
        const end = this.#at;
        for (const item of kind.value.values.toReversed()) {
          const itemEnd = this.#at;
          this.value(item);
          this.wrap(FIRST, itemEnd);
        }
        this.wrap(VALUE.list, end);
        break;
      }
      case "structValue": {
        const end = this.#at;
        for (const [key, field] of Object.entries(kind.value.fields).toReversed()) {
          const entryEnd = this.#at;
          this.value(field);
          this.wrap(ENTRY_VALUE, entryEnd);
          this.#text(FIRST, key);
          this.wrap(FIRST, entryEnd);
        }
        this.wrap(VALUE.struct, end);
        break;
      }
      default:
    }
  }

  #text(tag: number, text: string): void {
    const length = Buffer.byteLength(text);
    this.#target.write(text, this.#take(length), length);
    this.#head(tag, length);
  }

  #head(tag: number, length: number): void {
    let lengthBytes = 1;
    for (let rest = length; rest > 127; rest >>>= 7) lengthBytes += 1;
    let at = this.#take(lengthBytes + 1);
    this.#target[at++] = tag;
    let rest = length;
    for (; rest > 127; rest >>>= 7) this.#target[at++] = (rest & 127) | 128;
    this.#target[at] = rest;
  }

  #byte(byte: number): void {
    this.#target[this.#take(1)] = byte;
  }

  #take(length: number): number {
    this.#at -= length;
    if (this.#at < 0) throw new RangeError("no room is left for what is written");
    return this.#at;
  }
}
