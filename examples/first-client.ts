// A client: it hands in a task, follows it live, and survives restarts on the way.
import { createClient } from "mycel/client";

await using client = createClient({ url: process.env["MYCEL_URL"] ?? "http://127.0.0.1:8080" });

const run = client.run<{ words: number }>("count-words", "to be\nor not to be");
for await (const event of run) {
  if (event.kind === "chunk") console.log("so far:", event.value);
}
console.log("words:", (await run.result()).words);
