// Owns how the input of a typed capability is read, whatever form it came in, and that its outputs and result go out in the same form.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import type { Violation } from "../../lib/core/mesh-error.ts";
import { readMessageJson } from "../../lib/wire/message-json.ts";
import { messageBytes, messagePayload } from "../../lib/wire/message-payload.ts";
import { jsonFault } from "./agent-error.ts";
import { isJsonType } from "./payload.ts";
import type { AgentTask } from "./task.ts";

/** One thing wrong with an input: the path of the field (empty: the input as a whole), and what is allowed. */
export type FieldViolation = Violation;

/** In which form a message travels: a plain JSON value, an Any, or bytes of a media type. */
export type MessageForm =
  | { readonly kind: "json" }
  | { readonly kind: "any" }
  | { readonly kind: "bytes"; readonly contentType: string; readonly json: boolean };

/** An input that was read. */
export interface TypedInput<In extends DescMessage> {
  /** The message, of what could be read. */
  readonly message: MessageShape<In>;
  /** In which form it came. */
  readonly form: MessageForm;
  /** What could not be read; empty if the input has the form of the message. */
  readonly violations: readonly FieldViolation[];
}

/** Makes an input of a payload that is not the message itself, e.g. of a file; undefined refuses it. */
export type PayloadReader<In extends DescMessage> = (payload: Payload) => MessageInitShape<In> | undefined;

const JSON_FORM: MessageForm = { kind: "json" };
/** Reads the input of a task as a message of `schema`; no input at all is the empty message. */
export function readTypedInput<In extends DescMessage>(
  schema: In,
  task: AgentTask,
  fromPayload: PayloadReader<In> | undefined,
): TypedInput<In> | Promise<TypedInput<In>> {
  const { input } = task;
  // The common case, told without a look at the whole task.
  if (input !== undefined && !(input instanceof Uint8Array))
    return { form: JSON_FORM, ...readMessageJson(schema, input) };
  const { payload } = task;
  switch (payload?.kind.case) {
    case undefined:
      return { form: JSON_FORM, message: create(schema), violations: [] };
    case "message":
      return readBinary(schema, { kind: "any" }, typeOfUrl(payload.kind.value.typeUrl), payload.kind.value.value);
    case "bytes":
    case "blob": {
      const form = formOfMediaType(payload.kind.value.contentType);
      if (form === undefined) return readOther(schema, payload, fromPayload);
      const type = /;\s*messageType="?([^";]+)"?/i.exec(payload.kind.value.contentType)?.[1];
      if (payload.kind.case === "bytes") return readBytes(schema, form, type, payload.kind.value.data);
      return task.read().then((data) => readBytes(schema, form, type, data));
    }
    default:
      return { form: JSON_FORM, message: create(schema), violations: [] };
  }
}

/** The message made of `value`, as a handler would return it: a JSON value, or a Payload. */
export function inForm<Out extends DescMessage>(form: MessageForm, schema: Out, value: MessageInitShape<Out>): unknown {
  const message = create(schema, value);
  if (form.kind === "json") return jsonOf(schema, message);
  if (form.kind === "any") return messagePayload(schema, message);
  if (!form.json) return messageBytes(schema, message);
  const data = Buffer.from(JSON.stringify(jsonOf(schema, message)));
  return create(PayloadSchema, { kind: { case: "bytes", value: { contentType: form.contentType, data } } });
}

/** Zeros and empty lists are written: a reader of JSON need not know the schema to know what is there. */
function jsonOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): unknown {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

function readBytes<In extends DescMessage>(
  schema: In,
  form: MessageForm & { readonly kind: "bytes" },
  type: string | undefined,
  data: Uint8Array,
): TypedInput<In> {
  if (!form.json) return readBinary(schema, form, type, data);
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
    return { form, ...readMessageJson(schema, value) };
  } catch (error) {
    return refused(schema, form, jsonFault(error));
  }
}

function readBinary<In extends DescMessage>(
  schema: In,
  form: MessageForm,
  type: string | undefined,
  data: Uint8Array,
): TypedInput<In> {
  if (type !== undefined && type !== schema.typeName) {
    return refused(schema, form, `must be a ${schema.typeName}, is a ${JSON.stringify(type).slice(1, -1)}`);
  }
  try {
    return { form, message: fromBinary(schema, data), violations: [] };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return refused(schema, form, `cannot be read as a ${schema.typeName}: ${why}`);
  }
}

function readOther<In extends DescMessage>(
  schema: In,
  payload: Payload,
  fromPayload: PayloadReader<In> | undefined,
): TypedInput<In> {
  const init = fromPayload?.(payload);
  if (init !== undefined) return { form: JSON_FORM, message: create(schema, init), violations: [] };
  const given = payload.kind.case === "blob" || payload.kind.case === "bytes" ? payload.kind.value.contentType : "";
  const is = given === "" ? "bytes without a media type" : `bytes of type ${JSON.stringify(given)}`;
  return refused(schema, JSON_FORM, `must be JSON or a ${schema.typeName}, is ${is}`);
}

function refused<In extends DescMessage>(schema: In, form: MessageForm, description: string): TypedInput<In> {
  return { form, message: create(schema), violations: [{ field: "", description }] };
}

function formOfMediaType(contentType: string): (MessageForm & { readonly kind: "bytes" }) | undefined {
  if (isJsonType(contentType)) return { kind: "bytes", contentType, json: true };
  const isProtobuf = /^application\/(?:x-)?protobuf\s*(?:;|$)/i.test(contentType);
  return isProtobuf ? { kind: "bytes", contentType, json: false } : undefined;
}

function typeOfUrl(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}
