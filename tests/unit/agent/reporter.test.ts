import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Msg } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import {
  ReportRequestSchema,
  ReportResponseSchema,
  type ReportResult,
  ReportResultSchema,
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { reportOf, type Report } from "../../../sdk/agent/report-codec.ts";
import { type ReportAnswer, Reporter } from "../../../sdk/agent/reporter.ts";

const LOGGER = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

interface Request {
  readonly taskIds: readonly string[];
  readonly answer: (results: readonly ReportResult[]) => void;
}

function aReporter(): { readonly reporter: Reporter; readonly requests: Request[] } {
  const requests: Request[] = [];
  const reporter = new Reporter({
    link: {
      connected: true,
      request: (_subject, data) => {
        const { promise, resolve } = Promise.withResolvers<Msg>();
        const taskIds = fromBinary(ReportRequestSchema, data).reports.map(({ taskId }) => taskId);
        const answer: Request["answer"] = (results) => {
          const body = toBinary(ReportResponseSchema, create(ReportResponseSchema, { results: [...results] }));
          resolve({ data: body } as Msg);
        };
        requests.push({ taskIds, answer });
        return promise;
      },
    },
    clock: { now: () => 0, monotonicMs: () => performance.now() },
    logger: { ...LOGGER, child: () => ({ ...LOGGER, child: () => expect.fail() }) },
    subject: () => "report",
    requestTimeoutMs: 1_000,
    giveUpMs: 10_000,
  });
  return { reporter, requests };
}

function report(taskId: string): Report {
  const facts = { taskId, attempt: 1, fence: 0n, leaseToken: "", delivery: "d", startMs: undefined, outputSequence: 0 };
  return reportOf(facts, { kind: "complete", result: undefined });
}

function accepted(fence: bigint): ReportResult {
  return create(ReportResultSchema, { outcome: { case: "accepted", value: { fence, attempt: 1 } } });
}

const ignore = (): void => undefined;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test("while nothing is on its way a report leaves at once, with those of the same moment; after that they gather", async () => {
  const { reporter, requests } = aReporter();
  reporter.send(report("a"), ignore);
  reporter.send(report("b"), ignore);
  await Promise.resolve();
  expect(requests.map(({ taskIds }) => taskIds)).toEqual([["a", "b"]]);
  reporter.send(report("c"), ignore);
  await Promise.resolve();
  reporter.send(report("d"), ignore);
  await turn();
  expect(requests.map(({ taskIds }) => taskIds)).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("each report gets its own answer once, whatever another one makes of its own", async () => {
  const { reporter, requests } = aReporter();
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => void unhandled.push(error);
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", listener);
  try {
    const answers: [string, ReportAnswer][] = [];
    reporter.send(report("a"), (answer) => {
      answers.push(["a", answer]);
      throw new Error("a logger failed");
    });
    reporter.send(report("b"), (answer) => void answers.push(["b", answer]));
    await turn();
    requests[0]!.answer([accepted(7n), accepted(8n)]);
    await turn();
    expect(answers).toEqual([
      ["a", { kind: "accepted", fence: 7n, attempt: 1, leaseToken: "" }],
      ["b", { kind: "accepted", fence: 8n, attempt: 1, leaseToken: "" }],
    ]);
    expect(requests).toHaveLength(1);
    expect(unhandled).toMatchObject([{ message: "a logger failed" }]);
  } finally {
    process.off("unhandledRejection", listener);
    for (const other of others) process.on("unhandledRejection", other);
  }
});
