// The `echo` task as the mesh meets it.
import { EchoChunkSchema, EchoInputSchema, EchoOutputSchema } from "../../../gen/mycel/tasks/v1/echo_pb.ts";
import { type Capability, typedCapability } from "../../../sdk/agent/index.ts";
import { checkEcho, echo, echoOrder } from "./echo.ts";

/** Gives back its message, once or as a stream. */
export const echoTask: Capability = typedCapability({
  description: "Gives back its message, once or as a stream: { message, repeat?, delayMs? }.",
  input: EchoInputSchema,
  chunk: EchoChunkSchema,
  output: EchoOutputSchema,
  check: checkEcho,
  async run({ input }, { output, signal }) {
    const order = echoOrder(input);
    const { message } = order;
    if (order.repeat === 1 && order.delayMs === 0) return { message };
    let outputs = 0;
    for await (const item of echo(order, { signal })) {
      await output(item);
      outputs += 1;
    }
    return { message, outputs };
  },
});
