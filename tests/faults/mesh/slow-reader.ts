// A reader of a task's results that takes one message when it pleases, over a connection of its own, and leaves the rest to the
// coordinator: its window fills, and nothing more is asked for.
import { once } from "node:events";
import { type ClientHttp2Stream, connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type StreamResultsResponse,
  StreamResultsRequestSchema,
  StreamResultsResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";

/** What to read. */
export interface SlowReaderOptions {
  /** A coordinator. */
  readonly url: string;
  readonly taskId: string;
  /** Where to go on. Default: at the start. */
  readonly cursor?: string;
}

/** An open stream of results. Disposing it cuts its connection. */
export interface SlowReader extends Disposable {
  /** Reads so many messages, fewer if the stream ends before, and then stands still again. Rejects when the stream breaks. */
  read(count: number): Promise<readonly StreamResultsResponse[]>;
  /** Reads on to the end. Rejects with the error that the stream ends with. */
  rest(): Promise<readonly StreamResultsResponse[]>;
}

/** Flags of Connect's envelopes. */
const END_OF_STREAM = 0b10;
const HEAD_BYTES = 5;

/** Opens a stream of results, and reads nothing of it yet. */
export async function openSlowReader({ url, taskId, cursor = "" }: SlowReaderOptions): Promise<SlowReader> {
  const session = connect(url);
  // What breaks the session breaks the stream as well.
  session.on("error", () => undefined);
  const stream = session.request({
    ":method": "POST",
    ":path": "/mycel.v1.AgentService/StreamResults",
    "content-type": "application/connect+proto",
    "connect-protocol-version": "1",
  });
  const body = toBinary(StreamResultsRequestSchema, create(StreamResultsRequestSchema, { taskId, cursor }));
  stream.end(enveloped(body));
  await once(stream, "response");
  const messages = messagesOf(stream);
  const read = async (count: number): Promise<readonly StreamResultsResponse[]> => {
    const found: StreamResultsResponse[] = [];
    while (found.length < count) {
      const next = await messages.next();
      if (next.done === true) break;
      found.push(next.value);
    }
    return found;
  };
  return {
    read,
    rest: () => read(Number.POSITIVE_INFINITY),
    [Symbol.dispose]() {
      session.destroy();
    },
  };
}

function enveloped(body: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Reads from the connection only as far as somebody asks for messages. */
async function* messagesOf(stream: ClientHttp2Stream): AsyncGenerator<StreamResultsResponse, void, void> {
  let rest = Buffer.alloc(0);
  for await (const piece of stream) {
    rest = Buffer.concat([rest, piece as Buffer]);
    while (rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + rest.readUInt32BE(1);
      if (rest.length < end) break;
      const body = rest.subarray(HEAD_BYTES, end);
      if ((rest[0] ?? 0) & END_OF_STREAM) {
        const { error }: { readonly error?: { readonly code: string } } = JSON.parse(body.toString());
        if (error === undefined) return;
        throw new Error(`the stream ended with ${JSON.stringify(error)}`);
      }
      yield fromBinary(StreamResultsResponseSchema, body);
      rest = rest.subarray(end);
    }
  }
  throw new Error("the stream broke off");
}
