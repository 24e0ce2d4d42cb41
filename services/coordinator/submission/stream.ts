// Accepts tasks as they come over a stream, many at a time, and never more unanswered than the bound.

import { create } from "@bufbuild/protobuf";
import {
  type SubmitTaskStreamRequest,
  type SubmitTaskStreamResponse,
  SubmitTaskStreamResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { itemErrorOf } from "./bulk.ts";
import type { Caller, Submitter } from "./submitter.ts";

/** How many submissions of one stream may be unanswered. Reading stops until one is. */
export const MAX_UNANSWERED = 1_024;

/** Answers SubmitTaskStream. */
export async function* submitStream(
  submitter: Pick<Submitter, "submit">,
  caller: Caller,
  requests: AsyncIterable<SubmitTaskStreamRequest>,
): AsyncGenerator<SubmitTaskStreamResponse> {
  const answers: SubmitTaskStreamResponse[] = [];
  let unanswered = 0;
  let done = false;
  let left = false;
  let failure: unknown;
  let wake = Promise.withResolvers<void>();
  const changed = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };

  const submitOne = async (index: bigint, request: SubmitTaskStreamRequest): Promise<void> => {
    const answer = await answerOne(submitter, caller, index, request);
    answers.push(answer);
    changed();
  };
  const read = async (): Promise<void> => {
    let index = 0n;
    for await (const request of requests) {
      unanswered += 1;
      submitOne(index, request).catch((error: unknown) => {
        failure = error;
        changed();
      });
      index += 1n;
      while (unanswered >= MAX_UNANSWERED && !left) await wake.promise;
      if (left) return;
    }
  };
  read()
    .catch((error: unknown) => {
      failure = error;
    })
    .finally(() => {
      done = true;
      changed();
    });

  try {
    for (;;) {
      if (failure !== undefined) throw failure;
      const answer = answers.shift();
      if (answer !== undefined) {
        // Counted as answered only once the caller took it: a caller that does not read its answers is not read from either.
        yield answer;
        unanswered -= 1;
        changed();
      } else if (done && unanswered === 0) return;
      else await wake.promise;
    }
  } finally {
    left = true;
    changed();
  }
}

async function answerOne(
  submitter: Pick<Submitter, "submit">,
  caller: Caller,
  index: bigint,
  request: SubmitTaskStreamRequest,
): Promise<SubmitTaskStreamResponse> {
  try {
    if (request.task === undefined) {
      throw new MeshError("INVALID_REQUEST", "task: is required", {
        violations: [{ field: "task", description: "is required" }],
      });
    }
    const value = await submitter.submit(caller, request.task);
    return { $typeName: "mycel.v1.SubmitTaskStreamResponse", index, result: { case: "submitted", value } };
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return create(SubmitTaskStreamResponseSchema, { index, result: { case: "error", value: itemErrorOf(error) } });
  }
}
