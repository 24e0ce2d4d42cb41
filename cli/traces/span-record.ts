// Owns the span as this store keeps it: OTLP/JSON in, bounded plain records out. Pure; trusts nothing it is given.

/** An attribute's value; lists and maps arrive as JSON text. */
type AttributeValue = string | number | boolean;

/** Attributes in the order they were sent. */
export type AttributeList = readonly (readonly [key: string, value: AttributeValue])[];

/** Role of a span in a hop. */
type SpanRole = "internal" | "server" | "client" | "producer" | "consumer";

/** Something that happened during a span. `atUs` is in microseconds since the Unix epoch. */
interface SpanEvent {
  readonly name: string;
  readonly atUs: number;
  readonly attributes: AttributeList;
}

/** A reference to another span, possibly of another trace. */
interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: AttributeList;
}

/** One finished span. Times are in microseconds since the Unix epoch: exact in a double until the year 2255. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for a root. */
  readonly parentId?: string;
  readonly name: string;
  readonly service: string;
  /** Tells replicas of a service apart. */
  readonly instance?: string;
  readonly role: SpanRole;
  readonly startUs: number;
  readonly endUs: number;
  readonly failed: boolean;
  readonly statusMessage?: string;
  readonly attributes: AttributeList;
  readonly events: readonly SpanEvent[];
  readonly links: readonly SpanLink[];
}

/** The body is not an OTLP/JSON trace export. The message says where. */
export class OtlpFormatError extends Error {
  override readonly name = "OtlpFormatError";
}

// Enough for any span a person reads; a hostile or careless sender costs no more memory than this allows.
const MAX_NAME_CHARS = 256;
const MAX_VALUE_CHARS = 4096;
const MAX_ATTRIBUTES = 128;
const MAX_EVENTS = 128;
const MAX_LINKS = 128;

const ROLES: Readonly<Record<number, SpanRole>> = { 2: "server", 3: "client", 4: "producer", 5: "consumer" };

/** Decodes the body of an OTLP/HTTP JSON export. Throws OtlpFormatError when it is something else. */
export function spansFromOtlp(body: unknown): SpanRecord[] {
  const spans: SpanRecord[] = [];
  for (const resourceSpans of listOf(objectOf(body, "body"), "resourceSpans")) {
    const resource = attributesOf(optionalObject(resourceSpans, "resource"));
    const service = textOf(resource.find(([key]) => key === "service.name")?.[1]) ?? "unknown_service";
    const instance = textOf(resource.find(([key]) => key === "service.instance.id")?.[1]);
    for (const scopeSpans of listOf(resourceSpans, "scopeSpans")) {
      for (const span of listOf(scopeSpans, "spans")) spans.push(spanOf(span, service, instance));
    }
  }
  return spans;
}

type Fields = Readonly<Record<string, unknown>>;

function spanOf(span: Fields, service: string, instance: string | undefined): SpanRecord {
  const parent = span["parentSpanId"];
  const status = optionalObject(span, "status");
  const message = textOf(status["message"]);
  const startUs = microsOf(span, "startTimeUnixNano");
  return {
    traceId: idOf(span, "traceId", 32),
    spanId: idOf(span, "spanId", 16),
    ...(parent === undefined || parent === "" ? {} : { parentId: idOf(span, "parentSpanId", 16) }),
    name: clipped(textOf(span["name"]) ?? "", MAX_NAME_CHARS),
    service: clipped(service, MAX_NAME_CHARS),
    ...(instance === undefined ? {} : { instance: clipped(instance, MAX_NAME_CHARS) }),
    role: ROLES[Number(span["kind"])] ?? "internal",
    startUs,
    // A clock set back during a span must not give a negative bar.
    endUs: Math.max(startUs, microsOf(span, "endTimeUnixNano")),
    failed: Number(status["code"]) === 2,
    ...(message === undefined || message === "" ? {} : { statusMessage: clipped(message, MAX_VALUE_CHARS) }),
    attributes: attributesOf(span),
    events: listOf(span, "events")
      .slice(0, MAX_EVENTS)
      .map((event) => ({
        name: clipped(textOf(event["name"]) ?? "", MAX_NAME_CHARS),
        atUs: microsOf(event, "timeUnixNano"),
        attributes: attributesOf(event),
      })),
    links: listOf(span, "links")
      .slice(0, MAX_LINKS)
      .map((link) => ({
        traceId: idOf(link, "traceId", 32),
        spanId: idOf(link, "spanId", 16),
        attributes: attributesOf(link),
      })),
  };
}

function attributesOf(owner: Fields): AttributeList {
  return listOf(owner, "attributes")
    .slice(0, MAX_ATTRIBUTES)
    .map((attribute) => [
      clipped(textOf(attribute["key"]) ?? "", MAX_NAME_CHARS),
      valueOf(optionalObject(attribute, "value")),
    ]);
}

function valueOf(value: Fields): AttributeValue {
  const simple = value["stringValue"] ?? value["boolValue"] ?? value["doubleValue"] ?? value["bytesValue"];
  if (typeof simple === "string") return clipped(simple, MAX_VALUE_CHARS);
  if (typeof simple === "boolean" || typeof simple === "number") return simple;
  const whole = value["intValue"];
  // 64-bit integers may be strings in OTLP/JSON; one that a double cannot hold stays text.
  if (typeof whole === "number") return whole;
  if (typeof whole === "string") {
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : clipped(whole, MAX_VALUE_CHARS);
  }
  if (value["arrayValue"] === undefined && value["kvlistValue"] === undefined) return "";
  return clipped(JSON.stringify(plainOf(value, 0)), MAX_VALUE_CHARS);
}

function plainOf(value: Fields, depth: number): unknown {
  if (depth > 8) return "…";
  const list = value["arrayValue"];
  if (isFields(list)) return listOf(list, "values").map((item) => plainOf(item, depth + 1));
  const map = value["kvlistValue"];
  if (!isFields(map)) return valueOf(value);
  const entries = listOf(map, "values").map((entry): [string, unknown] => [
    textOf(entry["key"]) ?? "",
    plainOf(optionalObject(entry, "value"), depth + 1),
  ]);
  return Object.fromEntries(entries);
}

function listOf(owner: Fields, field: string): Fields[] {
  const value = owner[field];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new OtlpFormatError(`${field} must be a list`);
  return value.map((item) => objectOf(item, `item of ${field}`));
}

function optionalObject(owner: Fields, field: string): Fields {
  const value = owner[field];
  return value === undefined || value === null ? {} : objectOf(value, field);
}

function objectOf(value: unknown, what: string): Fields {
  if (!isFields(value)) throw new OtlpFormatError(`${what} must be an object`);
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function idOf(owner: Fields, field: string, digits: number): string {
  const value = owner[field];
  const valid = typeof value === "string" && value.length === digits && /^[0-9a-f]+$/i.test(value);
  if (!valid) throw new OtlpFormatError(`${field} must be ${digits} hexadecimal digits`);
  return value.toLowerCase();
}

function microsOf(owner: Fields, field: string): number {
  const value = owner[field];
  if (typeof value === "number" && value >= 0) return Math.round(value / 1000);
  if (typeof value === "string" && /^\d{1,20}$/.test(value)) return Number(BigInt(value) / 1000n);
  throw new OtlpFormatError(`${field} must be nanoseconds since the Unix epoch`);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function clipped(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars - 1)}…`;
}
