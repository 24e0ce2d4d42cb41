// A process of its own for the trace tests: continues the trace named by its argument with two spans, flushes, exits.
import { context, trace } from "@opentelemetry/api";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { contextFromCarrier, mycelTracer, processSpan, settleSpan } from "../../../lib/wire/trace-context.ts";

await using tracing = await openTracing({ serviceName: "worker", env: process.env });
const carrier = { traceparent: process.argv[2] ?? "" };
const parent = contextFromCarrier(carrier);
const facts = { template: "task.{tenant}.{task}.q.{queue}.{priority}", taskId: "t-1", links: [carrier] };
const work = processSpan({ ...facts, queue: "echo", attempt: 1, agentId: "agent-1" });
const span = mycelTracer().startSpan(work.name, work.options, parent);
const settle = settleSpan("ack", facts);
context.with(trace.setSpan(parent, span), () => {
  mycelTracer().startSpan(settle.name, settle.options).end();
});
span.end();
await tracing.flush();
