// Lets every caller over JSON read every task: payloads that have no JSON form are given one. It must not touch what goes out as
// Protobuf, nor messages that others may hold.

import { clone, create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { NullValue, type Value } from "@bufbuild/protobuf/wkt";
import type { Interceptor } from "@connectrpc/connect";
import { BytesSchema, type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { valueFault } from "../../../lib/wire/value-size.ts";

/**
 * Gives payloads a JSON form where the call speaks JSON: a Protobuf message, whose type nobody here knows, as `bytes` with the media type
 * `application/x-protobuf; messageType="…"`; a number that JSON does not have, or a value that was left out, as null.
 */
export function jsonPayloads(): Interceptor {
  return (next) => async (request) => {
    const response = await next(request);
    const { output } = request.method;
    if (!carriesPayload(output) || !speaksJson(request.header, request.url)) return response;
    if (!response.stream) return { ...response, message: inJson(output, response.message) };
    return { ...response, message: eachInJson(output, response.message) };
  };
}

async function* eachInJson(desc: DescMessage, messages: AsyncIterable<Message>): AsyncIterable<Message> {
  for await (const message of messages) yield inJson(desc, message);
}

function speaksJson(header: Headers, url: string): boolean {
  const contentType = header.get("content-type");
  if (contentType !== null) return contentType.includes("json");
  return new URL(url).searchParams.get("encoding") === "json";
}

function inJson(desc: DescMessage, message: Message): Message {
  if (payloadsIn(reflect(desc, message)).every(hasJsonForm)) return message;
  const copy = clone(desc, message);
  for (const payload of payloadsIn(reflect(desc, copy))) giveJsonForm(payload);
  return copy;
}

function hasJsonForm({ kind }: Payload): boolean {
  return kind.case !== "message" && (kind.case !== "json" || valueFault(kind.value) === undefined);
}

function giveJsonForm(payload: Payload): void {
  const { kind } = payload;
  if (kind.case === "json") repair(kind.value);
  if (kind.case !== "message") return;
  const { typeUrl, value: data } = kind.value;
  const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1).replaceAll(/["\\\p{C}]/gu, "");
  const contentType = `application/x-protobuf; messageType="${type}"`;
  payload.kind = { case: "bytes", value: create(BytesSchema, { contentType, data }) };
}

/** As JSON.stringify does it. */
function repair(value: Value): void {
  const { kind } = value;
  if (kind.case === "listValue") kind.value.values.forEach(repair);
  else if (kind.case === "structValue") Object.values(kind.value.fields).forEach(repair);
  else if (kind.case === undefined || (kind.case === "numberValue" && !Number.isFinite(kind.value))) {
    value.kind = { case: "nullValue", value: NullValue.NULL_VALUE };
  }
}

const carriers = new Map<DescMessage, boolean>();

/** Whether a message of this type can have a payload in it. */
function carriesPayload(desc: DescMessage): boolean {
  const known = carriers.get(desc);
  if (known !== undefined) return known;
  // Types refer to themselves; until the answer is known, such a reference adds nothing to it.
  carriers.set(desc, false);
  const carries =
    desc.typeName === PayloadSchema.typeName ||
    desc.fields.some(({ message }) => message !== undefined && carriesPayload(message));
  carriers.set(desc, carries);
  return carries;
}

function payloadsIn(message: ReflectMessage): Payload[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the descriptor says so
  if (message.desc.typeName === PayloadSchema.typeName) return [message.message as Payload];
  return message.fields.flatMap((field) =>
    isCarrier(field) && message.isSet(field) ? payloadsOf(message, field) : [],
  );
}

function isCarrier({ message }: DescField): boolean {
  return message !== undefined && carriesPayload(message);
}

function payloadsOf(message: ReflectMessage, field: DescField): Payload[] {
  if (field.fieldKind === "message") return payloadsIn(message.get(field));
  if (field.fieldKind !== "list" || field.listKind !== "message") return [];
  return [...message.get(field)].flatMap((item) => (isMessage(item) ? payloadsIn(item) : []));
}

function isMessage(item: unknown): item is ReflectMessage {
  return typeof item === "object" && item !== null && "desc" in item;
}
