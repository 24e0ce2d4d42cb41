// Takes a field out of an encoded message: inputs and results, which the index does not keep, are never decoded.

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** The message without what stands at a path of field numbers, all but the last of messages. Throws if the message can't be read. */
export function withoutField(message: Uint8Array, [field, ...within]: readonly number[]): Uint8Array {
  const reader = new BinaryReader(message);
  const writer = new BinaryWriter();
  let copied = 0;
  while (reader.pos < reader.len) {
    const from = reader.pos;
    const [number, type] = reader.tag();
    if (number === field) writer.raw(message.subarray(copied, from));
    if (number === field && within.length > 0) {
      writer.tag(number, WireType.LengthDelimited).bytes(withoutField(reader.bytes(), within));
    } else {
      reader.skip(type, number);
    }
    if (number === field) copied = reader.pos;
  }
  return copied === 0 ? message : writer.raw(message.subarray(copied)).finish();
}
