// The bounds of the contract, checked in one place that collects every violation of a request at once.

import { type Message, toBinary } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import {
  MAX_BLOB_BYTES,
  MAX_CONTENT_TYPE_LENGTH,
  MAX_INLINE_PAYLOAD_BYTES,
  MAX_LABEL_KEY_LENGTH,
  MAX_LABEL_VALUE_LENGTH,
  MAX_LABELS,
} from "../core/limits.ts";
import { MeshError, type Violation } from "../core/mesh-error.ts";
import { isName, isSystemQueue, MAX_NAME_LENGTH, MAX_TASK_ID_LENGTH, NAME_ALPHABET } from "../core/names.ts";
import { isDuration, isTimestamp, msFromDuration } from "./time-codec.ts";
import { encodedLength, valueFault, valueSize } from "./value-size.ts";

/** Collects the violations of one request. Each check adds at most one. */
export class Violations {
  readonly #found: Violation[] = [];
  readonly #prefix: string;
  #tooLarge = false;

  /** `prefix` stands before every field path, e.g. `tasks[3].`. */
  constructor(prefix = "") {
    this.#prefix = prefix;
  }

  /** The violations so far. */
  get found(): readonly Violation[] {
    return this.#found;
  }

  /** Adds a violation. */
  add(field: string, description: string): void {
    this.#found.push({ field: this.#prefix + field, description });
  }

  /** Adds what another collection found. */
  addAll(other: Violations): void {
    this.#found.push(...other.#found);
    this.#tooLarge ||= other.#tooLarge;
  }

  /** Throws INVALID_REQUEST, or PAYLOAD_TOO_LARGE if that is the only thing wrong, unless nothing was found. */
  throwIfAny(): void {
    const error = this.error();
    if (error !== undefined) throw error;
  }

  /** The error for what was found; undefined if nothing was. */
  error(): MeshError | undefined {
    const [first] = this.#found;
    if (first === undefined) return undefined;
    const more = this.#found.length > 1 ? ` (and ${this.#found.length - 1} more)` : "";
    const reason = this.#tooLarge && this.#found.length === 1 ? "PAYLOAD_TOO_LARGE" : "INVALID_REQUEST";
    return new MeshError(reason, `${first.field}: ${first.description}${more}`, { violations: this.#found });
  }

  /** A name that must be there. */
  name(field: string, value: string, maxLength: number = MAX_NAME_LENGTH): void {
    if (value === "") this.add(field, "is required");
    else this.optionalName(field, value, maxLength);
  }

  /** A name that may be left out. */
  optionalName(field: string, value: string, maxLength: number = MAX_NAME_LENGTH): void {
    if (value !== "" && !isName(value, maxLength)) {
      this.add(field, `must be 1 to ${maxLength} characters of ${NAME_ALPHABET}, is ${show(value)}`);
    }
  }

  /** A task id that must be there. */
  taskId(field: string, value: string): void {
    this.name(field, value, MAX_TASK_ID_LENGTH);
  }

  /** A queue that a submission or capability may name. */
  queue(field: string, value: string): void {
    this.optionalName(field, value);
    this.notSystemQueue(field, value);
  }

  /** Not the name of a queue that only the mesh itself may use. */
  notSystemQueue(field: string, value: string): void {
    if (isSystemQueue(value)) this.add(field, `${value} is a system queue`);
  }

  /** A text of at most so many characters. */
  text(field: string, value: string, maxLength: number, minLength = 0): void {
    if (value.length < minLength) this.add(field, "is required");
    else if (value.length > maxLength) {
      this.add(field, `must be at most ${maxLength} characters, has ${value.length}`);
    }
  }

  /** A number within inclusive bounds; 0 is allowed as "unset" where the bounds begin above it. */
  number(field: string, value: number, min: number, max: number): void {
    if (!(value >= min && value <= max) && value !== 0) this.add(field, `must be from ${min} to ${max}, is ${value}`);
  }

  /** A count of items within inclusive bounds. */
  count(field: string, length: number, min: number, max: number): void {
    if (length < min || length > max) this.add(field, `must have ${min} to ${max} items, has ${length}`);
  }

  /** A duration that may be left out, within inclusive bounds in milliseconds. */
  duration(field: string, value: Duration | undefined, minMs: number, maxMs: number): void {
    if (value === undefined) return;
    const ms = msFromDuration(value);
    if (!isDuration(value)) {
      this.add(field, "must have seconds and nanos of the same sign, and less than a second of nanos");
    } else if (!(ms >= minMs && ms <= maxMs) || (ms === maxMs && isOver(value, maxMs))) {
      this.add(field, `must be from ${seconds(minMs)} to ${seconds(maxMs)}, is ${seconds(ms)}`);
    }
  }

  /** A timestamp that may be left out, valid by google.protobuf.Timestamp's own bounds. */
  timestamp(field: string, value: Timestamp | undefined): void {
    if (value === undefined) return;
    if (!isTimestamp(value)) this.add(field, "must be a time in the years 1 to 9999");
  }

  /** An enum value that must be one of those given. */
  oneOf(field: string, value: number, allowed: Readonly<Record<string, string | number>>): void {
    if (!Object.values(allowed).includes(value)) this.add(field, `${value} is not a known value`);
  }

  /** Labels within their bounds. */
  labels(field: string, labels: Readonly<Record<string, string>>, max: number = MAX_LABELS): void {
    const entries = Object.entries(labels);
    if (entries.length > max) this.add(field, `must have at most ${max} entries, has ${entries.length}`);
    for (const [key, value] of entries) {
      if (key === "" || key.length > MAX_LABEL_KEY_LENGTH) {
        this.add(field, `keys must be 1 to ${MAX_LABEL_KEY_LENGTH} characters, one is ${show(key)}`);
      } else if (value.length > MAX_LABEL_VALUE_LENGTH) {
        this.add(`${field}[${show(key)}]`, `must be at most ${MAX_LABEL_VALUE_LENGTH} characters, has ${value.length}`);
      }
    }
  }

  /** The size of a blob that may be left out. */
  blobSize(field: string, bytes: bigint | undefined): void {
    if (bytes === undefined || bytes <= BigInt(MAX_BLOB_BYTES)) return;
    this.#tooLarge = true;
    this.add(field, `must be at most ${MAX_BLOB_BYTES}, is ${bytes}`);
  }

  /** A payload that may be left out, inline within the limit or by reference. Returns its encoded size in bytes. */
  payload(field: string, payload: Payload | undefined): number {
    if (payload === undefined) return 0;
    if (payload.kind.case === "blob") {
      const { blobId, sha256, sizeBytes, contentType } = payload.kind.value;
      this.taskId(`${field}.blob.blob_id`, blobId);
      if (sha256.length !== 32) this.add(`${field}.blob.sha256`, `must be 32 bytes, has ${sha256.length}`);
      this.blobSize(`${field}.blob.size_bytes`, sizeBytes);
      this.text(`${field}.blob.content_type`, contentType, MAX_CONTENT_TYPE_LENGTH);
      return 0;
    }
    if (payload.kind.case === "bytes")
      this.text(`${field}.bytes.content_type`, payload.kind.value.contentType, MAX_CONTENT_TYPE_LENGTH);
    const fault = payload.kind.case === "json" ? valueFault(payload.kind.value) : undefined;
    if (fault !== undefined) {
      this.add(`${field}.json`, fault);
      return 0;
    }
    const size = encodedSize(payload);
    if (size > MAX_INLINE_PAYLOAD_BYTES) {
      this.#tooLarge = true;
      const advice = "upload larger ones with BlobService.UploadBlob";
      this.add(field, `must be at most ${MAX_INLINE_PAYLOAD_BYTES} bytes inline, has ${size}; ${advice}`);
    }
    return size;
  }

  /** Enters a nested message that must be there. */
  required(field: string, value: Message | undefined): void {
    if (value === undefined) this.add(field, "is required");
  }
}

function encodedSize(payload: Payload): number {
  // Bytes and JSON are counted without being copied or encoded.
  if (payload.kind.case === "bytes") return payload.kind.value.data.length;
  if (payload.kind.case === "message") {
    return payload.kind.value.value.length + Buffer.byteLength(payload.kind.value.typeUrl);
  }
  if (payload.kind.case === "json") return encodedLength(valueSize(payload.kind.value));
  return toBinary(PayloadSchema, payload).length;
}

/** Whether a duration is longer than so many whole milliseconds by what gets lost in a number of them. */
function isOver({ seconds, nanos }: Duration, ms: number): boolean {
  return Number.isInteger(ms) && seconds * 1_000_000_000n + BigInt(nanos) > BigInt(ms) * 1_000_000n;
}

function show(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
