// Encodes requests that submit tasks with large inputs: once, into memory of their size. See large-payload.ts for what it costs otherwise;
// a call with 128 inputs of 16 KiB took 12 MiB of memory outside of the heap, of which V8 then collects all garbage after every fifth call.
import { type Message, isMessage, toBinary } from "@bufbuild/protobuf";
import {
  BatchSubmitTasksRequestSchema,
  RunTaskRequestSchema,
  type SubmitTaskRequest,
  SubmitTaskRequestSchema,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { BackWriter } from "../../lib/wire/back-writer.ts";
import { type Apart, takeApart, writeWhole } from "../../lib/wire/large-payload.ts";
import { encodedLength } from "../../lib/wire/value-size.ts";

/** The tag of the tasks of a batch, and of the task of a run. */
const TASK = 0x0a;

/**
 * The bytes of a request, as toBinary gives them, with `room` bytes in front. Undefined for a request without a large input, and for one that
 * is not as it must be: the library says why.
 */
export function encodeLarge(request: Message, room: number): Uint8Array<ArrayBuffer> | undefined {
  try {
    if (isMessage(request, SubmitTaskRequestSchema)) return alone(request, room);
    if (isMessage(request, BatchSubmitTasksRequestSchema)) {
      return within(request.tasks, () => toBinary(BatchSubmitTasksRequestSchema, { ...request, tasks: [] }), room);
    }
    if (isMessage(request, RunTaskRequestSchema) && request.task !== undefined) {
      return within([request.task], () => toBinary(RunTaskRequestSchema, { ...request, task: undefined }), room);
    }
  } catch {
    // Told by the library when it is asked.
  }
  return undefined;
}

function alone(request: SubmitTaskRequest, room: number): Uint8Array<ArrayBuffer> | undefined {
  const apart = takeApart(SubmitTaskRequestSchema, request, "input");
  if (apart === undefined) return undefined;
  const writer = new BackWriter(apart.size + room);
  writeWhole(writer, apart);
  return writer.finish(room);
}

/** Tasks, and what stands behind them. */
function within(
  tasks: readonly SubmitTaskRequest[],
  encodeRest: () => Uint8Array,
  room: number,
): Uint8Array<ArrayBuffer> | undefined {
  const large = tasks.map((task) => takeApart(SubmitTaskRequestSchema, task, "input"));
  if (large.every((apart) => apart === undefined)) return undefined;
  const parts = tasks.map((task, i): Apart | Uint8Array => large[i] ?? toBinary(SubmitTaskRequestSchema, task));
  const rest = encodeRest();
  const bytes = parts.reduce((sum, part) => sum + encodedLength(sizeOf(part)), rest.length);
  const writer = new BackWriter(bytes + room);
  writer.copy(rest);
  for (const part of parts.toReversed()) {
    const end = writer.at;
    if (part instanceof Uint8Array) writer.copy(part);
    else writeWhole(writer, part);
    writer.wrap(TASK, end);
  }
  return writer.finish(room);
}

function sizeOf(part: Apart | Uint8Array): number {
  return part instanceof Uint8Array ? part.length : part.size;
}
