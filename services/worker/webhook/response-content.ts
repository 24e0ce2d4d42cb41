// Decides what the body of a response is: JSON, text or bytes. Goes by what the response says of itself, and believes it only as far as
// the body bears it out. Pure.
import { fromJson, type MessageInitShape, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { WebhookOutputSchema } from "../../../gen/mycel/tasks/v1/webhook_pb.ts";
import { MAX_JSON_DEPTH } from "../../../lib/core/limits.ts";

type Content = NonNullable<Exclude<MessageInitShape<typeof WebhookOutputSchema>, { $typeName: string }>["body"]>;

/** The result that holds a body is a JSON value too, and must not nest deeper than the mesh takes. */
const MAX_BODY_DEPTH: number = MAX_JSON_DEPTH - 2;
// What these are in is UTF-8 unless they say otherwise.
const TEXTUAL =
  /^(?:text\/.*|application\/(?:.*\+)?(?:json|xml|yaml|javascript|x-www-form-urlencoded|x-ndjson|graphql))$/;
const JSON_TYPE = /^(?:application|text)\/(?:.*\+)?json$/;

/** A body as it was read. */
export interface ResponseBody {
  readonly bytes: Uint8Array;
  /** Whether there was more. The beginning of a text is a text; the beginning of JSON is no JSON. */
  readonly truncated: boolean;
  /** As the response's header says. */
  readonly contentType: string | undefined;
}

/** The body as a field of the result; nothing for an empty one. */
export function contentOf({ bytes: body, truncated, contentType }: ResponseBody): Content {
  if (body.length === 0) return { case: undefined };
  const { type, charset } = readContentType(contentType ?? "");
  const bytes: Content = { case: "bytes", value: body };
  if (type !== "" && charset === undefined && !TEXTUAL.test(type)) return bytes;
  const text = decode(body, charset ?? "utf-8", truncated);
  // Bytes that happen to be UTF-8 are given away by a NUL, which no text has.
  if (text === undefined || (type === "" && text.includes("\0"))) return bytes;
  const json = JSON_TYPE.test(type) && !truncated ? parseJson(text) : undefined;
  return json ?? { case: "text", value: text };
}

/** What a failed attempt says of the response: the beginning of a text, nothing of bytes. */
export function beginningOf(body: ResponseBody, maxLength: number): string {
  const { case: kind, value } = contentOf({ ...body, truncated: true });
  return kind === "text" ? value.slice(0, maxLength) : "";
}

function readContentType(value: string): { readonly type: string; readonly charset: string | undefined } {
  const [type = "", ...parameters] = value.split(";").map((part) => part.trim());
  const charset = parameters
    .map((parameter) => /^charset\s*=\s*"?([^"]+)"?$/i.exec(parameter)?.[1])
    .find((found) => found !== undefined);
  return { type: type.toLowerCase(), charset };
}

function decode(body: Uint8Array, charset: string, truncated: boolean): string | undefined {
  try {
    // A stream may end within a character.
    return new TextDecoder(charset, { fatal: true }).decode(body, { stream: truncated });
  } catch {
    return undefined;
  }
}

function parseJson(text: string): Content | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    if (!fitsResult(value, MAX_BODY_DEPTH)) return undefined;
    return { case: "json", value: fromJson(ValueSchema, value) };
  } catch {
    return undefined;
  }
}

/** Not everything that JSON.parse takes can stand in a result: 1e999 is infinite, and depth has its bound. */
function fitsResult(value: JsonValue, depth: number): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((item) => fitsResult(item, depth - 1));
}
