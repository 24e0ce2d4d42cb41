// Machine-readable output: Protobuf's JSON form with every field present, so that scripts can rely on names.
import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";

/** The JSON form of a message. */
export function jsonOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

/** One document, for people's eyes too. */
export function jsonDocument(value: unknown): string {
  return JSON.stringify(value, undefined, 2);
}

/** One line of a stream. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value);
}
